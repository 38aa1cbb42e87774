//! The audit log: who did what, on which name, from where, and how it ended.
//!
//! An entry is a record like any other: it is committed with the change that it speaks of, or
//! neither is. Nothing reads it here; it is read from the store.

use super::values::{AccountId, TokenId, WallTime, text};
use std::{borrow::Borrow, fmt, sync::Arc};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who, from where, when.
    pub by: Provenance,
    /// What.
    pub action: Action,
    /// On which name: of a lock, flag or key, or the id of an account or token.
    pub target: AuditText,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// What more there is to say.
    pub detail: Option<AuditText>,
}

/// Where a change comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// On whose behalf.
    pub who: Who,
    /// The address of the client, as far as it is known.
    pub from: AuditText,
    /// The id of the request.
    pub request: AuditText,
    /// The wall clock.
    pub at: WallTime,
}

/// On whose behalf something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// An account, by one of its tokens.
    Token(AccountId, TokenId),
    /// An account that has just shown who it is, and has no token yet.
    Account(AccountId),
    /// Whoever knows the key of the administrator.
    AdminKey,
    /// Nobody knows.
    Stranger,
    /// The server itself.
    Server,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Somebody signed in, in a browser.
    SignIn,
    /// A terminal was let in by somebody who signed in for it.
    DeviceSignIn,
    /// A workload traded its issuer's token for one of ours.
    TokenExchange,
    /// A token was made.
    TokenCreate,
    /// A token was replaced.
    TokenRotate,
    /// A token was revoked.
    TokenRevoke,
    /// An account may do nothing any more.
    AccountDisable,
    /// It may again.
    AccountEnable,
    /// It became an administrator, or is none any more.
    AccountRole,
    /// What it may have was changed.
    AccountQuotas,
    /// Somebody's lease was ended by an administrator.
    LockForceRelease,
    /// Somebody asked for administration and was not let in.
    AdminAccess,
    /// A flag was set.
    FlagSet,
    /// A flag was deleted.
    FlagDelete,
    /// A config value was written.
    ConfigSet,
    /// An earlier config value was written again.
    ConfigRollback,
    /// A config key was deleted.
    ConfigDelete,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::SignIn,
        Self::DeviceSignIn,
        Self::TokenExchange,
        Self::TokenCreate,
        Self::TokenRotate,
        Self::TokenRevoke,
        Self::AccountDisable,
        Self::AccountEnable,
        Self::AccountRole,
        Self::AccountQuotas,
        Self::LockForceRelease,
        Self::AdminAccess,
        Self::FlagSet,
        Self::FlagDelete,
        Self::ConfigSet,
        Self::ConfigRollback,
        Self::ConfigDelete,
    ];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::DeviceSignIn => "sign_in.device",
            Self::TokenExchange => "token.exchange",
            Self::TokenCreate => "token.create",
            Self::TokenRotate => "token.rotate",
            Self::TokenRevoke => "token.revoke",
            Self::AccountDisable => "account.disable",
            Self::AccountEnable => "account.enable",
            Self::AccountRole => "account.role",
            Self::AccountQuotas => "account.quotas",
            Self::LockForceRelease => "lock.force_release",
            Self::AdminAccess => "admin.access",
            Self::FlagSet => "flag.set",
            Self::FlagDelete => "flag.delete",
            Self::ConfigSet => "config.set",
            Self::ConfigRollback => "config.rollback",
            Self::ConfigDelete => "config.delete",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
}

impl AuditOutcome {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Refused => "refused",
        }
    }
}

/// Text in the audit log: at most 512 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditText(Arc<str>);

text!(
    AuditText,
    InvalidAuditText,
    |text| text.chars().count() <= AuditText::MAX_CHARS,
    "text in the audit log is at most 512 characters"
);

impl AuditText {
    /// The longest.
    pub const MAX_CHARS: usize = 512;

    /// As much of `text` as there is room for.
    pub fn truncated(text: &str) -> Self {
        let end = text.char_indices().nth(Self::MAX_CHARS).map_or(text.len(), |(at, _)| at);
        Self(text[..end].into())
    }
}

/// The place of an entry in the log: later entries have greater ones, and none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditId(pub u64);

/// Which entries are wanted: the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only entries before this one.
    pub before: Option<AuditId>,
    /// Only what this account did.
    pub account: Option<AccountId>,
    /// Only this.
    pub action: Option<Action>,
    /// Only from this time on.
    pub since: Option<WallTime>,
    /// At most this many.
    pub limit: super::page::PageLimit,
}

/// Entries, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// Each with its place.
    pub entries: Vec<(AuditId, AuditEntry)>,
    /// Whether there are earlier ones.
    pub more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        let long = "ä".repeat(600);
        assert_eq!(AuditText::truncated(&long).as_str().chars().count(), 512);
        assert_eq!(AuditText::truncated("short").as_str(), "short");
    }
}
