//! The view that requests are authenticated against: a map from token hash to what the token
//! opens, made of what was committed and of nothing else.

use super::{
    BearerToken,
    identity::{Identity, Pace, Pass},
};
use crate::settings::Quotas;
use foldhash::quality::RandomState;
use octostore_actors::domain::{
    account::{Account, AccountRecord, Allowance, Role, Standing, Token, TokenState},
    values::{AccountId, AccountName, TokenHash, WallTime},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAuthenticated {
    /// There is no such token, or it has ended.
    Unknown,
    /// Its account may do nothing.
    Disabled,
}

/// Accounts and live tokens as they are on disk. Reading takes a lock that a writer only ever
/// holds for one row and the tokens of one account.
#[derive(Debug)]
pub struct Directory {
    everybody: Quotas,
    view: RwLock<View>,
}

#[derive(Debug, Default)]
struct View {
    members: HashMap<AccountId, Member, RandomState>,
    passes: HashMap<TokenHash, Arc<Pass>, RandomState>,
}

#[derive(Debug)]
struct Member {
    account: Arc<Account>,
    pace: Arc<Pace>,
    tokens: HashSet<TokenHash>,
}

impl Directory {
    /// The directory of these accounts and tokens, which may have what `everybody` may unless
    /// something else is said of them.
    pub fn new(everybody: Quotas, accounts: &[Account], tokens: &[Token]) -> Self {
        let directory = Self { everybody, view: RwLock::default() };
        let accounts = accounts.iter().map(|account| AccountRecord::Account(account.clone()));
        let tokens = tokens.iter().map(|token| AccountRecord::Token(token.clone()));
        directory.publish(&accounts.chain(tokens).collect::<Vec<_>>());
        directory
    }

    /// Whose token this is at `now`. It is looked up by its hash, so that how long it takes says
    /// nothing about how close a wrong one came.
    ///
    /// # Errors
    /// See [`NotAuthenticated`].
    pub fn authenticate(
        &self,
        presented: &[u8],
        now: WallTime,
    ) -> Result<Identity, NotAuthenticated> {
        let identity = self.owner(presented, now).ok_or(NotAuthenticated::Unknown)?;
        match identity.account().standing {
            Standing::Enabled => Ok(identity),
            Standing::Disabled => Err(NotAuthenticated::Disabled),
        }
    }

    /// Whose token this is at `now`, whether or not its account may do anything: for ending it, and
    /// for the audit log.
    pub fn owner(&self, presented: &[u8], now: WallTime) -> Option<Identity> {
        let hash = BearerToken::hash_of(presented);
        let pass = self.read().passes.get(&hash).cloned();
        pass.filter(|pass| pass.token.is_live(now)).map(Identity::new)
    }

    /// The name of an account.
    pub fn name(&self, account: AccountId) -> Option<AccountName> {
        self.read().members.get(&account).map(|member| member.account.name.clone())
    }

    /// Whether an account is an administrator.
    pub fn is_admin(&self, account: AccountId) -> bool {
        let view = self.read();
        view.members.get(&account).is_some_and(|member| member.account.role == Role::Admin)
    }

    /// Whether an account may do nothing.
    pub fn is_disabled(&self, account: AccountId) -> bool {
        let view = self.read();
        let member = view.members.get(&account);
        member.is_some_and(|member| member.account.standing == Standing::Disabled)
    }

    /// What an account with this allowance may have.
    pub fn quotas(&self, allowance: &Allowance) -> Quotas {
        self.everybody.with(allowance)
    }

    /// When any token of an account was last used, to a minute; and how many it has that open
    /// something at `now`.
    pub fn use_of(&self, account: AccountId, now: WallTime) -> (Option<WallTime>, usize) {
        let view = self.read();
        let Some(member) = view.members.get(&account) else { return (None, 0) };
        let passes = || member.tokens.iter().filter_map(|hash| view.passes.get(hash));
        let live = passes().filter(|pass| pass.token.is_live(now)).count();
        (passes().filter_map(|pass| pass.last_used()).max(), live)
    }

    /// When a token was last used, to a minute.
    pub fn last_used(&self, token: &TokenHash) -> Option<WallTime> {
        self.read().passes.get(token)?.last_used()
    }

    /// Shows what is on disk from now on.
    pub fn publish(&self, records: &[AccountRecord]) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        // Accounts first: a token may have been made in one go with its account.
        for record in records {
            if let AccountRecord::Account(account) = record {
                view.put_account(account, &self.everybody);
            }
        }
        for record in records {
            match record {
                AccountRecord::Account(_) => {}
                AccountRecord::Token(token) => match token.state {
                    TokenState::Live => view.put_token(token, &self.everybody),
                    TokenState::Dead => view.remove_token(&token.hash),
                },
                AccountRecord::NoToken(hash) => view.remove_token(hash),
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    fn put_account(&mut self, account: &Account, everybody: &Quotas) {
        let member = self.members.entry(account.id).or_insert_with(|| Member {
            account: Arc::new(account.clone()),
            pace: Arc::default(),
            tokens: HashSet::new(),
        });
        member.account = Arc::new(account.clone());
        for hash in &member.tokens {
            if let Some(pass) = self.passes.get_mut(hash) {
                let (now, pace) = (Arc::clone(&member.account), Arc::clone(&member.pace));
                let renewed = Pass::new(now, pass.token.clone(), pace, everybody);
                *pass = Arc::new(match account.standing {
                    Standing::Enabled => renewed.in_place_of(pass),
                    Standing::Disabled => {
                        pass.end();
                        renewed.was_used(pass.last_used());
                        renewed
                    }
                });
            }
        }
    }

    fn put_token(&mut self, token: &Token, everybody: &Quotas) {
        let Some(member) = self.members.get_mut(&token.account) else {
            debug_assert!(false, "a token is of an account that is not");
            return;
        };
        member.tokens.insert(token.hash);
        let (account, pace) = (Arc::clone(&member.account), Arc::clone(&member.pace));
        let pass = Pass::new(account, token.clone(), pace, everybody);
        let pass = match self.passes.get(&token.hash) {
            Some(before) => pass.in_place_of(before),
            None => pass,
        };
        self.passes.insert(token.hash, Arc::new(pass));
    }

    fn remove_token(&mut self, hash: &TokenHash) {
        let Some(pass) = self.passes.remove(hash) else { return };
        pass.end();
        if let Some(member) = self.members.get_mut(&pass.account.id) {
            member.tokens.remove(hash);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use octostore_actors::domain::{
        account::{Origin, Subject, TokenName, TokenSource, scope::Scope},
        values::{Quota, TokenId},
    };

    pub const NOW: WallTime = WallTime::from_millis(1_700_000_000_000);

    fn account() -> Account {
        let name = AccountName::new("ci").unwrap();
        Account {
            id: AccountId::from_bytes([1; 16]),
            origin: Origin::Static,
            subject: Subject::from(&name),
            name,
            role: Role::Member,
            standing: Standing::Enabled,
            allowance: Allowance::default(),
            created_at: NOW,
        }
    }

    pub fn token() -> Token {
        Token {
            hash: BearerToken::hash_of(b"secret"),
            id: TokenId::from_bytes([2; 16]),
            account: account().id,
            name: TokenName::new("a token").unwrap(),
            source: TokenSource::Issued,
            scope: Scope::Everything,
            created_at: NOW,
            expires_at: None,
            last_used_at: None,
            state: TokenState::Live,
        }
    }

    pub fn directory() -> Directory {
        let quotas = crate::settings::Settings::from_args(["octostore"]).unwrap().quotas();
        Directory::new(quotas, &[account()], &[token()])
    }

    fn enter(directory: &Directory) -> Result<Identity, NotAuthenticated> {
        directory.authenticate(b"secret", NOW)
    }

    #[test]
    fn an_account_that_is_enabled_again_begins_anew() {
        let directory = directory();
        let before = enter(&directory).unwrap();
        before.used(NOW);
        let disabled = Account { standing: Standing::Disabled, ..account() };
        directory.publish(&[AccountRecord::Account(disabled)]);
        assert_eq!(enter(&directory).map(drop), Err(NotAuthenticated::Disabled));
        directory.publish(&[AccountRecord::Account(account())]);
        let after = enter(&directory).unwrap();
        assert!(after.is_current(NOW) && !before.is_current(NOW));
        assert!(directory.last_used(&token().hash).is_some(), "when it was used is not forgotten");
    }

    #[test]
    fn a_request_under_way_ends_with_its_token_whatever_was_changed_in_between() {
        let used = Token { last_used_at: Some(NOW), ..token() };
        let allowed = Allowance { locks: Some(Quota::new(7)), ..Allowance::default() };
        let changed = Account { allowance: allowed, ..account() };
        for between in [AccountRecord::Token(used), AccountRecord::Account(changed)] {
            let directory = directory();
            let before = enter(&directory).unwrap();
            directory.publish(&[between]);
            assert!(before.is_current(NOW));
            directory.publish(&[AccountRecord::NoToken(token().hash)]);
            assert!(!before.is_current(NOW));
        }
    }

    #[test]
    fn a_request_under_way_does_not_outlive_the_end_of_its_token() {
        let directory = directory();
        let ending = Token { expires_at: Some(NOW.plus_seconds(1)), ..token() };
        directory.publish(&[AccountRecord::Token(ending)]);
        let before = enter(&directory).unwrap();
        assert!(before.is_current(NOW) && !before.is_current(NOW.plus_seconds(1)));
    }

    #[test]
    fn use_counts_tokens_that_open_something() {
        let directory = directory();
        assert_eq!(directory.use_of(account().id, NOW), (None, 1));
        enter(&directory).unwrap().used(NOW);
        let ending = Token { expires_at: Some(NOW.plus_seconds(1)), ..token() };
        directory.publish(&[AccountRecord::Token(ending)]);
        assert_eq!(directory.use_of(account().id, NOW).1, 1);
        let (last, live) = directory.use_of(account().id, NOW.plus_seconds(1));
        assert_eq!((last.map(|last| last <= NOW), live), (Some(true), 0));
    }

    #[test]
    fn an_allowance_of_its_own_comes_before_what_everybody_may_have() {
        let directory = directory();
        let own = Allowance { locks: Some(Quota::new(7)), ..Allowance::default() };
        let quotas = directory.quotas(&own);
        assert_eq!((quotas.locks, quotas.flags), (Quota::new(7), Quota::new(1000)));
    }
}
