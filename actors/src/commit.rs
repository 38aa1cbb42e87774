//! The persistence actor: group commit.
//!
//! It takes everything that is queued, writes it in one transaction, and only when that is on
//! disk lets the answers go, in the order they came. While one commit waits for the disk the
//! next batch gathers in the mailbox: the busier the service, the larger the batches.

use crate::{
    domain::{Record, RecordKey, Table},
    mailbox::{Mailbox, Received},
    progress::{Epoch, Progress, Seq},
    reply::{Alarm, Held, WakeHere},
    sync::{Arc, let_others_run},
};
use std::{fmt, time::Duration};

/// Where records go to be safe.
///
/// A commit is all or nothing. [`Verdict::Committed`] may only be said of what survives the
/// loss of power in the next instant.
pub trait Store {
    /// Writes `records`, no two of which have one key, as one transaction.
    fn commit(&mut self, records: &[Record]) -> Verdict;

    /// How long the mailbox must be empty for it to count as idle; `None` if the store has
    /// nothing to do then.
    fn patience(&self) -> Option<Duration>;

    /// Does what need not be done within a commit. Called when no answer waits for it: after
    /// the answers of a batch were let go, and when idle. An error is as bad as one of a commit.
    fn tend(&mut self, pressure: Pressure) -> Result<(), StoreFailure>;
}

/// Whether somebody is likely to wait for what the store does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// A batch was just committed; the next may be there already.
    Busy,
    /// Nothing came for a while.
    Idle,
}

/// What became of a commit.
#[derive(Debug)]
pub enum Verdict {
    /// It is on disk.
    Committed,
    /// The store has no room. Nothing was written; another commit may succeed.
    NoRoom,
    /// Nobody can say. The store must not be used any more.
    Unknown(StoreFailure),
}

/// A store that can no longer be trusted, and what it said.
#[derive(Debug, thiserror::Error)]
#[error("the store failed: {0}")]
pub struct StoreFailure(pub Box<dyn std::error::Error + Send + Sync>);

/// What one actor hands over after a turn: rows, and the answers that depend on them or on
/// rows before them.
pub struct Turn {
    /// Of the domain it comes from.
    pub progress: Arc<Progress>,
    /// The epoch it was computed in.
    pub epoch: Epoch,
    /// The place of its last record, or of the last before it if it has none.
    pub upto: Seq,
    /// In order.
    pub records: Vec<Record>,
    /// In order.
    pub held: Vec<Held>,
}

impl Turn {
    /// Whether there is nothing to do for it.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.held.is_empty()
    }

    /// Whether it was computed on state that has been undone since.
    fn is_stale(&self) -> bool {
        self.epoch != self.progress.epoch()
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("epoch", &self.epoch)
            .field("upto", &self.upto)
            .field("records", &self.records)
            .field("held", &self.held.len())
            .finish()
    }
}

/// How many records go into one transaction before it is committed, at least: a turn is never
/// split.
const RECORDS_AT_ONCE: usize = 4096;

/// The only writer of the store.
pub struct Persistence<S> {
    store: S,
    journal: Mailbox<Turn>,
    alarm: Arc<dyn Alarm>,
}

/// Whether there is another batch.
#[derive(Debug)]
enum Next {
    Batch(Turn),
    Idle,
    End,
}

impl<S: Store> Persistence<S> {
    /// Takes turns from `journal` and keeps them in `store`.
    pub fn new(store: S, journal: Mailbox<Turn>) -> Self {
        Self::with_alarm(store, journal, Arc::new(WakeHere))
    }

    /// The same, and has `alarm` wake those whose answers are let go.
    pub fn with_alarm(store: S, journal: Mailbox<Turn>, alarm: Arc<dyn Alarm>) -> Self {
        Self { store, journal, alarm }
    }

    /// Runs until every actor is gone, and gives the store back.
    ///
    /// # Errors
    /// The store failed. Whoever waited for an answer was told that the outcome is unknown;
    /// nothing is acknowledged any more.
    pub fn run(mut self) -> Result<S, StoreFailure> {
        loop {
            match self.next() {
                Next::Batch(first) => self.commit(first)?,
                Next::Idle => self.store.tend(Pressure::Idle)?,
                Next::End => return Ok(self.store),
            }
        }
    }

    /// Commits what is queued, if anything is, without waiting: for whoever steps it by hand.
    ///
    /// # Errors
    /// As [`Persistence::run`].
    pub fn step(&mut self) -> Result<(), StoreFailure> {
        self.journal.try_receive().map_or(Ok(()), |first| self.commit(first))
    }

    /// Does what there is to do when nothing comes for a while: for whoever steps it by hand.
    ///
    /// # Errors
    /// As [`Persistence::run`].
    pub fn rest(&mut self) -> Result<(), StoreFailure> {
        self.store.tend(Pressure::Idle)
    }

    /// The store, when nothing more comes: for whoever steps it by hand.
    pub fn into_store(self) -> S {
        self.store
    }

    fn next(&self) -> Next {
        match self.journal.receive(self.store.patience()) {
            Received::Message(turn) => Next::Batch(turn),
            Received::TimedOut => Next::Idle,
            Received::Closed => Next::End,
        }
    }

    fn commit(&mut self, first: Turn) -> Result<(), StoreFailure> {
        let mut batch = self.gather(first);
        let records = fold(batch.iter_mut().flat_map(|turn| turn.records.drain(..)).collect());
        let verdict =
            if records.is_empty() { Verdict::Committed } else { self.store.commit(&records) };
        match verdict {
            Verdict::Committed => {
                for turn in &batch {
                    turn.progress.advance(turn.upto);
                }
                let held = batch.into_iter().flat_map(|turn| turn.held);
                self.alarm.wake(held.filter_map(Held::release_quietly).collect());
                self.store.tend(Pressure::Busy)
            }
            Verdict::NoRoom => {
                for turn in &batch {
                    // Once a domain: the second turn of one is stale by then.
                    if !turn.is_stale() {
                        turn.progress.refuse();
                    }
                }
                batch.into_iter().flat_map(|turn| turn.held).for_each(Held::refuse);
                Ok(())
            }
            // The dropped batch says to whoever waits that the outcome is unknown; so does the
            // mailbox when it is dropped with what is queued.
            Verdict::Unknown(failure) => Err(failure),
        }
    }

    /// `first` and what is queued behind it, as far as it goes into one transaction.
    fn gather(&self, first: Turn) -> Vec<Turn> {
        // Whoever is about to add to the batch may do so first: a commit costs the same for many.
        let_others_run();
        let mut batch = Vec::new();
        let mut records = 0;
        let mut next = Some(first);
        while let Some(turn) = next {
            if turn.is_stale() {
                turn.held.into_iter().for_each(Held::refuse);
            } else {
                records += turn.records.len();
                batch.push(turn);
            }
            next = (records < RECORDS_AT_ONCE).then(|| self.journal.try_receive()).flatten();
        }
        batch
    }
}

/// Keeps the last record of each key: a record is state, so earlier ones are of no interest.
/// Records without a key all stay.
fn fold(mut records: Vec<Record>) -> Vec<Record> {
    if records.len() < 2 {
        return records;
    }
    let mut seen: Table<RecordKey, ()> = Table::default();
    let mut keep: Vec<bool> = records
        .iter()
        .rev()
        .map(|record| record.key().is_none_or(|key| seen.insert(key, ()).is_none()))
        .collect();
    records.retain(|_| keep.pop().unwrap_or(true));
    records
}
