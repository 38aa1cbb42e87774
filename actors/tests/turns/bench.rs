//! One lock actor, one persistence actor, one clock and one disk.

use crate::common::{
    acquire, at, get, holder, lease_id, metadata, name, release, renew, token, ttl,
};
use octostore_actors::{
    actor::{Actor, Flow, Handle, Patience, Standstill},
    commit::{Persistence, Pressure, Store, StoreFailure, Unreadable, Verdict},
    domain::{
        Record, RecordKey,
        audit::{AuditPage, AuditQuery},
        lock::{Holder, Lease, LockCommand, LockMachine, LockOutcome, LockRecord, Tokens},
        values::FencingToken,
    },
    mailbox::mailbox,
    reply::{Lost, Waiting},
    snapshot::Snapshot,
    sync::{Arc, AtomicU64, Mutex, Ordering, lock},
    time::{Clock, Instant},
};
use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A clock that stands still until it is set.
#[derive(Default)]
pub struct Hands {
    nanos: AtomicU64,
    /// What happens elsewhere right after it is read next, as if the thread had lost its core.
    pub meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Hands {
    pub fn set(&self, now: Instant) {
        self.nanos.store(now.as_nanos(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Instant {
        let now = Instant::from_nanos(self.nanos.load(Ordering::SeqCst));
        let meanwhile = lock(&self.meanwhile).take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        now
    }
}

/// What the next commit comes to, once it is not a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    None,
    NoRoom,
    Unknown,
}

/// A disk in memory that does as it is told, and remembers what it was asked.
#[derive(Default)]
pub struct Disk {
    pub rows: HashMap<RecordKey, Record>,
    pub commits: Vec<Vec<Record>>,
    pub troubles: VecDeque<Trouble>,
    /// What was looked up in the audit log, each with how many commits there were before.
    pub reads: Vec<(usize, AuditQuery)>,
    /// Whether an entry of the audit log is damaged.
    pub unreadable: bool,
    /// What happens elsewhere while the next commit waits for the disk.
    pub meanwhile: Option<Box<dyn FnOnce() + Send>>,
    /// The bells that rang, in order; `TENDED` stands for a call of [`Store::tend`].
    pub order: Arc<Mutex<Vec<usize>>>,
}

pub const TENDED: usize = usize::MAX;

#[derive(Clone, Default)]
pub struct Shared(pub Arc<Mutex<Disk>>);

impl Store for Shared {
    fn commit(&mut self, records: &[Record]) -> Verdict {
        let meanwhile = lock(&self.0).meanwhile.take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        let mut disk = lock(&self.0);
        disk.commits.push(records.to_vec());
        match disk.troubles.pop_front().unwrap_or(Trouble::None) {
            Trouble::None => {
                for record in records {
                    disk.rows.extend(record.key().map(|key| (key, record.clone())));
                }
                Verdict::Committed
            }
            Trouble::NoRoom => Verdict::NoRoom,
            Trouble::Unknown => Verdict::Unknown(StoreFailure("the disk is gone".into())),
        }
    }

    fn audit(&mut self, query: &AuditQuery) -> Result<Result<AuditPage, Unreadable>, StoreFailure> {
        let mut disk = lock(&self.0);
        if disk.troubles.pop_front().is_some_and(|trouble| trouble != Trouble::None) {
            return Err(StoreFailure("the disk is gone".into()));
        }
        let commits = disk.commits.len();
        disk.reads.push((commits, query.clone()));
        Ok(if disk.unreadable { Err(Unreadable) } else { Ok(AuditPage::default()) })
    }

    fn patience(&self) -> Option<Duration> {
        None
    }

    fn is_pressed(&self) -> bool {
        false
    }

    fn snapshot(&mut self) -> Result<Option<Snapshot>, StoreFailure> {
        Ok(None)
    }

    fn tend(&mut self, pressure: Pressure) -> Result<(), StoreFailure> {
        assert_eq!(pressure, Pressure::Busy, "it has no patience to be idle");
        lock(&lock(&self.0).order).push(TENDED);
        Ok(())
    }
}

impl Shared {
    pub fn expect_trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        lock(&self.0).troubles.extend(troubles);
    }

    /// How many commits it was asked for.
    pub fn commits(&self) -> usize {
        lock(&self.0).commits.len()
    }

    /// The records of the latest commit.
    pub fn latest(&self) -> Vec<Record> {
        lock(&self.0).commits.last().cloned().unwrap_or_default()
    }

    /// The lease in the row of a lock, if it is held.
    pub fn lease(&self, text: &str) -> Option<Lease> {
        match lock(&self.0).rows.get(&RecordKey::Lock(name(text))) {
            Some(Record::Lock(LockRecord::Held(lease))) => Some(lease.clone()),
            Some(_) | None => None,
        }
    }

    pub fn mark(&self) -> Option<FencingToken> {
        match lock(&self.0).rows.get(&RecordKey::TokenMark) {
            Some(Record::Lock(LockRecord::TokenMark(mark))) => Some(*mark),
            Some(_) | None => None,
        }
    }
}

pub type Told = Poll<Result<LockOutcome, Lost>>;

/// What whoever waits was told so far.
pub fn told(waiting: &mut Waiting<LockOutcome>) -> Told {
    Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop()))
}

pub fn granted(waiting: &mut Waiting<LockOutcome>) -> Lease {
    match told(waiting) {
        Poll::Ready(Ok(LockOutcome::Granted(lease))) => lease,
        other => panic!("not granted: {other:?}"),
    }
}

pub fn confirmed(waiting: &mut Waiting<LockOutcome>) -> Lease {
    match told(waiting) {
        Poll::Ready(Ok(LockOutcome::Confirmed(lease))) => lease,
        other => panic!("not confirmed: {other:?}"),
    }
}

pub const FULL: Told = Poll::Ready(Err(Lost::StoreFull));
pub const UNKNOWN: Told = Poll::Ready(Err(Lost::OutcomeUnknown));
pub const RELEASED: Told = Poll::Ready(Ok(LockOutcome::Released));
pub const FREE: Told = Poll::Ready(Ok(LockOutcome::Status(None)));

/// One lock actor, one persistence actor, one clock, one disk.
pub struct Bench {
    pub actor: Arc<Mutex<Actor<LockMachine>>>,
    pub handle: Handle<LockMachine>,
    pub persistence: Persistence<Shared>,
    pub disk: Shared,
    pub clock: Arc<Hands>,
    pub standstill: Arc<Standstill>,
    pub leases: u64,
}

impl Bench {
    pub fn new() -> Self {
        Self::with([], at(0), 10_000)
    }

    pub fn with(leases: impl IntoIterator<Item = Lease>, start: Instant, capacity: usize) -> Self {
        let clock = Arc::new(Hands::default());
        clock.set(start);
        let disk = Shared::default();
        let (journal, turns) = mailbox(NonZeroUsize::new(1_000).unwrap());
        let tokens = Tokens::new(token(100), token(1_000_000), 100_000);
        let (actor, handle) = Actor::new(
            LockMachine::new(leases, tokens),
            NonZeroUsize::new(capacity).unwrap(),
            journal,
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        let standstill = Arc::new(Standstill::default());
        Self {
            actor: Arc::new(Mutex::new(actor.with_standstill(Arc::clone(&standstill)))),
            handle,
            persistence: Persistence::new(disk.clone(), turns),
            disk,
            clock,
            standstill,
            leases: 0,
        }
    }

    pub fn ask(&self, command: LockCommand) -> Waiting<LockOutcome> {
        self.handle.ask(command).unwrap()
    }

    /// Asks for a lock, with a lease id of its own.
    pub fn acquire(&mut self, lock: &str, holder: Holder, seconds: u64) -> Waiting<LockOutcome> {
        self.leases += 1;
        self.ask(acquire(lock, holder, seconds, self.leases))
    }

    pub fn renew(&self, lease: &Lease, seconds: u64) -> Waiting<LockOutcome> {
        self.ask(renew(lease.name.as_str(), lease.holder.account, lease.id, seconds))
    }

    pub fn release(&self, lease: &Lease) -> Waiting<LockOutcome> {
        self.ask(release(lease.name.as_str(), lease.holder.account, lease.id))
    }

    pub fn turn(&self) -> Flow {
        lock(&self.actor).turn(Patience::None)
    }

    /// Time goes on to `now`, and the actor has looked in between, as its thread does: the last time just
    /// before it had something to do.
    pub fn stay_awake_until(&mut self, now: Instant) {
        let due = lock(&self.actor).due().map_or(now, |due| due.min(now));
        let last = due.minus(Duration::from_millis(1));
        while self.clock.now() < last {
            self.clock.set(last.min(self.clock.now() + Duration::from_millis(250)));
            self.settle();
        }
        self.clock.set(now);
    }

    pub fn commit(&mut self) {
        self.persistence.step().unwrap();
    }

    /// A turn, and what it wants on disk.
    pub fn settle(&mut self) {
        assert_eq!(self.turn(), Flow::Continue);
        self.commit();
    }

    /// Holds a lock, all the way to the disk.
    pub fn hold(&mut self, lock: &str, holder: Holder, seconds: u64) -> Lease {
        let mut waiting = self.acquire(lock, holder, seconds);
        self.settle();
        granted(&mut waiting)
    }

    /// How a lock stands, all the way from the disk.
    pub fn status(&mut self, lock: &str) -> Option<Lease> {
        let mut waiting = self.ask(get(lock));
        self.settle();
        match told(&mut waiting) {
            Poll::Ready(Ok(LockOutcome::Status(lease))) => lease,
            other => panic!("{lock} has no status: {other:?}"),
        }
    }
}

pub fn lease_of(text: &str, number: u8, expires: Instant, granted: u64) -> Lease {
    Lease {
        name: name(text),
        holder: holder(number),
        id: lease_id(1_000 + granted),
        token: token(granted),
        ttl: ttl(10),
        expires,
        metadata: Some(metadata("from before")),
    }
}

pub fn free(text: &str) -> Record {
    LockRecord::Free(name(text)).into()
}
