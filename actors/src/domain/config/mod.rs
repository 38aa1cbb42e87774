//! Versioned configuration: JSON values with a history.
//!
//! What always holds:
//! - the versions of a key are 1, 2, 3, … without a gap, however many write at once;
//! - a write that names what it replaces ([`Expected`]) happens only if that is still there;
//! - no two states of a key, over deletion and making it anew, have one [`Etag`].

mod machine;

pub use machine::ConfigMachine;

use super::{
    RecordKey,
    audit::Provenance,
    page::{Page, Selection},
    values::{AccountId, Quota, WallTime, is_name_byte, text},
};
use std::{borrow::Borrow, fmt, sync::Arc};

/// A key: 1 to 100 characters of `[A-Za-z0-9._-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigKey(Arc<str>);

text!(
    ConfigKey,
    InvalidConfigKey,
    |text| (1..=100).contains(&text.len()) && text.bytes().all(is_name_byte),
    "a config key has 1 to 100 characters of A-Z, a-z, 0-9, '.', '_' and '-'"
);

/// What a value is for: at most 500 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Description(Arc<str>);

text!(
    Description,
    InvalidDescription,
    |text| text.chars().count() <= 500,
    "a description is at most 500 characters"
);

/// A JSON value as it was sent, byte for byte. Whoever makes one has checked that it is JSON and
/// within its bounds; the machine does not look into it.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Arc<str>);

impl Value {
    /// The largest value: 256 KiB.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// From JSON text; `None` if it is too large.
    pub fn from_json(text: &str) -> Option<Self> {
        (text.len() <= Self::MAX_BYTES).then(|| Self(text.into()))
    }

    /// As JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.0.len())
    }
}

/// The place of a value in the history of its key: 1 is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The first.
    pub const FIRST: Self = Self(1);

    /// `None` for zero and above 2^53 − 1.
    pub fn new(number: u64) -> Option<Self> {
        (1..1 << 53).contains(&number).then_some(Self(number))
    }

    /// As a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Tells one making of a key from every other: random, given by whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub [u8; 16]);

/// Names one state of one key for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Etag {
    /// Which making of the key.
    pub incarnation: Incarnation,
    /// Which version of it.
    pub version: Version,
}

/// What must be there for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is or is not.
    Anything,
    /// No such key.
    Nothing,
    /// The key, in whatever state.
    Something,
    /// The key in one of these states.
    OneOf(Vec<Etag>),
    /// No such key, or in another state than these.
    NoneOf(Vec<Etag>),
}

impl Expected {
    fn is_met_by(&self, present: Option<Etag>) -> bool {
        match self {
            Self::Anything => true,
            Self::Nothing => present.is_none(),
            Self::Something => present.is_some(),
            Self::OneOf(etags) => present.is_some_and(|present| etags.contains(&present)),
            Self::NoneOf(etags) => present.is_none_or(|present| !etags.contains(&present)),
        }
    }
}

/// How much configuration an account may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigQuota {
    /// Keys.
    pub keys: Quota,
    /// Bytes of all values together, history included.
    pub bytes: u64,
    /// Versions of one key that are kept.
    pub history: Quota,
}

/// What the config domain can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigCommand {
    /// Write the next version of a key.
    Put {
        /// Whose.
        account: AccountId,
        /// Which.
        key: ConfigKey,
        /// Its new value.
        value: Value,
        /// What it is for.
        description: Option<Description>,
        /// What it must replace.
        expected: Expected,
        /// For a key that is made by this: new, and unlike any other.
        incarnation: Incarnation,
        /// How much the account may have.
        quota: ConfigQuota,
        /// Who asks.
        by: Provenance,
    },
    /// Write an earlier version once more, as the next.
    Rollback {
        /// Whose.
        account: AccountId,
        /// Which.
        key: ConfigKey,
        /// The version whose value is written.
        version: Version,
        /// What it must replace.
        expected: Expected,
        /// How much the account may have.
        quota: ConfigQuota,
        /// Who asks.
        by: Provenance,
    },
    /// The present version of a key, or an earlier one.
    Get {
        /// Whose.
        account: AccountId,
        /// Which.
        key: ConfigKey,
        /// `None` is the present one.
        version: Option<Version>,
    },
    /// The versions of a key that are kept.
    History {
        /// Whose.
        account: AccountId,
        /// Which.
        key: ConfigKey,
    },
    /// Remove a key and its history.
    Delete {
        /// Whose.
        account: AccountId,
        /// Which.
        key: ConfigKey,
        /// What it must remove.
        expected: Expected,
        /// Who asks.
        by: Provenance,
    },
    /// Which keys does an account have?
    List {
        /// Whose.
        account: AccountId,
        /// Which of them.
        selection: Selection,
    },
    /// How much does each of these have?
    Use {
        /// The accounts.
        accounts: Vec<AccountId>,
    },
}

/// What the config domain answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOutcome {
    /// The version that was written.
    Written(Entry),
    /// The version that was asked for.
    Found(Entry),
    /// The versions that are kept, newest first.
    History(Vec<Entry>),
    /// The key is gone.
    Deleted,
    /// There is no such key, or no such version of it.
    NotFound,
    /// Something else is there than was expected.
    Unexpected,
    /// The account has as much as it may.
    OverQuota(ConfigQuota),
    /// The store has no room.
    NoRoom,
    /// The account's keys, in their present version.
    Keys(Page<Entry>),
    /// How much each has, in the order in which they were asked for.
    Use(Vec<ConfigUse>),
}

/// How much configuration an account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigUse {
    /// Keys.
    pub keys: usize,
    /// Bytes of all values together, history included.
    pub bytes: u64,
}

/// One version of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub account: AccountId,
    /// The key.
    pub key: ConfigKey,
    /// Which making of the key.
    pub incarnation: Incarnation,
    /// Which version of it.
    pub version: Version,
    /// The value.
    pub value: Value,
    /// What it is for.
    pub description: Option<Description>,
    /// When the key was made.
    pub created_at: WallTime,
    /// When this version was written.
    pub updated_at: WallTime,
}

impl Entry {
    /// What names this state of the key.
    pub fn etag(&self) -> Etag {
        Etag { incarnation: self.incarnation, version: self.version }
    }

    fn bytes(&self) -> u64 {
        self.value.0.len() as u64
    }
}

/// A row of the config domain as it must be on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigRecord {
    /// There is this version.
    Version(Entry),
    /// There is no such version (any more).
    NoVersion(AccountId, ConfigKey, Version),
}

impl ConfigRecord {
    /// What the record is the state of.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Version(entry) => {
                RecordKey::Config(entry.account, entry.key.clone(), entry.version)
            }
            Self::NoVersion(account, key, version) => {
                RecordKey::Config(*account, key.clone(), *version)
            }
        }
    }
}
