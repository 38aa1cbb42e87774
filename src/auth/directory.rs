//! The view that requests are authenticated against: a map from token hash to account, made of
//! what was committed and of nothing else.

use super::BearerToken;
use octostore_actors::{
    commit::{Pressure, Store, StoreFailure, Verdict},
    domain::{
        Record,
        account::{Account, AccountRecord, Token, TokenState},
        values::{AccountId, AccountName, TokenHash},
    },
};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub name: AccountName,
    /// The token it showed.
    pub token: TokenHash,
}

/// Accounts and live tokens as they are on disk. Reading takes a lock that a writer only ever
/// holds for the insertion of one row.
#[derive(Debug, Default)]
pub struct Directory(RwLock<View>);

#[derive(Debug, Default)]
struct View {
    names: HashMap<AccountId, AccountName>,
    live: HashMap<TokenHash, AccountId>,
}

impl Directory {
    /// The directory of these accounts and tokens.
    pub fn new(accounts: &[Account], tokens: &[Token]) -> Self {
        let directory = Self::default();
        for account in accounts {
            directory.publish(&AccountRecord::Account(account.clone()));
        }
        for token in tokens {
            directory.publish(&AccountRecord::Token(token.clone()));
        }
        directory
    }

    /// Whose token this is. It is looked up by its hash, so that how long it takes says nothing
    /// about how close a wrong one came.
    pub fn authenticate(&self, presented: &[u8]) -> Option<Identity> {
        let token = BearerToken::hash_of(presented);
        let view = self.read();
        let account = *view.live.get(&token)?;
        let name = view.names.get(&account)?.clone();
        Some(Identity { account, name, token })
    }

    /// The name of an account.
    pub fn name(&self, account: AccountId) -> Option<AccountName> {
        self.read().names.get(&account).cloned()
    }

    fn publish(&self, record: &AccountRecord) {
        let mut view = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match record {
            AccountRecord::Account(account) => {
                view.names.insert(account.id, account.name.clone());
            }
            AccountRecord::Token(token) => match token.state {
                TokenState::Live => {
                    view.live.insert(token.hash, token.account);
                }
                TokenState::Dead => {
                    view.live.remove(&token.hash);
                }
            },
            AccountRecord::NoToken(hash) => {
                view.live.remove(hash);
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, View> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store that shows the directory what it has committed, before the answer is let go: a
/// rotated token is dead for every request that follows the answer.
pub struct PublishingStore<S> {
    store: S,
    directory: Arc<Directory>,
}

impl<S> PublishingStore<S> {
    /// Shows `directory` what `store` commits.
    pub fn new(store: S, directory: Arc<Directory>) -> Self {
        Self { store, directory }
    }

    /// The store itself.
    pub fn into_inner(self) -> S {
        self.store
    }
}

impl<S: Store> Store for PublishingStore<S> {
    fn commit(&mut self, records: &[Record]) -> Verdict {
        let verdict = self.store.commit(records);
        match verdict {
            Verdict::Committed => {
                for record in records {
                    match record {
                        Record::Account(record) => self.directory.publish(record),
                        Record::Lock(_)
                        | Record::Limit(_)
                        | Record::Flag(_)
                        | Record::Config(_) => {}
                    }
                }
            }
            Verdict::NoRoom | Verdict::Unknown(_) => {}
        }
        verdict
    }

    fn patience(&self) -> Option<Duration> {
        self.store.patience()
    }

    fn tend(&mut self, pressure: Pressure) -> Result<(), StoreFailure> {
        self.store.tend(pressure)
    }
}
