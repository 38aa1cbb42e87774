//! Feature flags: switches with a percentage rollout.
//!
//! What always holds:
//! - whether a flag is on for a key is a pure function of the flag and the key ([`bucket`]); it
//!   never changes between versions of this code;
//! - raising the percentage only ever adds keys;
//! - two flags choose their keys independently of each other.

mod machine;

pub use machine::FlagMachine;

use super::{
    RecordKey,
    audit::Provenance,
    page::{Page, Selection},
    values::{AccountId, Quota, WallTime, is_word_byte, text},
};
use sha2::{Digest, Sha256};
use std::{borrow::Borrow, fmt, sync::Arc};

/// The name of a flag: 1 to 100 characters of `[A-Za-z0-9_-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagName(Arc<str>);

text!(
    FlagName,
    InvalidFlagName,
    |text| (1..=100).contains(&text.len()) && text.bytes().all(is_word_byte),
    "a flag name has 1 to 100 characters of A-Z, a-z, 0-9, '_' and '-'"
);

/// How many of a hundred keys a flag is on for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percentage(u8);

/// Not a possible [`Percentage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("percentage must be a whole number between 0 and 100")]
pub struct InvalidPercentage;

impl Percentage {
    /// Checks the bounds.
    pub fn new(percent: u64) -> Result<Self, InvalidPercentage> {
        u8::try_from(percent).ok().filter(|&p| p <= 100).map(Self).ok_or(InvalidPercentage)
    }

    /// As a number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// How finely keys are told apart: a hundredth of a percent.
const BUCKETS: u32 = 10_000;

/// Which of the 10,000 buckets `key` falls into under the flag `name`: the first eight bytes of
/// SHA-256 of the name, a zero byte and the key, as a fraction of all there can be. Fixed for
/// ever by golden vectors: people's rollouts depend on it.
pub fn bucket(name: &FlagName, key: impl AsRef<[u8]>) -> u32 {
    let digest =
        Sha256::new().chain_update(name.as_str()).chain_update([0]).chain_update(key).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    let share = (u128::from(u64::from_be_bytes(first)) * u128::from(BUCKETS)) >> 64;
    // Below BUCKETS, as the fraction is below one.
    u32::try_from(share).unwrap_or(BUCKETS - 1)
}

/// What the flag domain can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagCommand {
    /// Make a flag, or set it anew.
    Set {
        /// Whose.
        account: AccountId,
        /// Which.
        name: FlagName,
        /// Whether it is on at all.
        enabled: bool,
        /// For how many keys; `None` is all.
        percentage: Option<Percentage>,
        /// How many flags the account may have.
        quota: Quota,
        /// Who asks.
        by: Provenance,
    },
    /// The flag as it is stored.
    Get {
        /// Whose.
        account: AccountId,
        /// Which.
        name: FlagName,
    },
    /// Remove a flag.
    Delete {
        /// Whose.
        account: AccountId,
        /// Which.
        name: FlagName,
        /// Who asks.
        by: Provenance,
    },
    /// Which flags does an account have?
    List {
        /// Whose.
        account: AccountId,
        /// Which of them.
        selection: Selection,
    },
    /// How many flags does each of these have?
    Use {
        /// The accounts.
        accounts: Vec<AccountId>,
    },
}

/// What the flag domain answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagOutcome {
    /// The flag as it is stored now.
    Set(Flag),
    /// The flag as it stands: `None` is none.
    Status(Option<Flag>),
    /// The flag is gone.
    Deleted,
    /// There is no such flag.
    NotFound,
    /// The account has as many flags as it may.
    OverQuota(Quota),
    /// The store has no room.
    NoRoom,
    /// The account's flags.
    Flags(Page<Flag>),
    /// How many flags each has, in the order in which they were asked for.
    Use(Vec<usize>),
}

/// A flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Whose.
    pub account: AccountId,
    /// Its name.
    pub name: FlagName,
    /// Whether it is on at all.
    pub enabled: bool,
    /// For how many keys; `None` is all.
    pub percentage: Option<Percentage>,
    /// When it was made.
    pub created_at: WallTime,
    /// When it was last set.
    pub updated_at: WallTime,
}

impl Flag {
    /// How it is set, for the audit log: `enabled, 25 %`.
    fn setting(&self) -> String {
        let enabled = if self.enabled { "enabled" } else { "disabled" };
        match self.percentage {
            Some(percentage) => format!("{enabled}, {} %", percentage.get()),
            None => enabled.to_owned(),
        }
    }

    /// Whether the flag is on for `key`.
    pub fn is_on_for(&self, key: impl AsRef<[u8]>) -> bool {
        self.enabled
            && self.percentage.is_none_or(|percentage| {
                bucket(&self.name, key) < u32::from(percentage.get()) * (BUCKETS / 100)
            })
    }
}

/// A row of the flag domain as it must be on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagRecord {
    /// The flag is so.
    Set(Flag),
    /// There is no such flag.
    Gone(AccountId, FlagName),
}

impl FlagRecord {
    /// What the record is the state of.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Set(flag) => RecordKey::Flag(flag.account, flag.name.clone()),
            Self::Gone(account, name) => RecordKey::Flag(*account, name.clone()),
        }
    }
}
