//! Negative controls: the same server, broken in one place on purpose. What is shipped is wrapped,
//! never changed. A simulator that does not notice one of these tests nothing.

use crate::{disk::Syncs, server::Close};
use octostore::store::SqliteStore;
use octostore_actors::{
    commit::{Pressure, Store, StoreFailure, Verdict},
    domain::{
        Record,
        audit::{AuditPage, AuditQuery},
        limiter::LimitRecord,
        lock::LockRecord,
        values::FencingToken,
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
    /// Now and then a record is left out of its commit.
    LostRecord,
    /// A new mark of the fencing tokens is written as what was granted so far.
    MarkNotReserved,
    /// What limits may admit ahead is not written down.
    CreditNotReserved,
    /// Leases run on the wall clock.
    WallClock,
    /// A reboot is taken for a restart.
    SameBoot,
    /// What could not be delivered is not given back.
    NotGivenBack,
}

impl Break {
    /// How the disk treats a sync.
    pub fn syncs(broken: Option<Self>) -> Syncs {
        match broken {
            Some(Self::NoSync) => Syncs::Ignored,
            Some(Self::LateSync) => Syncs::JournalLate,
            Some(_) | None => Syncs::Honest,
        }
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
        match self.broken {
            Break::LostRecord if self.commits.is_multiple_of(5) => drop(records.pop()),
            Break::MarkNotReserved => self.lower_mark(&mut records),
            Break::CreditNotReserved => {
                for record in &mut records {
                    if let Record::Limit(LimitRecord::Reserved(row)) = record {
                        row.credit = 0;
                    }
                }
            }
            Break::EarlyAnswers => std::mem::swap(&mut records, &mut self.owed),
            Break::LostRecord
            | Break::NoSync
            | Break::LateSync
            | Break::FailuresIgnored
            | Break::WallClock
            | Break::SameBoot
            | Break::NotGivenBack => {}
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
            (Verdict::Unknown(_), Break::FailuresIgnored) => Verdict::Committed,
            (verdict, _) => verdict,
        }
    }

    fn patience(&self) -> Option<Duration> {
        self.store.patience()
    }

    fn audit(&mut self, query: &AuditQuery) -> Result<AuditPage, StoreFailure> {
        self.store.audit(query)
    }

    fn snapshot(&mut self) -> Result<Option<Snapshot>, StoreFailure> {
        self.store.snapshot()
    }

    fn tend(&mut self, pressure: Pressure) -> Result<(), StoreFailure> {
        match self.broken {
            Break::FailuresIgnored => {
                let _ignored = self.store.tend(pressure);
                Ok(())
            }
            _ => self.store.tend(pressure),
        }
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
