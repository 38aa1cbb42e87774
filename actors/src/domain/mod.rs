//! The domains: one pure state machine each.
//!
//! A machine knows no channel, no clock, no I/O, no randomness and no JSON. What it needs of
//! the world comes in with the command; what it wants of the world goes out as [`Effects`].
//! The same type runs on its thread, under loom, in property tests and in a simulator.
//!
//! A new domain adds its file here and one line to [`Record`], [`RecordKey`] and what is made of
//! them below; the compiler names the places.

pub mod account;
pub mod audit;
pub mod config;
pub mod flag;
pub mod limiter;
pub mod lock;
pub mod page;
mod table;
mod unsettled;
pub mod values;

use crate::{progress::Seq, time::Instant, watch::Census};
use account::AccountRecord;
use audit::AuditEntry;
use config::{ConfigKey, ConfigRecord, Version};
use flag::{FlagName, FlagRecord};
use limiter::{LimitName, LimitRecord};
use lock::LockRecord;
pub use table::Table;
pub use unsettled::Unsettled;
use values::{AccountId, LockName, TokenHash};

/// A single-writer state machine.
///
/// Every command is answered exactly once, through [`Effects::answer`], with the ticket it
/// came with. It goes from thread to thread, and so does what it is asked and answers.
pub trait Machine: Send + 'static {
    /// What it can be asked.
    type Command: Send + 'static;
    /// What it answers.
    type Outcome: Send + 'static;

    /// Decides one command.
    fn apply(
        &mut self,
        moment: Moment,
        ticket: Ticket,
        command: Self::Command,
        effects: &mut Effects<Self::Outcome>,
    );

    /// An answer was let go and reached nobody, or was refused because the store had no room:
    /// its change is undone by [`Machine::rewind`], or is about to be.
    fn undelivered(&mut self, outcome: Self::Outcome, effects: &mut Effects<Self::Outcome>);

    /// When [`Machine::on_deadline`] wants to be called next.
    fn next_deadline(&self) -> Option<Instant>;

    /// Does what is due at `now`, a bounded part of it at a time: the caller asks
    /// [`Machine::next_deadline`] again afterwards.
    fn on_deadline(&mut self, now: Instant, effects: &mut Effects<Self::Outcome>);

    /// All changes up to `durable` are on disk.
    fn settle(&mut self, durable: Seq);

    /// Undoes every change after `durable`: the store had no room for them.
    fn rewind(&mut self, durable: Seq);

    /// The last call: records what a clean stop must not lose.
    fn close(&mut self, effects: &mut Effects<Self::Outcome>);

    /// What it has, for whoever watches; nothing where nobody asks.
    fn census(&self) -> Census {
        Census::default()
    }
}

/// What a machine may know of the world at the time of a command.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The lease clock, read once for the whole turn.
    pub now: Instant,
    /// Whether the store takes new rows.
    pub room: Room,
}

/// Whether the store takes new rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// As far as anybody knows.
    Available,
    /// It refused some a moment ago: what would need room should be refused.
    Exhausted,
}

/// Names a command while it is being handled. Only the event loop knows whose reply it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// The ticket with this number; the caller sees to it that open ones differ.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// What a machine wants of the world: rows written, and answers given.
#[derive(Debug)]
pub struct Effects<O> {
    last: Seq,
    records: Vec<Record>,
    answers: Vec<Answer<O>>,
}

impl<O> Default for Effects<O> {
    fn default() -> Self {
        Self { last: Seq::NONE, records: Vec::new(), answers: Vec::new() }
    }
}

impl<O> Effects<O> {
    /// Wants `record` on disk, after all wanted before. Returns its place.
    pub fn record(&mut self, record: impl Into<Record>) -> Seq {
        self.last = self.last.next();
        self.records.push(record.into());
        self.last
    }

    /// Answers the command of `ticket`, once everything up to `depends_on` is on disk.
    pub fn answer(&mut self, ticket: Ticket, outcome: O, depends_on: Seq) {
        self.answers.push(Answer { ticket, outcome, depends_on });
    }

    /// The place of the last change wanted: an answer that depends on this saw everything.
    pub fn last(&self) -> Seq {
        self.last
    }

    /// Takes the records wanted since the last call.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// Takes the answers given since the last call, in order.
    pub fn take_answers(&mut self) -> std::vec::Drain<'_, Answer<O>> {
        self.answers.drain(..)
    }

    /// Takes the answer to `ticket`, if nothing else is wanted since the last call, and it depends
    /// on nothing after `durable`.
    pub fn take_only_answer(&mut self, ticket: Ticket, durable: Seq) -> Option<O> {
        let [answer] = &*self.answers else { return None };
        let at_once = answer.ticket == ticket && answer.depends_on <= durable;
        if !at_once || !self.records.is_empty() {
            return None;
        }
        self.answers.pop().map(|answer| answer.outcome)
    }
}

/// One answer and what it depends on.
#[derive(Debug)]
pub struct Answer<O> {
    /// Whose command it answers.
    pub ticket: Ticket,
    /// What it says.
    pub outcome: O,
    /// The change that must be on disk before anybody is told.
    pub depends_on: Seq,
}

/// A row as it must be on disk: the state after the change, not what was done. Of several
/// records with one key in a batch only the last need be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Of the lock domain.
    Lock(LockRecord),
    /// Of the limiter domain.
    Limit(LimitRecord),
    /// Of the flag domain.
    Flag(FlagRecord),
    /// Of the config domain.
    Config(ConfigRecord),
    /// Of the account domain.
    Account(AccountRecord),
    /// Of the audit log, from whichever domain.
    Audit(AuditEntry),
}

impl Record {
    /// What the record is the state of. `None`: it stands for itself, and nothing replaces it.
    pub fn key(&self) -> Option<RecordKey> {
        match self {
            Self::Lock(record) => Some(record.key()),
            Self::Limit(record) => Some(record.key()),
            Self::Flag(record) => Some(record.key()),
            Self::Config(record) => Some(record.key()),
            Self::Account(record) => Some(record.key()),
            Self::Audit(_) => None,
        }
    }
}

macro_rules! record_of {
    ($($domain:ident($record:ident)),*) => {$(
        impl From<$record> for Record {
            fn from(record: $record) -> Self {
                Self::$domain(record)
            }
        }
    )*};
}
record_of!(
    Lock(LockRecord),
    Limit(LimitRecord),
    Flag(FlagRecord),
    Config(ConfigRecord),
    Account(AccountRecord),
    Audit(AuditEntry)
);

/// What a [`Record`] is the state of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RecordKey {
    /// One lock.
    Lock(LockName),
    /// The high-water mark of the fencing tokens.
    TokenMark,
    /// One rate limiter.
    Limit(AccountId, LimitName),
    /// One flag.
    Flag(AccountId, FlagName),
    /// One version of one config key.
    Config(AccountId, ConfigKey, Version),
    /// One account.
    Account(AccountId),
    /// One bearer token.
    Token(TokenHash),
}
