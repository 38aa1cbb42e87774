//! The rows of the account domain in memory: every account and token, by all it is looked up by.

use super::{Account, AccountOutcome, AccountRecord, Origin, Subject, Token, TokenState};
use crate::{
    domain::{
        Effects, Table, Unsettled,
        page::{Page, Selection},
        values::{AccountId, TokenHash, TokenId, WallTime},
    },
    progress::Seq,
};
use std::collections::BTreeMap;

/// Accounts and tokens as they will be once everything on its way is on disk.
#[derive(Debug, Default)]
pub struct Rows {
    accounts: Table<AccountId, Account>,
    subjects: Table<(Origin, Subject), AccountId>,
    listed: BTreeMap<String, AccountId>,
    tokens: Table<TokenHash, Token>,
    held: Table<AccountId, BTreeMap<TokenId, TokenHash>>,
    unsettled: Unsettled<Key, Row>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Account(AccountId),
    Token(TokenHash),
}

#[derive(Debug)]
enum Row {
    Account(Account),
    Token(Token),
}

impl Rows {
    /// The rows that are on disk.
    pub fn new(
        accounts: impl IntoIterator<Item = Account>,
        tokens: impl IntoIterator<Item = Token>,
    ) -> Self {
        let mut rows = Self::default();
        for account in accounts {
            rows.insert_account(account);
        }
        for token in tokens {
            rows.insert_token(token);
        }
        rows
    }

    /// An account.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// The account that is known by `subject` where it comes from.
    pub fn account_of(&self, origin: Origin, subject: &Subject) -> Option<&Account> {
        self.account(*self.subjects.get(&(origin, subject.clone()))?)
    }

    /// Accounts, in the order of [`Account::list_key`].
    pub fn accounts(&self, selection: &Selection) -> Page<Account> {
        selection.of(Some(&self.listed)).filter_map(|(_, id)| self.accounts.get(id).cloned())
    }

    /// A token, dead or alive.
    pub fn token(&self, hash: &TokenHash) -> Option<&Token> {
        self.tokens.get(hash)
    }

    /// The token that opens something at `at`.
    pub fn live(&self, hash: &TokenHash, at: WallTime) -> Option<&Token> {
        self.token(hash).filter(|token| token.is_live(at))
    }

    /// The tokens of an account that are not dead; some may have run out.
    pub fn tokens_of(&self, account: AccountId) -> impl Iterator<Item = &Token> {
        let hashes = self.held.get(&account).into_iter().flat_map(BTreeMap::values);
        hashes
            .filter_map(|hash| self.tokens.get(hash))
            .filter(|token| token.state == TokenState::Live)
    }

    /// One of them, by its id.
    pub fn token_of(&self, account: AccountId, id: TokenId) -> Option<&Token> {
        let token = self.tokens.get(self.held.get(&account)?.get(&id)?)?;
        (token.state == TokenState::Live).then_some(token)
    }

    /// What must be on disk before anybody may be told how an account stands.
    pub fn account_depends_on(&self, id: AccountId) -> Seq {
        self.unsettled.depends_on(&Key::Account(id))
    }

    /// What must be on disk before anybody may be told how a token stands.
    pub fn token_depends_on(&self, hash: TokenHash) -> Seq {
        self.unsettled.depends_on(&Key::Token(hash))
    }

    /// Makes or changes an account, here and on disk.
    pub fn set_account(&mut self, account: Account, effects: &mut Effects<AccountOutcome>) -> Seq {
        let id = account.id;
        let seq = effects.record(AccountRecord::Account(account.clone()));
        let before = self.remove_account(id).map(Row::Account);
        self.insert_account(account);
        self.unsettled.changed(seq, Key::Account(id), before);
        seq
    }

    /// Makes or changes a token, here and on disk.
    pub fn set_token(&mut self, token: Token, effects: &mut Effects<AccountOutcome>) -> Seq {
        let hash = token.hash;
        let seq = effects.record(AccountRecord::Token(token.clone()));
        let before = self.remove_token(&hash).map(Row::Token);
        self.insert_token(token);
        self.unsettled.changed(seq, Key::Token(hash), before);
        seq
    }

    /// Removes a token, here and on disk.
    pub fn drop_token(&mut self, hash: TokenHash, effects: &mut Effects<AccountOutcome>) -> Seq {
        let seq = effects.record(AccountRecord::NoToken(hash));
        let before = self.remove_token(&hash).map(Row::Token);
        debug_assert!(before.is_some(), "only a token that is there is dropped");
        self.unsettled.changed(seq, Key::Token(hash), before);
        seq
    }

    /// See [`Machine::settle`](crate::domain::Machine::settle).
    pub fn settle(&mut self, durable: Seq) {
        self.unsettled.settle(durable);
    }

    /// See [`Machine::rewind`](crate::domain::Machine::rewind).
    pub fn rewind(&mut self, durable: Seq) {
        while let Some((key, before)) = self.unsettled.pop_after(durable) {
            match key {
                Key::Account(id) => drop(self.remove_account(id)),
                Key::Token(hash) => drop(self.remove_token(&hash)),
            }
            match before {
                Some(Row::Account(account)) => self.insert_account(account),
                Some(Row::Token(token)) => self.insert_token(token),
                None => {}
            }
        }
    }

    fn insert_account(&mut self, account: Account) {
        let known_by = (account.origin, account.subject.clone());
        let other = self.subjects.insert(known_by, account.id);
        assert!(other.is_none(), "two accounts are known by one subject");
        self.listed.insert(account.list_key(), account.id);
        self.accounts.insert(account.id, account);
    }

    fn remove_account(&mut self, id: AccountId) -> Option<Account> {
        let account = self.accounts.remove(&id)?;
        self.subjects.remove(&(account.origin, account.subject.clone()));
        self.listed.remove(&account.list_key());
        Some(account)
    }

    fn insert_token(&mut self, token: Token) {
        self.held.entry(token.account).or_default().insert(token.id, token.hash);
        let other = self.tokens.insert(token.hash, token);
        assert!(other.is_none(), "a new token is unlike any other");
    }

    fn remove_token(&mut self, hash: &TokenHash) -> Option<Token> {
        let token = self.tokens.remove(hash)?;
        if let Some(held) = self.held.get_mut(&token.account) {
            held.remove(&token.id);
            if held.is_empty() {
                self.held.remove(&token.account);
            }
        }
        Some(token)
    }
}
