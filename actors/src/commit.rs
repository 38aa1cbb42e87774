//! The persistence actor: group commit.
//!
//! It takes everything that is queued, writes it in one transaction, and only when that is on
//! disk lets the answers go, in the order they came. While one commit waits for the disk the
//! next batch gathers in the mailbox: the busier the service, the larger the batches. On whose
//! thread it does that is the matter of the [`Desk`].
//!
//! The store has one user, so whoever reads the audit log asks here too ([`AuditLog`]). Reads wait
//! their turn: one between two commits, each a bounded piece of work.
//!
//! Its mailbox and its thread are called the journal here and in the actors. What `src/store` calls the
//! journal is SQLite's own, its write-ahead log.

mod desk;

pub use desk::Desk;

use crate::{
    domain::{
        Record, RecordKey, Table,
        audit::{AuditPage, AuditQuery},
    },
    mailbox::{Address, Mailbox, Refused},
    progress::{Epoch, Progress, Seq},
    reply::{Alarm, Held, Lost, Nowhere, Reply, Waiting, WakeHere, reply},
    snapshot::{Snapshot, SnapshotRequest},
    sync::{Arc, let_others_run},
};
use std::{collections::VecDeque, fmt, time::Duration};

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

    /// Whether there is something to do that should not wait until it is idle.
    fn is_pressed(&self) -> bool;

    /// Reads the audit log as it was committed: see [`AuditQuery`] for how much of it. A failure is
    /// as bad as one of a commit.
    fn audit(&mut self, query: &AuditQuery) -> Result<Result<AuditPage, Unreadable>, StoreFailure>;

    /// Holds its main file still, with everything in it that was committed; `None` if it cannot
    /// now, or has none. It may give the snapshot up at any time. An error is as bad as one of a
    /// commit.
    fn snapshot(&mut self) -> Result<Option<Snapshot>, StoreFailure>;

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

/// An entry of the audit log is damaged, or of a later version. Nothing depends on it but whoever reads it:
/// the store is as good as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry of the audit log cannot be read")]
pub struct Unreadable;

/// What the persistence actor is sent.
#[derive(Debug)]
pub enum JournalMessage {
    /// Something to commit.
    Turn(Turn),
    /// Something to look up.
    Read(AuditRead),
    /// A moment to be copied.
    Snapshot(SnapshotRequest),
    /// Everything before this was the last that must be kept.
    Stop,
}

impl JournalMessage {
    /// Tells whoever asks with this that too many wait already.
    fn turn_away(self) {
        match self {
            Self::Read(AuditRead { reply, .. }) => reply.refuse(Lost::Overloaded),
            Self::Snapshot(SnapshotRequest(reply)) => reply.refuse(Lost::Overloaded),
            Self::Turn(_) | Self::Stop => unreachable!("nobody asks with these"),
        }
    }
}

/// Asks the store whose journal this is.
pub(crate) fn ask_store<T>(
    journal: &Address<JournalMessage>,
    question: impl FnOnce(Reply<T>) -> JournalMessage,
) -> Waiting<T> {
    let (reply, waiting) = reply(Arc::new(Nowhere));
    // Whoever is dropped is told that no answer comes.
    if let Err(Refused::Full(question)) = journal.try_send(question(reply)) {
        question.turn_away();
    }
    waiting
}

impl From<Turn> for JournalMessage {
    fn from(turn: Turn) -> Self {
        Self::Turn(turn)
    }
}

/// Somebody who reads the audit log.
#[derive(Debug)]
pub struct AuditRead {
    query: AuditQuery,
    reply: Reply<Result<AuditPage, Unreadable>>,
}

/// How to read the audit log. Clones read the same one.
#[derive(Clone)]
pub struct AuditLog(Address<JournalMessage>);

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditLog")
    }
}

impl AuditLog {
    /// The audit log of the store whose journal this is.
    pub fn new(journal: Address<JournalMessage>) -> Self {
        Self(journal)
    }

    /// Reads. Everything that was acknowledged before is seen. If too much waits for the store
    /// already, the answer is [`Lost::Overloaded`]; if the store has failed or the process ends,
    /// [`Lost::OutcomeUnknown`].
    pub fn read(&self, query: AuditQuery) -> Waiting<Result<AuditPage, Unreadable>> {
        ask_store(&self.0, |reply| JournalMessage::Read(AuditRead { query, reply }))
    }
}

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

/// So many who wait for one commit are a crowd. So large a commit has work enough that nobody needs to offer
/// it a core; and those whom it answers soon ask again, so that the next commit lets them run first.
pub const CROWD: usize = 4;

/// How many may wait to read the audit log, besides those in the mailbox.
const MOST_READERS: usize = 64;

/// How many may wait for a snapshot.
const MOST_COPIERS: usize = 4;

/// The only writer of the store.
pub struct Persistence<S> {
    store: S,
    journal: Mailbox<JournalMessage>,
    /// Those whose question came with a batch that is committed.
    readers: VecDeque<AuditRead>,
    /// Those who asked for a snapshot with it.
    copiers: Vec<SnapshotRequest>,
    /// Nothing that follows must be kept.
    stopped: bool,
    /// The last commit has answered a [`CROWD`].
    expects_a_crowd: bool,
    alarm: Arc<dyn Alarm>,
}

/// What there is to do.
#[derive(Debug)]
enum Next {
    Batch(JournalMessage),
    Read,
    /// Nothing, before something comes.
    Nothing,
    End,
}

impl<S: Store> Persistence<S> {
    /// Takes turns from `journal` and keeps them in `store`.
    pub fn new(store: S, journal: Mailbox<JournalMessage>) -> Self {
        Self::with_alarm(store, journal, Arc::new(WakeHere))
    }

    /// The same, and has `alarm` wake those whose answers are let go.
    pub fn with_alarm(store: S, journal: Mailbox<JournalMessage>, alarm: Arc<dyn Alarm>) -> Self {
        let (readers, copiers) = (VecDeque::new(), Vec::new());
        let (stopped, expects_a_crowd) = (false, false);
        Self { store, journal, readers, copiers, stopped, expects_a_crowd, alarm }
    }

    /// Commits what is queued, if anything is, and answers one reader, without waiting: for
    /// whoever steps it by hand.
    ///
    /// # Errors
    /// As [`Desk::run`].
    pub fn step(&mut self) -> Result<(), StoreFailure> {
        match self.journal.try_receive() {
            Some(first) => self.commit_and_tend(first),
            None => self.read(),
        }
    }

    /// Does what there is to do when nothing comes for a while: for whoever steps it by hand.
    ///
    /// # Errors
    /// As [`Desk::run`].
    pub fn rest(&mut self) -> Result<(), StoreFailure> {
        self.store.tend(Pressure::Idle)
    }

    /// The store, when nothing more comes: for whoever steps it by hand.
    pub fn into_store(self) -> S {
        self.store
    }

    fn next(&self) -> Next {
        if self.stopped {
            return Next::End;
        }
        match self.journal.try_receive() {
            Some(message) => Next::Batch(message),
            None if self.has_askers() => Next::Read,
            None if self.journal.is_over() => Next::End,
            None => Next::Nothing,
        }
    }

    /// Whether somebody waits for something else than a commit.
    fn has_askers(&self) -> bool {
        !self.readers.is_empty() || !self.copiers.is_empty()
    }

    /// Answers whoever wants a snapshot, and one reader, if there is any.
    fn read(&mut self) -> Result<(), StoreFailure> {
        for SnapshotRequest(reply) in self.copiers.drain(..) {
            reply.send(self.store.snapshot()?);
        }
        let Some(AuditRead { query, reply }) = self.readers.pop_front() else { return Ok(()) };
        reply.send(self.store.audit(&query)?);
        Ok(())
    }

    /// Commits, and then does what need not be done within a commit.
    fn commit_and_tend(&mut self, first: JournalMessage) -> Result<(), StoreFailure> {
        // Whoever is about to add to the batch may do so first: a commit costs the same for many. If
        // nobody is, that would be to wait until all others have had their share of the cores.
        if self.expects_a_crowd {
            let_others_run();
        }
        if self.commit(first)? {
            self.store.tend(Pressure::Busy)?;
        }
        self.read()
    }

    /// Commits `first` and what is queued behind it, and lets the answers go. Says whether there was room.
    fn commit(&mut self, first: JournalMessage) -> Result<bool, StoreFailure> {
        let mut batch = self.gather(first);
        let records = fold(batch.iter_mut().flat_map(|turn| turn.records.drain(..)).collect());
        let verdict =
            if records.is_empty() { Verdict::Committed } else { self.store.commit(&records) };
        match verdict {
            Verdict::Committed => {
                for turn in &batch {
                    turn.progress.advance(turn.upto);
                }
                let answered: usize = batch.iter().map(|turn| turn.held.len()).sum();
                self.expects_a_crowd = answered >= CROWD;
                let held = batch.into_iter().flat_map(|turn| turn.held);
                self.alarm.wake(held.filter_map(Held::release_quietly).collect());
                Ok(true)
            }
            Verdict::NoRoom => {
                for turn in &batch {
                    // Once a domain: the second turn of one is stale by then.
                    if !turn.is_stale() {
                        turn.progress.refuse();
                    }
                }
                batch.into_iter().flat_map(|turn| turn.held).for_each(Held::refuse);
                Ok(false)
            }
            // The dropped batch says to whoever waits that the outcome is unknown; so does the
            // mailbox when it is dropped with what is queued.
            Verdict::Unknown(failure) => Err(failure),
        }
    }

    /// `first` and the turns queued behind it, as far as they go into one transaction. Readers
    /// that stand between them are put aside.
    fn gather(&mut self, first: JournalMessage) -> Vec<Turn> {
        let mut batch = Vec::new();
        let mut records = 0;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                JournalMessage::Turn(turn) if turn.is_stale() => {
                    turn.held.into_iter().for_each(Held::refuse);
                }
                JournalMessage::Turn(turn) => {
                    records += turn.records.len();
                    batch.push(turn);
                }
                JournalMessage::Read(read) if self.readers.len() < MOST_READERS => {
                    self.readers.push_back(read);
                }
                JournalMessage::Snapshot(request) if self.copiers.len() < MOST_COPIERS => {
                    self.copiers.push(request);
                }
                question @ (JournalMessage::Read(_) | JournalMessage::Snapshot(_)) => {
                    question.turn_away();
                }
                JournalMessage::Stop => {
                    self.stopped = true;
                    break;
                }
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
    let mut seen: Table<RecordKey, ()> =
        Table::with_capacity_and_hasher(records.len(), Default::default());
    let mut keep: Vec<bool> = records
        .iter()
        .rev()
        .map(|record| record.key().is_none_or(|key| seen.insert(key, ()).is_none()))
        .collect();
    records.retain(|_| keep.pop().unwrap_or(true));
    records
}
