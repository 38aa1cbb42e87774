//! Accounts and their bearer tokens.
//!
//! What always holds: a live token belongs to one account; a token never has more scope, or a
//! longer life, than the one that made it; a configured token that was rotated away stays on
//! record as dead, so that no configuration brings it back.
//!
//! Looking a token up is not asked here: handlers read a view of what was committed. This
//! machine decides changes, one at a time, so that of two rotations of one token one wins.

mod machine;
mod rows;
pub mod scope;

pub use machine::AccountMachine;

use super::{
    RecordKey,
    audit::{AuditEntry, Provenance},
    page::{Page, Selection},
    values::{AccountId, AccountName, Quota, TokenHash, TokenId, WallTime, text},
};
use scope::Scope;
use std::{borrow::Borrow, fmt, sync::Arc};

/// What the account domain can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountCommand {
    /// Replace a token by a fresh one with the same rights.
    Rotate {
        /// The token that asks, which will be gone.
        presented: TokenHash,
        /// The one that takes its place: new, and unlike any other.
        fresh: TokenHash,
        /// Its id.
        id: TokenId,
        /// Who asks.
        by: Provenance,
    },
    /// Make another token of the account of the one that asks.
    Issue {
        /// The token that asks.
        presented: TokenHash,
        /// The one to be made.
        token: NewToken,
        /// How many tokens like that the account may have.
        quota: Quota,
        /// Who asks.
        by: Provenance,
    },
    /// Let somebody in who has shown who it is: the account is made if there is none.
    Admit {
        /// Where the account comes from.
        origin: Origin,
        /// What it is known by there.
        subject: Subject,
        /// How it is called now.
        name: AccountName,
        /// The id of the account if it is made: new, and unlike any other.
        account: AccountId,
        /// The token it gets.
        token: NewToken,
        /// How many tokens like that the account may have.
        quota: Quota,
        /// What it did to get in, for the audit log.
        action: super::audit::Action,
        /// Who asks.
        by: Provenance,
    },
    /// End a token for good.
    Revoke {
        /// The account that asks.
        account: AccountId,
        /// The scope of the token that asks: it ends none that may more than itself.
        scope: Scope,
        /// Which.
        token: TokenId,
        /// Who asks.
        by: Provenance,
    },
    /// A token was used.
    Used {
        /// Which.
        token: TokenHash,
        /// When.
        at: WallTime,
    },
    /// Which tokens does an account have?
    Tokens {
        /// The account that asks.
        account: AccountId,
        /// The scope of the token that asks: it sees none that may more than itself.
        scope: Scope,
        /// The wall clock: what has run out is not listed.
        at: WallTime,
    },
    /// Which accounts are there?
    Accounts(Selection),
    /// One account.
    Account(AccountId),
    /// Change what an account may.
    Change {
        /// Which.
        account: AccountId,
        /// What.
        change: Change,
        /// Who asks.
        by: Provenance,
    },
    /// Write into the audit log what no machine decides.
    Note(AuditEntry),
}

/// What an administrator changes of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Whether it may do anything.
    Standing(Standing),
    /// Whether it is an administrator.
    Role(Role),
    /// What it may have.
    Quotas(Allowance),
}

/// What the account domain answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountOutcome {
    /// The old token is gone, the fresh one lives.
    Rotated {
        /// The old one.
        replaced: Token,
        /// The fresh one.
        fresh: Token,
    },
    /// A new token lives.
    Issued(Account, Token),
    /// The token is gone.
    Revoked(Token),
    /// The tokens of an account, in the order they were made.
    Tokens(Vec<Token>),
    /// Accounts, in order of their names; what a page continues after is [`Account::list_key`].
    Accounts(Page<Account>),
    /// An account, as it is now.
    Account(Account),
    /// The presented token is not alive (any more).
    UnknownToken,
    /// There is no such account or token.
    NotFound,
    /// The new token would have more scope, or a longer life, than the one that asks.
    Exceeds,
    /// The account has as many tokens as it may.
    OverQuota(Quota),
    /// The account may do nothing.
    Disabled(AccountId),
    /// Whoever asks for a change does not administer (any more).
    NotAdmin,
    /// The store has no room.
    NoRoom,
    /// Noted.
    Noted,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its identity.
    pub id: AccountId,
    /// Where it comes from.
    pub origin: Origin,
    /// What it is known by there: with `origin`, what makes it one and the same for ever.
    pub subject: Subject,
    /// How people call it: the `holder` of its locks. It may change.
    pub name: AccountName,
    /// Whether it is an administrator.
    pub role: Role,
    /// Whether it may do anything.
    pub standing: Standing,
    /// What it may have, where that is not what everybody may have.
    pub allowance: Allowance,
    /// When it was made.
    pub created_at: WallTime,
}

impl Account {
    /// What lists are in the order of: its name, and its id, because names repeat.
    pub fn list_key(&self) -> String {
        format!("{} {}", self.name, self.id)
    }
}

/// Where an account comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Named in the configuration. The subject is the name.
    Static,
    /// Made by the server itself at its first start. The subject is the name.
    Local,
    /// GitHub. The subject is the numeric id: logins are renamed, and given to others. Of an
    /// Enterprise host it is that host, a space, and its id.
    GitHub,
    /// An OpenID Connect provider. The subject is the issuer, a space, and the issuer's subject.
    OpenId,
}

/// What an account is known by where it comes from: 1 to 1,024 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

text!(
    Subject,
    InvalidSubject,
    |text| (1..=1024).contains(&text.chars().count()),
    "a subject has 1 to 1,024 characters"
);

impl From<&AccountName> for Subject {
    fn from(name: &AccountName) -> Self {
        Self(name.as_str().into())
    }
}

/// Whether an account is an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is not.
    Member,
    /// It is.
    Admin,
}

/// Whether an account may do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Enabled,
    /// None of its tokens opens anything.
    Disabled,
}

/// What an account may have; `None` is what everybody may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Locks held at once.
    pub locks: Option<Quota>,
    /// Rate limiters at once.
    pub limits: Option<Quota>,
    /// Feature flags.
    pub flags: Option<Quota>,
    /// Config keys.
    pub configs: Option<Quota>,
    /// Requests a second.
    pub requests_per_second: Option<Quota>,
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            ("locks", self.locks),
            ("limits", self.limits),
            ("flags", self.flags),
            ("configs", self.configs),
            ("requests_per_second", self.requests_per_second),
        ];
        let mut own = all.iter().filter_map(|(name, quota)| Some((name, (*quota)?)));
        let Some((name, first)) = own.next() else { return f.write_str("as everybody") };
        write!(f, "{name} {}", first.get())?;
        own.try_for_each(|(name, quota)| write!(f, ", {name} {}", quota.get()))
    }
}

/// A bearer token, known by its hash alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is known by.
    pub hash: TokenHash,
    /// What people call it by; it opens nothing.
    pub id: TokenId,
    /// Whose it is.
    pub account: AccountId,
    /// What it is for.
    pub name: TokenName,
    /// Where it comes from.
    pub source: TokenSource,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: WallTime,
    /// When it ends by itself.
    pub expires_at: Option<WallTime>,
    /// When it was last used, to about an hour.
    pub last_used_at: Option<WallTime>,
    /// Whether it opens anything.
    pub state: TokenState,
}

impl Token {
    /// Whether it opens anything at `now`.
    pub fn is_live(&self, now: WallTime) -> bool {
        self.state == TokenState::Live && self.expires_at.is_none_or(|end| now < end)
    }
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// New, and unlike any other.
    pub hash: TokenHash,
    /// New, and unlike any other.
    pub id: TokenId,
    /// What it is for.
    pub name: TokenName,
    /// Where it comes from.
    pub source: TokenSource,
    /// What it may do; `None` is as much as the token that asks.
    pub scope: Option<Scope>,
    /// When it ends by itself; `None` is when the token that asks does.
    pub expires_at: Option<WallTime>,
}

/// What a token is for: 1 to 100 characters, none of them a control character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenName(Arc<str>);

text!(
    TokenName,
    InvalidTokenName,
    |text| (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control),
    "a token name has 1 to 100 characters, none of them a control character"
);

/// Where a token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// The configuration: it lives while it is configured.
    Static,
    /// Somebody asked for it, or the server made it at its first start.
    Issued,
    /// Somebody signed in. The oldest makes room for the newest.
    SignIn,
    /// A workload traded its issuer's token for it.
    Workload,
}

/// Whether a token opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It does.
    Live,
    /// It was configured and rotated away, and stays dead.
    Dead,
}

/// A row of the account domain as it must be on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountRecord {
    /// The account is so.
    Account(Account),
    /// The token is so.
    Token(Token),
    /// There is no such token.
    NoToken(TokenHash),
}

impl AccountRecord {
    /// What the record is the state of.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Account(account) => RecordKey::Account(account.id),
            Self::Token(token) => RecordKey::Token(token.hash),
            Self::NoToken(hash) => RecordKey::Token(*hash),
        }
    }
}
