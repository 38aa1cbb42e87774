//! Feature flags: switches with a percentage rollout.
//!
//! What always holds:
//! - whether a flag is on for a key is a pure function of the flag and the key ([`bucket`]); it
//!   never changes between versions of this code;
//! - raising the percentage only ever adds keys;
//! - two flags choose their keys independently of each other.

use super::{
    Effects, Machine, Moment, RecordKey, Room, Table, Ticket, Unsettled,
    page::{Page, Selection},
    values::{AccountId, Quota, WallTime, is_word_byte, text},
};
use crate::{progress::Seq, time::Instant};
use sha2::{Digest, Sha256};
use std::{borrow::Borrow, collections::BTreeMap, fmt, sync::Arc};

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
pub fn bucket(name: &FlagName, key: &str) -> u32 {
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
        /// The wall clock.
        at: WallTime,
        /// How many flags the account may have.
        quota: Quota,
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
    },
    /// Which flags does an account have?
    List {
        /// Whose.
        account: AccountId,
        /// Which of them.
        selection: Selection,
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
    /// Whether the flag is on for `key`.
    pub fn is_on_for(&self, key: &str) -> bool {
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

/// The flag domain.
#[derive(Debug, Default)]
pub struct FlagMachine {
    flags: Table<AccountId, BTreeMap<FlagName, Flag>>,
    unsettled: Unsettled<(AccountId, FlagName), Flag>,
}

impl FlagMachine {
    /// The machine as it was when `flags` were what is on disk.
    pub fn new(flags: impl IntoIterator<Item = Flag>) -> Self {
        let mut machine = Self::default();
        for flag in flags {
            machine.put(flag);
        }
        machine
    }

    fn set(
        &mut self,
        moment: Moment,
        mut flag: Flag,
        quota: Quota,
        effects: &mut Effects<FlagOutcome>,
    ) -> (FlagOutcome, Seq) {
        match self.find(flag.account, &flag.name) {
            Some(before) => {
                flag.created_at = before.created_at;
                flag.updated_at = flag.updated_at.max(before.updated_at);
            }
            None => {
                let having = self.flags.get(&flag.account).map_or(0, BTreeMap::len);
                if having >= quota.get() as usize {
                    return (FlagOutcome::OverQuota(quota), effects.last());
                }
            }
        }
        match moment.room {
            Room::Available => {}
            Room::Exhausted => return (FlagOutcome::NoRoom, Seq::NONE),
        }
        let seq = effects.record(FlagRecord::Set(flag.clone()));
        let before = self.put(flag.clone());
        self.unsettled.changed(seq, (flag.account, flag.name.clone()), before);
        (FlagOutcome::Set(flag), seq)
    }

    fn get(&self, account: AccountId, name: FlagName) -> (FlagOutcome, Seq) {
        let flag = self.find(account, &name).cloned();
        (FlagOutcome::Status(flag), self.unsettled.depends_on(&(account, name)))
    }

    fn delete(
        &mut self,
        account: AccountId,
        name: FlagName,
        effects: &mut Effects<FlagOutcome>,
    ) -> (FlagOutcome, Seq) {
        let Some(before) = self.take(account, &name) else {
            return (FlagOutcome::NotFound, self.unsettled.depends_on(&(account, name)));
        };
        let seq = effects.record(FlagRecord::Gone(account, name.clone()));
        self.unsettled.changed(seq, (account, name), Some(before));
        (FlagOutcome::Deleted, seq)
    }

    fn list(
        &self,
        account: AccountId,
        selection: &Selection,
        effects: &Effects<FlagOutcome>,
    ) -> (FlagOutcome, Seq) {
        let page = selection.of(self.flags.get(&account)).map(|(_, flag)| flag.clone());
        (FlagOutcome::Flags(page), effects.last())
    }

    fn find(&self, account: AccountId, name: &FlagName) -> Option<&Flag> {
        self.flags.get(&account)?.get(name)
    }

    fn put(&mut self, flag: Flag) -> Option<Flag> {
        self.flags.entry(flag.account).or_default().insert(flag.name.clone(), flag)
    }

    fn take(&mut self, account: AccountId, name: &FlagName) -> Option<Flag> {
        let flags = self.flags.get_mut(&account)?;
        let flag = flags.remove(name);
        if flags.is_empty() {
            self.flags.remove(&account);
        }
        flag
    }
}

impl Machine for FlagMachine {
    type Command = FlagCommand;
    type Outcome = FlagOutcome;

    fn apply(
        &mut self,
        moment: Moment,
        ticket: Ticket,
        command: FlagCommand,
        effects: &mut Effects<FlagOutcome>,
    ) {
        let (outcome, depends_on) = match command {
            FlagCommand::Set { account, name, enabled, percentage, at, quota } => {
                let flag =
                    Flag { account, name, enabled, percentage, created_at: at, updated_at: at };
                self.set(moment, flag, quota, effects)
            }
            FlagCommand::Get { account, name } => self.get(account, name),
            FlagCommand::Delete { account, name } => self.delete(account, name, effects),
            FlagCommand::List { account, selection } => self.list(account, &selection, effects),
        };
        effects.answer(ticket, outcome, depends_on);
    }

    /// A change whose answer reached nobody stands: it was asked for.
    fn undelivered(&mut self, _: FlagOutcome, _: &mut Effects<FlagOutcome>) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn on_deadline(&mut self, _: Instant, _: &mut Effects<FlagOutcome>) {}

    fn settle(&mut self, durable: Seq) {
        self.unsettled.settle(durable);
    }

    fn rewind(&mut self, durable: Seq) {
        while let Some(((account, name), before)) = self.unsettled.pop_after(durable) {
            self.take(account, &name);
            if let Some(flag) = before {
                self.put(flag);
            }
        }
    }

    fn close(&mut self, _: &mut Effects<FlagOutcome>) {}
}
