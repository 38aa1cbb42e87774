//! Negative controls: the same server, broken in one place on purpose. What is shipped is wrapped,
//! never changed. A simulator that does not notice one of these tests nothing.

use crate::{
    disk::Syncs,
    oracle::Promise,
    server::{Ask, Close},
};
use octostore::store::SqliteStore;
use octostore_actors::{
    commit::{Pressure, Store, StoreFailure, Unreadable, Verdict},
    domain::{
        Record,
        account::AccountRecord,
        audit::{AuditPage, AuditQuery},
        config::{ConfigCommand, ConfigRecord, Expected},
        flag::FlagRecord,
        limiter::LimitRecord,
        lock::{LockCommand, LockRecord},
        values::{FencingToken, Quota, Ttl},
    },
    snapshot::Snapshot,
};
use std::time::Duration;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Break {
    /// The disk says that it has synced, and has not.
    NoSync,
    /// The journal is synced only before a checkpoint, as with `synchronous=NORMAL`.
    LateSync,
    /// Answers are let go one commit before their own.
    EarlyAnswers,
    /// A commit that failed counts as one that did not.
    FailuresIgnored,
    /// A commit for which there was no room counts as one for which there was.
    NoRoomIgnored,
    /// Now and then a record is left out of its commit.
    LostRecord,
    /// Leases are not written down.
    HeldForgotten,
    /// The end of a lease is not written down.
    FreeForgotten,
    /// A new mark of the fencing tokens is not written down.
    MarkForgotten,
    /// What limits have admitted is not written down.
    LimitForgotten,
    /// Flags are not written down.
    FlagForgotten,
    /// The end of a flag is not written down.
    NoFlagForgotten,
    /// Versions of config keys are not written down.
    ConfigForgotten,
    /// The end of a version is not written down.
    NoConfigForgotten,
    /// Accounts that change are not written down.
    AccountForgotten,
    /// Tokens that are made, or stay dead, are not written down.
    TokenForgotten,
    /// The end of a token is not written down.
    NoTokenForgotten,
    /// Entries of the audit log are not written down.
    AuditForgotten,
    /// A new mark of the fencing tokens is written as what was granted so far.
    MarkNotReserved,
    /// What limits may admit ahead is not written down.
    CreditNotReserved,
    /// Leases run on the wall clock.
    WallClock,
    /// A reboot is taken for a restart.
    SameBoot,
    /// A restart is taken for a reboot.
    NewBoot,
    /// Leases are a second shorter than was asked for.
    ShortLeases,
    /// What could not be delivered is not given back.
    NotGivenBack,
    /// Config is written whatever its writer expects to find.
    AnythingExpected,
    /// Whoever asks may have as many locks as there are.
    NoQuota,
}

impl Break {
    /// The promise that it breaks.
    pub fn promise(self) -> Promise {
        match self {
            Self::NoSync
            | Self::LateSync
            | Self::EarlyAnswers
            | Self::FailuresIgnored
            | Self::NoRoomIgnored
            | Self::LostRecord
            | Self::HeldForgotten
            | Self::FreeForgotten
            | Self::TokenForgotten
            | Self::NoTokenForgotten
            | Self::AccountForgotten
            | Self::AuditForgotten => Promise::Durability,
            Self::FlagForgotten
            | Self::NoFlagForgotten
            | Self::ConfigForgotten
            | Self::NoConfigForgotten
            | Self::AnythingExpected => Promise::Linearizability,
            Self::MarkForgotten | Self::MarkNotReserved => Promise::Fencing,
            Self::LimitForgotten | Self::CreditNotReserved => Promise::Limits,
            Self::WallClock | Self::SameBoot | Self::NewBoot | Self::ShortLeases => Promise::Time,
            Self::NotGivenBack => Promise::NoGhosts,
            Self::NoQuota => Promise::Bounded,
        }
    }

    /// How the disk treats a sync.
    pub fn syncs(broken: Option<Self>) -> Syncs {
        match broken {
            Some(Self::NoSync) => Syncs::Ignored,
            Some(Self::LateSync) => Syncs::JournalLate,
            Some(_) | None => Syncs::Honest,
        }
    }

    /// What the server makes of a request.
    pub fn hears(self, ask: Ask) -> Ask {
        match (self, ask) {
            (Self::AnythingExpected, Ask::Config(mut command)) => {
                if let ConfigCommand::Put { expected, .. }
                | ConfigCommand::Rollback { expected, .. }
                | ConfigCommand::Delete { expected, .. } = &mut command
                {
                    *expected = Expected::Anything;
                }
                Ask::Config(command)
            }
            (Self::NoQuota, Ask::Lock(mut command)) => {
                if let LockCommand::Acquire { quota, .. } = &mut command {
                    *quota = Quota::new(u32::MAX);
                }
                Ask::Lock(command)
            }
            (Self::ShortLeases, Ask::Lock(mut command)) => {
                if let LockCommand::Acquire { ttl, .. } | LockCommand::Renew { ttl, .. } =
                    &mut command
                    && let Ok(shorter) = Ttl::from_seconds(u64::from(ttl.as_seconds()) - 1)
                {
                    *ttl = shorter;
                }
                Ask::Lock(command)
            }
            (_, ask) => ask,
        }
    }

    /// Whether a record never reaches the disk.
    fn forgets(self, record: &Record) -> bool {
        matches!(
            (self, record),
            (Self::HeldForgotten, Record::Lock(LockRecord::Held(_)))
                | (Self::FreeForgotten, Record::Lock(LockRecord::Free(_)))
                | (Self::MarkForgotten, Record::Lock(LockRecord::TokenMark(_)))
                | (Self::LimitForgotten, Record::Limit(LimitRecord::Reserved(_)))
                | (Self::FlagForgotten, Record::Flag(FlagRecord::Set(_)))
                | (Self::NoFlagForgotten, Record::Flag(FlagRecord::Gone(..)))
                | (Self::ConfigForgotten, Record::Config(ConfigRecord::Version(_)))
                | (Self::NoConfigForgotten, Record::Config(ConfigRecord::NoVersion(..)))
                | (Self::AccountForgotten, Record::Account(AccountRecord::Account(_)))
                | (Self::TokenForgotten, Record::Account(AccountRecord::Token(_)))
                | (Self::NoTokenForgotten, Record::Account(AccountRecord::NoToken(_)))
                | (Self::AuditForgotten, Record::Audit(_))
        )
    }
}

/// A store that does not quite do what it says.
pub struct BrokenStore {
    store: SqliteStore,
    broken: Break,
    /// What was said to be committed and is not.
    owed: Vec<Record>,
    commits: u64,
    granted: FencingToken,
}

impl BrokenStore {
    /// `store`, broken in this way.
    pub fn new(store: SqliteStore, broken: Break) -> Self {
        Self { store, broken, owed: Vec::new(), commits: 0, granted: FencingToken::ZERO }
    }

    fn break_records(&mut self, records: &[Record]) -> Vec<Record> {
        let mut records = records.to_vec();
        records.retain(|record| !self.broken.forgets(record));
        if self.broken == Break::LostRecord && self.commits.is_multiple_of(5) {
            records.pop();
        }
        if self.broken == Break::MarkNotReserved {
            self.lower_mark(&mut records);
        }
        if self.broken == Break::CreditNotReserved {
            for record in &mut records {
                if let Record::Limit(LimitRecord::Reserved(row)) = record {
                    row.credit = 0;
                }
            }
        }
        if self.broken == Break::EarlyAnswers {
            std::mem::swap(&mut records, &mut self.owed);
        }
        records
    }

    fn lower_mark(&mut self, records: &mut [Record]) {
        for record in records.iter() {
            if let Record::Lock(LockRecord::Held(lease)) = record {
                self.granted = self.granted.max(lease.token);
            }
        }
        for record in records {
            if let Record::Lock(LockRecord::TokenMark(mark)) = record {
                *mark = self.granted.min(*mark);
            }
        }
    }
}

impl Store for BrokenStore {
    fn commit(&mut self, records: &[Record]) -> Verdict {
        self.commits += 1;
        let records = self.break_records(records);
        if records.is_empty() {
            return Verdict::Committed;
        }
        match (self.store.commit(&records), self.broken) {
            (Verdict::Unknown(_), Break::FailuresIgnored)
            | (Verdict::NoRoom, Break::NoRoomIgnored) => Verdict::Committed,
            (verdict, _) => verdict,
        }
    }

    fn patience(&self) -> Option<Duration> {
        self.store.patience()
    }

    fn is_pressed(&self) -> bool {
        self.store.is_pressed()
    }

    fn audit(&mut self, query: &AuditQuery) -> Result<Result<AuditPage, Unreadable>, StoreFailure> {
        self.store.audit(query)
    }

    fn snapshot(&mut self) -> Result<Option<Snapshot>, StoreFailure> {
        self.store.snapshot()
    }

    fn tend(&mut self, pressure: Pressure) -> Result<(), StoreFailure> {
        let tended = self.store.tend(pressure);
        if self.broken == Break::FailuresIgnored { Ok(()) } else { tended }
    }
}

impl Close for BrokenStore {
    fn close(mut self) -> Result<(), StoreFailure> {
        let owed = std::mem::take(&mut self.owed);
        if !owed.is_empty()
            && let Verdict::Unknown(failure) = self.store.commit(&owed)
        {
            return Err(failure);
        }
        self.store.close()
    }
}
