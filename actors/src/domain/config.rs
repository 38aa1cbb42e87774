//! Versioned configuration: JSON values with a history.
//!
//! What always holds:
//! - the versions of a key are 1, 2, 3, … without a gap, however many write at once;
//! - a write that names what it replaces ([`Expected`]) happens only if that is still there;
//! - no two states of a key, over deletion and making it anew, have one [`Etag`].

use super::{
    Effects, Machine, Moment, RecordKey, Room, Table, Ticket, Unsettled,
    page::{Page, Selection},
    values::{AccountId, Quota, WallTime, is_name_byte, text},
};
use crate::{progress::Seq, time::Instant};
use std::{
    borrow::Borrow,
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
};

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
        /// The wall clock.
        at: WallTime,
        /// How much the account may have.
        quota: ConfigQuota,
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
        /// The wall clock.
        at: WallTime,
        /// How much the account may have.
        quota: ConfigQuota,
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
    },
    /// Which keys does an account have?
    List {
        /// Whose.
        account: AccountId,
        /// Which of them.
        selection: Selection,
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

/// The versions of one key, oldest first; never empty, and without gaps.
type History = VecDeque<Entry>;

/// The config domain.
#[derive(Debug, Default)]
pub struct ConfigMachine {
    accounts: Table<AccountId, Account>,
    unsettled: Unsettled<(AccountId, ConfigKey), Arc<History>>,
}

#[derive(Debug, Default)]
struct Account {
    keys: BTreeMap<ConfigKey, Arc<History>>,
    bytes: u64,
}

impl ConfigMachine {
    /// The machine as it was when `entries` were what is on disk: the versions of each key in
    /// their order.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut machine = Self::default();
        for entry in entries {
            let (account, key) = (entry.account, entry.key.clone());
            let mut history = machine.take(account, &key).unwrap_or_default();
            let previous = history.back().map(|last| last.version.next());
            assert!(previous.is_none_or(|next| next == entry.version), "a history has a gap");
            Arc::make_mut(&mut history).push_back(entry);
            machine.put(account, key, history);
        }
        machine
    }

    fn write(
        &mut self,
        moment: Moment,
        mut entry: Entry,
        expected: &Expected,
        quota: ConfigQuota,
        effects: &mut Effects<ConfigOutcome>,
    ) -> (ConfigOutcome, Seq) {
        let (account, key) = (entry.account, entry.key.clone());
        let present = self.find(account, &key).cloned();
        let last = present.as_ref().and_then(|history| history.back());
        if !expected.is_met_by(last.map(Entry::etag)) {
            return (ConfigOutcome::Unexpected, self.depends_on(account, &key));
        }
        if self.is_over(quota, &entry, present.as_deref()) {
            return (ConfigOutcome::OverQuota(quota), effects.last());
        }
        match moment.room {
            Room::Available => {}
            Room::Exhausted => return (ConfigOutcome::NoRoom, Seq::NONE),
        }
        if let Some(last) = last {
            entry.incarnation = last.incarnation;
            entry.version = last.version.next();
            entry.created_at = last.created_at;
            entry.updated_at = entry.updated_at.max(last.updated_at);
        }
        let mut history = present.as_deref().cloned().unwrap_or_default();
        history.push_back(entry.clone());
        while history.len() > quota.history.get() as usize {
            let Some(oldest) = history.pop_front() else { break };
            effects.record(ConfigRecord::NoVersion(account, key.clone(), oldest.version));
        }
        let seq = effects.record(ConfigRecord::Version(entry.clone()));
        self.put(account, key.clone(), Arc::new(history));
        self.unsettled.changed(seq, (account, key), present);
        (ConfigOutcome::Written(entry), seq)
    }

    /// Whether one more version would be more than the account may have.
    fn is_over(&self, quota: ConfigQuota, entry: &Entry, present: Option<&History>) -> bool {
        let (keys, bytes) =
            self.accounts.get(&entry.account).map_or((0, 0), |a| (a.keys.len(), a.bytes));
        // What the history lets go of when this version comes.
        let full = |history: &&History| history.len() >= quota.history.get() as usize;
        let freed = present.filter(full).and_then(VecDeque::front).map_or(0, Entry::bytes);
        (present.is_none() && keys >= quota.keys.get() as usize)
            || bytes + entry.bytes() - freed.min(bytes) > quota.bytes
    }

    fn rollback(
        &mut self,
        moment: Moment,
        (account, key): (AccountId, ConfigKey),
        version: Version,
        (expected, at): (&Expected, WallTime),
        quota: ConfigQuota,
        effects: &mut Effects<ConfigOutcome>,
    ) -> (ConfigOutcome, Seq) {
        match self.find_version(account, &key, Some(version)) {
            Some(earlier) => {
                let again = Entry { updated_at: at, ..earlier.clone() };
                self.write(moment, again, expected, quota, effects)
            }
            None => (ConfigOutcome::NotFound, self.depends_on(account, &key)),
        }
    }

    fn get(
        &self,
        account: AccountId,
        key: &ConfigKey,
        version: Option<Version>,
    ) -> (ConfigOutcome, Seq) {
        let entry = self.find_version(account, key, version);
        let outcome =
            entry.map_or(ConfigOutcome::NotFound, |entry| ConfigOutcome::Found(entry.clone()));
        (outcome, self.depends_on(account, key))
    }

    fn history(&self, account: AccountId, key: &ConfigKey) -> (ConfigOutcome, Seq) {
        let outcome = self.find(account, key).map_or(ConfigOutcome::NotFound, |history| {
            ConfigOutcome::History(history.iter().rev().cloned().collect())
        });
        (outcome, self.depends_on(account, key))
    }

    fn delete(
        &mut self,
        account: AccountId,
        key: ConfigKey,
        expected: &Expected,
        effects: &mut Effects<ConfigOutcome>,
    ) -> (ConfigOutcome, Seq) {
        let present = self.find(account, &key).and_then(|history| history.back());
        if !expected.is_met_by(present.map(Entry::etag)) {
            return (ConfigOutcome::Unexpected, self.depends_on(account, &key));
        }
        let Some(history) = self.take(account, &key) else {
            return (ConfigOutcome::NotFound, self.depends_on(account, &key));
        };
        let mut seq = effects.last();
        for entry in history.iter() {
            seq = effects.record(ConfigRecord::NoVersion(account, key.clone(), entry.version));
        }
        self.unsettled.changed(seq, (account, key), Some(history));
        (ConfigOutcome::Deleted, seq)
    }

    fn list(
        &self,
        account: AccountId,
        selection: &Selection,
        effects: &Effects<ConfigOutcome>,
    ) -> (ConfigOutcome, Seq) {
        let keys = self.accounts.get(&account).map(|account| &account.keys);
        let page = selection.of(keys).filter_map(|(_, history)| history.back().cloned());
        (ConfigOutcome::Keys(page), effects.last())
    }

    fn depends_on(&self, account: AccountId, key: &ConfigKey) -> Seq {
        self.unsettled.depends_on(&(account, key.clone()))
    }

    fn find_version(
        &self,
        account: AccountId,
        key: &ConfigKey,
        version: Option<Version>,
    ) -> Option<&Entry> {
        let history = self.find(account, key)?;
        let Some(version) = version else { return history.back() };
        let first = history.front()?.version;
        let index = version.0.checked_sub(first.0)?;
        history.get(usize::try_from(index).ok()?)
    }

    fn find(&self, account: AccountId, key: &ConfigKey) -> Option<&Arc<History>> {
        self.accounts.get(&account)?.keys.get(key)
    }

    fn put(&mut self, account: AccountId, key: ConfigKey, history: Arc<History>) {
        self.take(account, &key);
        let account = self.accounts.entry(account).or_default();
        account.bytes += history.iter().map(Entry::bytes).sum::<u64>();
        account.keys.insert(key, history);
    }

    fn take(&mut self, account: AccountId, key: &ConfigKey) -> Option<Arc<History>> {
        let of_account = self.accounts.get_mut(&account)?;
        let history = of_account.keys.remove(key)?;
        of_account.bytes -= history.iter().map(Entry::bytes).sum::<u64>();
        if of_account.keys.is_empty() {
            self.accounts.remove(&account);
        }
        Some(history)
    }
}

impl Machine for ConfigMachine {
    type Command = ConfigCommand;
    type Outcome = ConfigOutcome;

    fn apply(
        &mut self,
        moment: Moment,
        ticket: Ticket,
        command: ConfigCommand,
        effects: &mut Effects<ConfigOutcome>,
    ) {
        let (outcome, depends_on) = match command {
            ConfigCommand::Put {
                account,
                key,
                value,
                description,
                expected,
                incarnation,
                at,
                quota,
            } => {
                let entry = Entry {
                    account,
                    key,
                    incarnation,
                    version: Version::FIRST,
                    value,
                    description,
                    created_at: at,
                    updated_at: at,
                };
                self.write(moment, entry, &expected, quota, effects)
            }
            ConfigCommand::Rollback { account, key, version, expected, at, quota } => {
                self.rollback(moment, (account, key), version, (&expected, at), quota, effects)
            }
            ConfigCommand::Get { account, key, version } => self.get(account, &key, version),
            ConfigCommand::History { account, key } => self.history(account, &key),
            ConfigCommand::Delete { account, key, expected } => {
                self.delete(account, key, &expected, effects)
            }
            ConfigCommand::List { account, selection } => self.list(account, &selection, effects),
        };
        effects.answer(ticket, outcome, depends_on);
    }

    /// A change whose answer reached nobody stands: it was asked for.
    fn undelivered(&mut self, _: ConfigOutcome, _: &mut Effects<ConfigOutcome>) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn on_deadline(&mut self, _: Instant, _: &mut Effects<ConfigOutcome>) {}

    fn settle(&mut self, durable: Seq) {
        self.unsettled.settle(durable);
    }

    fn rewind(&mut self, durable: Seq) {
        while let Some(((account, key), before)) = self.unsettled.pop_after(durable) {
            self.take(account, &key);
            if let Some(history) = before {
                self.put(account, key, history);
            }
        }
    }

    fn close(&mut self, _: &mut Effects<ConfigOutcome>) {}
}
