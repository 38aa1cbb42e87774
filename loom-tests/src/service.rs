//! The lock service in the small: what ships, over a disk in memory and a clock that stands
//! still.

use crate::{join, spawn, wait_restlessly};
use octostore_actors::{
    actor::{Actor, Handle, NotTaken, Station, Then, Told},
    commit::{
        Desk, JournalMessage, Persistence, Pressure, Store, StoreFailure, Unreadable, Verdict,
    },
    domain::{
        Machine, Record,
        audit::{AuditPage, AuditQuery},
        lock::{Holder, Lease, LockCommand, LockMachine, LockOutcome, LockRecord, Tokens},
        values::{AccountId, FencingToken, LeaseId, LockName, Quota, Ttl},
    },
    mailbox::{Address, Mailbox, mailbox},
    reply::{Home, Lost, Waiting, reply},
    snapshot::Snapshot,
    sync::{
        Arc, AtomicU64, Mutex, Ordering, lock,
        thread::{self, JoinHandle, Thread, yield_now},
    },
    time::{Clock, Instant},
};
use std::{
    num::NonZeroUsize,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// A client, and what it calls itself: account, owner-less holder and lease come from it.
pub type Who = u8;

/// How to reach the service. Shared by its clients.
pub type Service = Arc<dyn Ask>;

/// What a client and an operator can do with the service.
pub trait Ask: Send + Sync {
    /// As [`Handle::ask`].
    ///
    /// # Errors
    /// As there.
    fn ask(&self, command: LockCommand) -> Result<Waiting<LockOutcome>, NotTaken>;

    /// As [`Handle::stop`].
    fn stop(&self);
}

impl<M> Ask for Handle<M>
where
    M: Machine<Command = LockCommand, Outcome = LockOutcome>,
{
    fn ask(&self, command: LockCommand) -> Result<Waiting<LockOutcome>, NotTaken> {
        self.ask(command)
    }

    fn stop(&self) {
        self.stop();
    }
}

impl<M> Ask for Station<M>
where
    M: Machine<Command = LockCommand, Outcome = LockOutcome>,
{
    fn ask(&self, command: LockCommand) -> Result<Waiting<LockOutcome>, NotTaken> {
        self.ask(command)
    }

    fn stop(&self) {
        self.handle().stop();
    }
}

/// A station that is asked for everything at once.
struct AtOnce<M: Machine>(Arc<Station<M>>);

impl<M> Ask for AtOnce<M>
where
    M: Machine<Command = LockCommand, Outcome = LockOutcome>,
{
    fn ask(&self, command: LockCommand) -> Result<Waiting<LockOutcome>, NotTaken> {
        match self.0.ask_at_once(command) {
            Told::Now(outcome) => Ok(told(Ok(outcome))),
            Told::Later(waiting) => unless_refused(waiting),
        }
    }

    fn stop(&self) {
        self.0.handle().stop();
    }
}

/// A station that is asked by whoever then commits what comes of it.
struct Alone<M: Machine> {
    station: Arc<Station<M>>,
    desk: Attend,
}

impl<M> Ask for Alone<M>
where
    M: Machine<Command = LockCommand, Outcome = LockOutcome>,
{
    fn ask(&self, command: LockCommand) -> Result<Waiting<LockOutcome>, NotTaken> {
        let (asked, waiting) = self.station.handle().prepare(command);
        if self.station.ask_all(vec![asked], Then::LeaveIt) {
            (self.desk)();
        }
        unless_refused(waiting)
    }

    fn stop(&self) {
        self.station.handle().stop();
    }
}

/// Tells of a full mailbox at once, as [`Handle::ask`] does.
fn unless_refused(mut waiting: Waiting<LockOutcome>) -> Result<Waiting<LockOutcome>, NotTaken> {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(&mut waiting).poll(&mut context) {
        Poll::Ready(Err(Lost::Overloaded)) => Err(NotTaken::Overloaded),
        Poll::Ready(answer) => Ok(told(answer)),
        Poll::Pending => Ok(waiting),
    }
}

/// What waits for an answer that is known.
fn told(answer: Result<LockOutcome, Lost>) -> Waiting<LockOutcome> {
    let (reply, waiting) = reply(Arc::new(Nowhere));
    match answer {
        Ok(outcome) => reply.send(outcome),
        Err(why) => reply.refuse(why),
    }
    waiting
}

/// For answers that were picked up already: nobody may hang up on them, as those of the grant models
/// do.
struct Nowhere;

impl Home<LockOutcome> for Nowhere {
    fn give_back(&self, _: LockOutcome) {}
}

/// An event loop, ready to be run.
pub type Loop = Box<dyn FnOnce() + Send>;

/// Commits what was left for the journal.
pub type Attend = Arc<dyn Fn() + Send + Sync>;

/// The journal, for an event loop.
pub struct Journal {
    /// Where it hands its turns over to.
    pub address: Address<JournalMessage>,
    /// For whoever commits himself what it has left there.
    pub desk: Attend,
}

/// Makes an event loop around a machine, with so much room in its mailbox, that hands its turns
/// over to a journal; and how to reach it.
pub type Act = fn(LockMachine, NonZeroUsize, Journal, Arc<dyn Clock>) -> (Service, Loop);

/// Runs a persistence actor to its end.
pub type Persist = Box<dyn FnOnce() -> Result<(), StoreFailure> + Send>;

/// Makes a persistence actor, and a desk where others commit for it.
pub type Keep = fn(Writer, Mailbox<JournalMessage>) -> (Attend, Persist);

/// The shipped one.
fn keep(writer: Writer, messages: Mailbox<JournalMessage>) -> (Attend, Persist) {
    let desk = Arc::new(Desk::new(Persistence::new(writer, messages)));
    let thread = Arc::clone(&desk);
    (Arc::new(move || desk.attend()), Box::new(move || thread.run().map(drop)))
}

/// The parts a service is made of. A twin replaces one of [`Parts::SHIPPED`].
#[derive(Clone, Copy)]
pub struct Parts {
    /// Makes the event loop.
    pub actor: Act,
    /// Makes the persistence actor.
    pub persistence: Keep,
}

impl Parts {
    /// What ships, as clients find it who find somebody else at the loop: all turns are on the thread
    /// of the actor.
    pub const SHIPPED: Self = Self { actor: actor::<LockMachine>, persistence: keep };

    /// The same, but clients take the turn themselves if nobody is at the loop.
    pub const ATTENDED: Self = Self { actor: attended::<LockMachine>, ..Self::SHIPPED };

    /// The same, but they ask for an answer at once, as whoever looks does.
    pub const AT_ONCE: Self = Self { actor: at_once::<LockMachine>, ..Self::SHIPPED };

    /// The same, but they take the turn, and then commit what has come of it, if nobody is at the desk.
    pub const ALONE: Self = Self { actor: alone::<LockMachine>, ..Self::SHIPPED };

    /// A service with this disk and `room` places in the mailbox of each of its two actors.
    pub fn build(self, disk: &Disk, room: usize) -> Built {
        self.build_with(disk, room, Arc::new(Still))
    }

    /// The same with a clock that may go on.
    pub fn build_with(self, disk: &Disk, room: usize, clock: Arc<dyn Clock>) -> Built {
        let machine = LockMachine::new(disk.lease(), tokens_after(disk));
        let (address, messages) = mailbox(places(room));
        let writer = Writer::of(disk);
        let (desk, persistence) = (self.persistence)(writer, messages);
        let journal = Journal { address, desk };
        let (service, event_loop) = (self.actor)(machine, places(room), journal, clock);
        Built { service, event_loop, persistence }
    }
}

/// A service that does not run yet. What it is asked before it does lies in its mailbox: a
/// beginning without interleavings, so that loom spends its time on what comes after.
pub struct Built {
    /// How to reach it.
    pub service: Service,
    event_loop: Loop,
    persistence: Persist,
}

impl Built {
    /// Starts both threads.
    pub fn start(self) -> Running {
        self.start_after(|| ()).0
    }

    /// Starts the event loop, does `work`, and only then starts the persistence actor.
    pub fn start_after<T>(self, work: impl FnOnce() -> T) -> (Running, T) {
        let actor = spawn(self.event_loop);
        let done = work();
        let running =
            Running { service: self.service, actor, persistence: spawn(self.persistence) };
        (running, done)
    }
}

/// The shipped lock machine, or one that wraps it.
pub trait Locks: Machine<Command = LockCommand, Outcome = LockOutcome> + From<LockMachine> {}

impl<M> Locks for M where
    M: Machine<Command = LockCommand, Outcome = LockOutcome> + From<LockMachine>
{
}

/// The shipped event loop, around the shipped machine or around one that wraps it. It is asked as by
/// clients who find somebody at the loop: all turns are on the thread of the actor.
pub fn actor<M: Locks>(
    machine: LockMachine,
    room: NonZeroUsize,
    journal: Journal,
    clock: Arc<dyn Clock>,
) -> (Service, Loop) {
    let station = station::<M>(machine, room, journal.address, clock);
    (Arc::new(station.handle().clone()), Box::new(move || station.run()))
}

/// The same, but clients take the turn if nobody is at the loop.
pub fn attended<M: Locks>(
    machine: LockMachine,
    room: NonZeroUsize,
    journal: Journal,
    clock: Arc<dyn Clock>,
) -> (Service, Loop) {
    let station = station::<M>(machine, room, journal.address, clock);
    (Arc::clone(&station) as _, Box::new(move || station.run()))
}

/// The same, but they ask for an answer at once.
pub fn at_once<M: Locks>(
    machine: LockMachine,
    room: NonZeroUsize,
    journal: Journal,
    clock: Arc<dyn Clock>,
) -> (Service, Loop) {
    let station = station::<M>(machine, room, journal.address, clock);
    (Arc::new(AtOnce(Arc::clone(&station))), Box::new(move || station.run()))
}

/// The same, but whoever asks commits what comes of it, if nobody is at the desk.
pub fn alone<M: Locks>(
    machine: LockMachine,
    room: NonZeroUsize,
    journal: Journal,
    clock: Arc<dyn Clock>,
) -> (Service, Loop) {
    let station = station::<M>(machine, room, journal.address, clock);
    let thread = Arc::clone(&station);
    (Arc::new(Alone { station, desk: journal.desk }), Box::new(move || thread.run()))
}

fn station<M: Locks>(
    machine: LockMachine,
    room: NonZeroUsize,
    journal: Address<JournalMessage>,
    clock: Arc<dyn Clock>,
) -> Arc<Station<M>> {
    let (actor, handle) = Actor::new(M::from(machine), room, journal, clock);
    Arc::new(Station::new(actor, handle))
}

/// A mailbox has at least one place.
pub(crate) fn places(room: usize) -> NonZeroUsize {
    NonZeroUsize::new(room).unwrap_or(NonZeroUsize::MIN)
}

/// Far below the mark, so that no grant has to raise it: that is a matter of one thread, and
/// the property tests look after it.
fn tokens_after(disk: &Disk) -> Tokens {
    let last = disk.lease().map_or(FencingToken::ZERO, |lease| lease.token);
    Tokens::new(last, last.saturating_add(1000), 10)
}

/// A service with its two threads.
pub struct Running {
    /// How to reach it.
    pub service: Service,
    actor: JoinHandle<()>,
    persistence: JoinHandle<Result<(), StoreFailure>>,
}

impl Running {
    /// Stops the service as an operator would and waits for both threads. Says how the
    /// persistence actor ended.
    ///
    /// # Errors
    /// The disk failed.
    pub fn stop(self) -> Result<(), StoreFailure> {
        self.service.stop();
        self.ended()
    }

    /// Waits for both threads of a service that somebody else stops.
    ///
    /// # Errors
    /// The disk failed.
    pub fn ended(self) -> Result<(), StoreFailure> {
        drop(self.service);
        join(self.actor);
        join(self.persistence)
    }
}

/// The one lock of the models.
fn name() -> LockName {
    LockName::new("the-lock").expect("a name in bounds")
}

/// `who` asks for the lock.
pub fn acquire(who: Who) -> LockCommand {
    LockCommand::Acquire {
        name: name(),
        holder: Holder { account: account(who), owner: None },
        ttl: ttl(),
        lease: LeaseId::from_bytes([who; 16]),
        metadata: None,
        quota: Quota::new(1),
    }
}

/// `who` ends the lease it was granted.
pub fn release(who: Who) -> LockCommand {
    LockCommand::Release {
        name: name(),
        account: account(who),
        lease: LeaseId::from_bytes([who; 16]),
    }
}

/// Somebody looks at the lock.
pub fn get() -> LockCommand {
    LockCommand::Get { name: name() }
}

/// The lease that `who` held before the service was started.
pub fn lease(who: Who) -> Lease {
    Lease {
        name: name(),
        holder: Holder { account: account(who), owner: None },
        id: LeaseId::from_bytes([who; 16]),
        token: FencingToken::ZERO.saturating_add(1),
        ttl: ttl(),
        expires: Instant::default() + ttl().as_duration(),
        metadata: None,
    }
}

fn account(who: Who) -> AccountId {
    AccountId::from_bytes([who; 16])
}

fn ttl() -> Ttl {
    Ttl::from_seconds(60).expect("a TTL in bounds")
}

/// The lease that an answer speaks of, as held.
pub fn spoken_of(outcome: &LockOutcome) -> Option<&Lease> {
    match outcome {
        LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease) | LockOutcome::Held(lease) => {
            Some(lease)
        }
        LockOutcome::Status(lease) => lease.as_ref(),
        LockOutcome::OverQuota(_)
        | LockOutcome::NoRoom
        | LockOutcome::NoToken
        | LockOutcome::Released
        | LockOutcome::NotOwned
        | LockOutcome::ForceReleased(_)
        | LockOutcome::NotHeld
        | LockOutcome::Leases(_)
        | LockOutcome::Use(_) => None,
    }
}

/// Asks again while the mailbox is full, as a client does that is told 503.
///
/// # Errors
/// The service has stopped.
pub fn insist(service: &Service, command: &LockCommand) -> Result<Waiting<LockOutcome>, NotTaken> {
    loop {
        match service.ask(command.clone()) {
            // Lets somebody else run, or it would be full for ever under loom.
            Err(NotTaken::Overloaded) => yield_now(),
            taken => return taken,
        }
    }
}

/// Asks, insisting, and waits for the answer, of a service that is running.
///
/// # Errors
/// There is no answer.
///
/// # Panics
/// If the service has stopped.
pub fn call(service: &Service, command: &LockCommand) -> Result<LockOutcome, Lost> {
    wait_restlessly(insist(service, command).expect("the service is running"))
}

/// What the disk does with the first commit it is asked for. Those after it go well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// Keeps it.
    Kept,
    /// Has no room for it.
    NoRoom,
    /// Fails: nobody can say what is on it.
    Fails,
}

/// A disk with one lock on it. Clones are the same disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    lease: Option<Lease>,
    /// The lock was written as free.
    freed: bool,
    /// Who waits for that.
    waits: Option<Thread>,
    first: First,
}

impl Disk {
    /// A disk that has `lease` on it and does `first` with the first commit.
    pub fn new(lease: Option<Lease>, first: First) -> Self {
        Self(Arc::new(Mutex::new(State { lease, freed: false, waits: None, first })))
    }

    /// How the lock stands there now.
    pub fn lease(&self) -> Option<Lease> {
        lock(&self.0).lease.clone()
    }

    /// Waits until the lock has been written as free since the service was started. If nobody
    /// frees it that is for ever, and loom says so.
    pub fn wait_until_freed(&self) {
        loop {
            let mut state = lock(&self.0);
            if state.freed {
                return;
            }
            state.waits = Some(thread::current());
            drop(state);
            thread::park();
        }
    }
}

/// The store over a [`Disk`].
pub struct Writer(Disk);

impl Writer {
    /// That of this disk.
    pub fn of(disk: &Disk) -> Self {
        Self(disk.clone())
    }
}

impl Store for Writer {
    fn commit(&mut self, records: &[Record]) -> Verdict {
        let mut state = lock(&self.0.0);
        match std::mem::replace(&mut state.first, First::Kept) {
            First::Kept => {}
            First::NoRoom => return Verdict::NoRoom,
            First::Fails => return Verdict::Unknown(StoreFailure("the disk failed".into())),
        }
        for record in records {
            let Record::Lock(record) = record else {
                unreachable!("there are only locks here");
            };
            match record {
                LockRecord::Held(lease) => state.lease = Some(lease.clone()),
                LockRecord::Free(_) => {
                    state.lease = None;
                    state.freed = true;
                    if let Some(waits) = state.waits.take() {
                        waits.unpark();
                    }
                }
                LockRecord::TokenMark(_) => {}
            }
        }
        Verdict::Committed
    }

    fn audit(&mut self, _: &AuditQuery) -> Result<Result<AuditPage, Unreadable>, StoreFailure> {
        Ok(Ok(AuditPage::default()))
    }

    fn patience(&self) -> Option<Duration> {
        None
    }

    fn is_pressed(&self) -> bool {
        false
    }

    fn snapshot(&mut self) -> Result<Option<Snapshot>, StoreFailure> {
        unreachable!("nobody copies here");
    }

    fn tend(&mut self, _: Pressure) -> Result<(), StoreFailure> {
        Ok(())
    }
}

/// A clock that stands still: no time passes under loom.
struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant::default()
    }
}

/// A clock that is moved by hand.
#[derive(Default)]
pub struct HandClock(AtomicU64);

impl HandClock {
    /// Moves it on. Only one thread may.
    pub fn go_on(&self, span: Duration) {
        let later = self.now() + span;
        self.0.store(later.as_nanos(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::SeqCst))
    }
}
