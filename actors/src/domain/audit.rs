//! The audit log: who did what, on which name, from where, and how it ended.
//!
//! An entry is a record like any other: it is committed with the change that it speaks of, or
//! neither is. Nothing reads it here; it is read from the store.

use super::{
    Effects,
    page::PageLimit,
    values::{AccountId, TokenId, WallTime, text},
};
use crate::progress::Seq;
use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

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

impl<O> Effects<O> {
    /// Wants it in the audit log that something was done; an empty `detail` is none. Returns its
    /// place: an answer that tells of what was done depends on it.
    pub fn note(&mut self, by: Provenance, action: Action, target: &str, detail: &str) -> Seq {
        self.record(AuditEntry {
            by,
            action,
            target: AuditText::truncated(target),
            outcome: AuditOutcome::Done,
            detail: (!detail.is_empty()).then(|| AuditText::truncated(detail)),
        })
    }
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

impl Who {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token(..) => "token",
            Self::Account(_) => "account",
            Self::AdminKey => "admin_key",
            Self::Stranger => "stranger",
            Self::Server => "server",
        }
    }

    /// The account, if it is known, and the token by which it asked.
    pub const fn parts(self) -> (Option<AccountId>, Option<TokenId>) {
        match self {
            Self::Token(account, token) => (Some(account), Some(token)),
            Self::Account(account) => (Some(account), None),
            Self::AdminKey | Self::Stranger | Self::Server => (None, None),
        }
    }
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
    /// Everything was copied.
    Backup,
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
    /// All of them: a new one stands before the last, so that its absence here does not compile.
    pub const ALL: [Self; Self::ConfigDelete as usize + 1] = [
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
        Self::Backup,
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
            Self::Backup => "backup",
            Self::AdminAccess => "admin.access",
            Self::FlagSet => "flag.set",
            Self::FlagDelete => "flag.delete",
            Self::ConfigSet => "config.set",
            Self::ConfigRollback => "config.rollback",
            Self::ConfigDelete => "config.delete",
        }
    }
}

/// Not a possible [`Action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such action")]
pub struct InvalidAction;

impl FromStr for Action {
    type Err = InvalidAction;

    fn from_str(text: &str) -> Result<Self, InvalidAction> {
        Self::ALL.into_iter().find(|action| action.as_str() == text).ok_or(InvalidAction)
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

/// Text in the audit log: at most 600 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditText(Arc<str>);

text!(
    AuditText,
    InvalidAuditText,
    |text| text.chars().count() <= AuditText::MAX_CHARS,
    "text in the audit log is at most 600 characters"
);

impl AuditText {
    /// The longest.
    pub const MAX_CHARS: usize = 600;

    /// As much of `text` as there is room for.
    pub fn truncated(text: &str) -> Self {
        let end = text.char_indices().nth(Self::MAX_CHARS).map_or(text.len(), |(at, _)| at);
        Self(text[..end].into())
    }
}

/// The place of an entry in the log: later entries have greater ones, and none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditId(pub u64);

/// Which entries are wanted, the latest first. Reading looks at [`AuditQuery::MOST_LOOKED_AT`] of
/// them at a time, whatever is asked for, so that it never takes long.
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
    pub limit: PageLimit,
}

impl AuditQuery {
    /// How many entries are looked at for one page.
    pub const MOST_LOOKED_AT: u16 = 1_000;

    /// Whether `entry` is one of those that are wanted, wherever it stands.
    pub fn wants(&self, entry: &AuditEntry) -> bool {
        let (account, _) = entry.by.who.parts();
        self.account.is_none_or(|wanted| account == Some(wanted))
            && self.action.is_none_or(|wanted| entry.action == wanted)
            && self.since.is_none_or(|since| entry.by.at >= since)
    }
}

/// Entries, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// Each with its place.
    pub entries: Vec<(AuditId, AuditEntry)>,
    /// Where to look on, if not all were looked at: before this one. Nothing of what is wanted
    /// need be there.
    pub next: Option<AuditId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        let long = "ä".repeat(700);
        assert_eq!(AuditText::truncated(&long).as_str().chars().count(), 600);
        assert_eq!(AuditText::truncated("short").as_str(), "short");
    }

    #[test]
    fn an_action_reads_as_it_is_written() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        assert_eq!("lock".parse::<Action>(), Err(InvalidAction));
        assert_eq!(AuditOutcome::Done.as_str(), "ok");
        assert_eq!(AuditOutcome::Refused.as_str(), "refused");
    }

    #[test]
    fn a_query_wants_what_it_names_and_nothing_else() {
        let account = |number| AccountId::from_bytes([number; 16]);
        let entry = AuditEntry {
            by: Provenance {
                who: Who::Account(account(1)),
                from: AuditText::truncated(""),
                request: AuditText::truncated(""),
                at: WallTime::from_millis(5),
            },
            action: Action::FlagSet,
            target: AuditText::truncated("a"),
            outcome: AuditOutcome::Done,
            detail: None,
        };
        let query = AuditQuery::default;
        let since = |millis| Some(WallTime::from_millis(millis));
        for (wanted, query) in [
            (true, query()),
            (true, AuditQuery { account: Some(account(1)), ..query() }),
            (false, AuditQuery { account: Some(account(2)), ..query() }),
            (true, AuditQuery { action: Some(Action::FlagSet), ..query() }),
            (false, AuditQuery { action: Some(Action::FlagDelete), ..query() }),
            (true, AuditQuery { since: since(5), ..query() }),
            (false, AuditQuery { since: since(6), ..query() }),
        ] {
            assert_eq!(query.wants(&entry), wanted, "{query:?}");
        }
        let nobody = Provenance { who: Who::Stranger, ..entry.by.clone() };
        let query = AuditQuery { account: Some(account(1)), ..query() };
        assert!(!query.wants(&AuditEntry { by: nobody, ..entry }));
    }

    #[test]
    fn who_asked_is_written_with_all_that_is_known() {
        let (account, token) = (AccountId::from_bytes([1; 16]), TokenId::from_bytes([2; 16]));
        for (who, written, parts) in [
            (Who::Token(account, token), "token", (Some(account), Some(token))),
            (Who::Account(account), "account", (Some(account), None)),
            (Who::AdminKey, "admin_key", (None, None)),
            (Who::Stranger, "stranger", (None, None)),
            (Who::Server, "server", (None, None)),
        ] {
            assert_eq!((who.as_str(), who.parts()), (written, parts));
        }
    }
}
