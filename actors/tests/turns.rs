//! The event loop and the persistence actor, stepped by hand: what is told to whom, and when.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test that looks for it")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test that wants one outcome fails on every other"
)]

mod common;

use common::{
    account, acquire, at, at_ms, get, holder, lease_id, metadata, name, release, renew, token, ttl,
};
use octostore_actors::{
    actor::{Actor, Flow, GRACE, Handle, NotTaken, Patience, ROOM_RETRY, STALL},
    commit::{Persistence, Pressure, Store, StoreFailure, Turn, Verdict},
    domain::{
        Record, RecordKey,
        lock::{Holder, Lease, LockCommand, LockMachine, LockOutcome, LockRecord, Tokens},
        values::FencingToken,
    },
    mailbox::{Address, mailbox},
    progress::{Progress, Seq},
    reply::{Home, Lost, Waiting, reply},
    sync::{Arc, AtomicU64, Mutex, Ordering, lock, thread},
    time::{Clock, Instant},
};
use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    pin::Pin,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// A clock that stands still until it is set.
#[derive(Default)]
struct Hands(AtomicU64);

impl Hands {
    fn set(&self, now: Instant) {
        self.0.store(now.as_nanos(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

/// What the next commit comes to, once it is not a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    NoRoom,
    Unknown,
}

/// A disk in memory that does as it is told, and remembers what it was asked.
#[derive(Default)]
struct Disk {
    rows: HashMap<RecordKey, Record>,
    commits: Vec<Vec<Record>>,
    troubles: VecDeque<Trouble>,
    /// What happens elsewhere while the next commit waits for the disk.
    meanwhile: Option<Box<dyn FnOnce() + Send>>,
    /// The bells that rang, in order; `TENDED` stands for a call of [`Store::tend`].
    order: Arc<Mutex<Vec<usize>>>,
}

const TENDED: usize = usize::MAX;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Disk>>);

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
                    disk.rows.insert(record.key(), record.clone());
                }
                Verdict::Committed
            }
            Trouble::NoRoom => Verdict::NoRoom,
            Trouble::Unknown => Verdict::Unknown(StoreFailure("the disk is gone".into())),
        }
    }

    fn patience(&self) -> Option<Duration> {
        None
    }

    fn tend(&mut self, pressure: Pressure) -> Result<(), StoreFailure> {
        assert_eq!(pressure, Pressure::Busy, "it has no patience to be idle");
        lock(&lock(&self.0).order).push(TENDED);
        Ok(())
    }
}

impl Shared {
    fn expect_trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        lock(&self.0).troubles.extend(troubles);
    }

    /// How many commits it was asked for.
    fn commits(&self) -> usize {
        lock(&self.0).commits.len()
    }

    /// The records of the latest commit.
    fn latest(&self) -> Vec<Record> {
        lock(&self.0).commits.last().cloned().unwrap_or_default()
    }

    /// The lease in the row of a lock, if it is held.
    fn lease(&self, text: &str) -> Option<Lease> {
        match lock(&self.0).rows.get(&RecordKey::Lock(name(text))) {
            Some(Record::Lock(LockRecord::Held(lease))) => Some(lease.clone()),
            Some(_) | None => None,
        }
    }

    fn mark(&self) -> Option<FencingToken> {
        match lock(&self.0).rows.get(&RecordKey::TokenMark) {
            Some(Record::Lock(LockRecord::TokenMark(mark))) => Some(*mark),
            Some(_) | None => None,
        }
    }
}

type Told = Poll<Result<LockOutcome, Lost>>;

/// What whoever waits was told so far.
fn told(waiting: &mut Waiting<LockOutcome>) -> Told {
    Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop()))
}

fn granted(waiting: &mut Waiting<LockOutcome>) -> Lease {
    match told(waiting) {
        Poll::Ready(Ok(LockOutcome::Granted(lease))) => lease,
        other => panic!("not granted: {other:?}"),
    }
}

fn confirmed(waiting: &mut Waiting<LockOutcome>) -> Lease {
    match told(waiting) {
        Poll::Ready(Ok(LockOutcome::Confirmed(lease))) => lease,
        other => panic!("not confirmed: {other:?}"),
    }
}

const FULL: Told = Poll::Ready(Err(Lost::StoreFull));
const UNKNOWN: Told = Poll::Ready(Err(Lost::OutcomeUnknown));
const RELEASED: Told = Poll::Ready(Ok(LockOutcome::Released));
const FREE: Told = Poll::Ready(Ok(LockOutcome::Status(None)));

/// One lock actor, one persistence actor, one clock, one disk.
struct Bench {
    actor: Arc<Mutex<Actor<LockMachine>>>,
    handle: Handle<LockMachine>,
    persistence: Persistence<Shared>,
    disk: Shared,
    clock: Arc<Hands>,
    leases: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with([], at(0), 10_000)
    }

    fn with(leases: impl IntoIterator<Item = Lease>, start: Instant, capacity: usize) -> Self {
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
        Self {
            actor: Arc::new(Mutex::new(actor)),
            handle,
            persistence: Persistence::new(disk.clone(), turns),
            disk,
            clock,
            leases: 0,
        }
    }

    fn ask(&self, command: LockCommand) -> Waiting<LockOutcome> {
        self.handle.ask(command).unwrap()
    }

    /// Asks for a lock, with a lease id of its own.
    fn acquire(&mut self, lock: &str, holder: Holder, seconds: u64) -> Waiting<LockOutcome> {
        self.leases += 1;
        self.ask(acquire(lock, holder, seconds, self.leases))
    }

    fn renew(&self, lease: &Lease, seconds: u64) -> Waiting<LockOutcome> {
        self.ask(renew(lease.name.as_str(), lease.holder.account, lease.id, seconds))
    }

    fn release(&self, lease: &Lease) -> Waiting<LockOutcome> {
        self.ask(release(lease.name.as_str(), lease.holder.account, lease.id))
    }

    fn turn(&self) -> Flow {
        lock(&self.actor).turn(Patience::None)
    }

    fn commit(&mut self) {
        self.persistence.step().unwrap();
    }

    /// A turn, and what it wants on disk.
    fn settle(&mut self) {
        assert_eq!(self.turn(), Flow::Continue);
        self.commit();
    }

    /// Holds a lock, all the way to the disk.
    fn hold(&mut self, lock: &str, holder: Holder, seconds: u64) -> Lease {
        let mut waiting = self.acquire(lock, holder, seconds);
        self.settle();
        granted(&mut waiting)
    }

    /// How a lock stands, all the way from the disk.
    fn status(&mut self, lock: &str) -> Option<Lease> {
        let mut waiting = self.ask(get(lock));
        self.settle();
        match told(&mut waiting) {
            Poll::Ready(Ok(LockOutcome::Status(lease))) => lease,
            other => panic!("{lock} has no status: {other:?}"),
        }
    }
}

fn lease_of(text: &str, number: u8, expires: Instant, granted: u64) -> Lease {
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

// What leaves, and when.

#[test]
fn durability_a_reply_is_held_until_its_commit() {
    let mut bench = Bench::new();
    let mut acquire = bench.acquire("a", holder(1), 10);
    assert_eq!(told(&mut acquire), Poll::Pending);
    assert_eq!(bench.turn(), Flow::Continue);
    assert_eq!(told(&mut acquire), Poll::Pending, "decided is not durable");
    assert_eq!(bench.disk.lease("a"), None);
    bench.commit();
    let lease = granted(&mut acquire);
    assert_eq!(bench.disk.lease("a"), Some(lease.clone()));

    let mut release = bench.release(&lease);
    bench.turn();
    assert_eq!(told(&mut release), Poll::Pending);
    bench.commit();
    assert_eq!(told(&mut release), RELEASED);
    assert_eq!(bench.disk.lease("a"), None);
}

#[test]
fn durability_a_read_of_what_is_on_disk_is_answered_at_once() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    // Another lock's change on its way is none of its business.
    let mut other = bench.acquire("b", holder(1), 10);
    let (mut read, mut free) = (bench.ask(get("a")), bench.ask(get("free")));
    let mut refused = bench.acquire("a", holder(2), 10);
    let mut not_owned = bench.ask(release("a", account(2), lease.id));
    let mut confirmed = bench.renew(&lease, 1);
    bench.turn();
    let held = LockOutcome::Held(lease.clone());
    assert_eq!(told(&mut read), Poll::Ready(Ok(LockOutcome::Status(Some(lease.clone())))));
    assert_eq!(told(&mut free), FREE);
    assert_eq!(told(&mut refused), Poll::Ready(Ok(held)));
    assert_eq!(told(&mut not_owned), Poll::Ready(Ok(LockOutcome::NotOwned)));
    assert_eq!(told(&mut confirmed), Poll::Ready(Ok(LockOutcome::Confirmed(lease))));
    assert_eq!(told(&mut other), Poll::Pending);
    assert_eq!(bench.disk.commits(), 1);
}

#[test]
fn durability_reads_and_refusals_that_saw_a_change_wait_for_it() {
    let mut bench = Bench::new();
    let mut first = bench.acquire("a", holder(1), 10);
    bench.turn();
    let mut refused = bench.acquire("a", holder(2), 10);
    let mut read = bench.ask(get("a"));
    let mut not_owned = bench.ask(release("a", account(2), lease_id(77)));
    bench.turn();
    assert_eq!(told(&mut refused), Poll::Pending);
    assert_eq!(told(&mut read), Poll::Pending);
    assert_eq!(told(&mut not_owned), Poll::Pending);
    bench.commit();
    let lease = granted(&mut first);
    assert_eq!(told(&mut refused), Poll::Ready(Ok(LockOutcome::Held(lease.clone()))));
    assert_eq!(told(&mut read), Poll::Ready(Ok(LockOutcome::Status(Some(lease)))));
    assert_eq!(told(&mut not_owned), Poll::Ready(Ok(LockOutcome::NotOwned)));
}

#[test]
fn durability_a_read_that_saw_a_release_waits_for_it() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    let _release = bench.release(&lease);
    let mut read = bench.ask(get("a"));
    bench.turn();
    assert_eq!(told(&mut read), Poll::Pending);
    bench.commit();
    assert_eq!(told(&mut read), FREE);
}

/// Writes down that it was woken.
struct Bell(usize, Arc<Mutex<Vec<usize>>>);

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        lock(&self.1).push(self.0);
    }
}

/// Has a bell rung when the answer comes.
fn ring(bench: &Bench, number: usize, waiting: &mut Waiting<LockOutcome>) {
    let order = Arc::clone(&lock(&bench.disk.0).order);
    let waker = Waker::from(Arc::new(Bell(number, order)));
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(waiting).poll(&mut cx).is_pending());
}

#[test]
fn durability_answers_go_in_the_order_of_their_questions() {
    let mut bench = Bench::new();
    let mut waiting: Vec<_> = (0..6)
        .map(|number| bench.acquire(&format!("lock-{}", number % 2), holder(1), 10))
        .collect();
    for (number, waiting) in waiting.iter_mut().enumerate() {
        ring(&bench, number, waiting);
    }
    bench.settle();
    let mut order = lock(&lock(&bench.disk.0).order).clone();
    order.retain(|&number| number != TENDED);
    assert_eq!(order, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn the_store_is_tended_after_the_answers_of_a_batch_were_let_go() {
    let mut bench = Bench::new();
    let mut waiting = bench.acquire("a", holder(1), 10);
    ring(&bench, 1, &mut waiting);
    bench.settle();
    granted(&mut waiting);
    assert_eq!(*lock(&lock(&bench.disk.0).order), [1, TENDED]);
}

/// Asks, whenever something comes home, how much is durable.
struct Witness(Arc<Progress>, Mutex<Vec<Seq>>);

impl Home<()> for Witness {
    fn give_back(&self, (): ()) {
        lock(&self.1).push(self.0.durable());
    }
}

/// A turn made by hand, and a way to see how much was durable when its answer was let go.
fn turn_of(progress: &Arc<Progress>, upto: Seq, records: Vec<Record>) -> (Turn, Arc<Witness>) {
    let witness = Arc::new(Witness(Arc::clone(progress), Mutex::new(Vec::new())));
    let (reply, waiting) = reply(Arc::clone(&witness) as Arc<dyn Home<()>>);
    drop(waiting);
    let turn = Turn {
        progress: Arc::clone(progress),
        epoch: progress.epoch(),
        upto,
        records,
        held: vec![reply.hold(())],
    };
    (turn, witness)
}

/// A persistence actor without any actor, and where to send turns by hand.
fn persistence() -> (Address<Turn>, Persistence<Shared>, Shared) {
    let disk = Shared::default();
    let (journal, turns) = mailbox(NonZeroUsize::new(10).unwrap());
    (journal, Persistence::new(disk.clone(), turns), disk)
}

fn free(text: &str) -> Record {
    LockRecord::Free(name(text)).into()
}

#[test]
fn durability_what_was_committed_counts_as_durable_before_its_answers_go() {
    let (journal, mut persistence, disk) = persistence();
    let progress = Arc::new(Progress::default());
    let (first, second) = (common::seq(1), common::seq(3));
    let (one, saw_one) = turn_of(&progress, first, vec![free("a")]);
    let (two, saw_two) = turn_of(&progress, second, vec![free("b"), free("c")]);
    assert!(journal.try_send(one).is_ok() && journal.try_send(two).is_ok());
    persistence.step().unwrap();
    assert_eq!(disk.commits(), 1, "what is queued is one transaction");
    assert_eq!(progress.durable(), second);
    assert!(*lock(&saw_one.1) >= vec![first]);
    assert_eq!(*lock(&saw_two.1), [second]);
}

#[test]
fn durability_a_turn_without_records_does_not_trouble_the_store() {
    let mut bench = Bench::new();
    bench.persistence.step().unwrap();
    let mut list = bench.ask(common::list(account(1), Default::default()));
    bench.settle();
    assert!(told(&mut list).is_ready());
    assert_eq!(bench.disk.commits(), 0);
}

#[test]
fn a_batch_writes_one_row_a_key_and_the_last_one_wins() {
    let mut bench = Bench::new();
    let mut first = bench.acquire("a", holder(1), 10);
    let mut gone = bench.ask(release("a", account(1), lease_id(1)));
    let mut second = bench.acquire("a", holder(2), 10);
    let mut b = bench.acquire("b", holder(1), 10);
    bench.turn();
    // Over turns as well as within one.
    let mut b_gone = bench.ask(release("b", account(1), lease_id(3)));
    bench.turn();
    bench.commit();
    let (first, second) = (granted(&mut first), granted(&mut second));
    granted(&mut b);
    assert!(first.token < second.token);
    assert_eq!(told(&mut gone), RELEASED);
    assert_eq!(told(&mut b_gone), RELEASED);
    assert_eq!(bench.disk.commits(), 1);
    assert_eq!(bench.disk.latest(), [LockRecord::Held(second).into(), free("b")]);
}

#[test]
fn bounded_a_batch_ends_but_no_turn_is_split() {
    let mut bench = Bench::new();
    let mut all: Vec<_> = (0..5_000u32)
        .map(|number| {
            let [.., high, low] = number.to_be_bytes();
            let mut id = [high; 16];
            id[0] = low;
            let owner = Holder {
                account: octostore_actors::domain::values::AccountId::from_bytes(id),
                owner: None,
            };
            bench.acquire(&format!("lock-{number}"), owner, 10)
        })
        .collect();
    bench.turn();
    bench.commit();
    assert!(told(&mut all[0]).is_ready());
    assert_eq!(told(&mut all[4_999]), Poll::Pending);
    assert!((4_096..4_096 + 512).contains(&bench.disk.latest().len()));
    bench.commit();
    assert!(all[1..].iter_mut().all(|waiting| told(waiting).is_ready()));
    let rows: usize = lock(&bench.disk.0).commits.iter().map(Vec::len).sum();
    assert_eq!(rows, 5_000);
}

// Time.

#[test]
fn time_what_was_queued_before_the_expiry_is_handled_before_it() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    bench.clock.set(at(10));
    let mut other = bench.acquire("a", holder(2), 10);
    bench.turn();
    assert_eq!(
        told(&mut other),
        Poll::Ready(Ok(LockOutcome::Held(lease))),
        "it came while the lock was held"
    );
    bench.commit();
    let mut again = bench.acquire("a", holder(2), 10);
    bench.settle();
    granted(&mut again);
}

#[test]
fn time_a_renewal_queued_during_a_stall_is_in_time() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    let mut renewal = bench.renew(&lease, 10);
    let mut rival = bench.acquire("a", holder(2), 10);
    bench.clock.set(at(3_000));
    bench.settle();
    let renewed = confirmed(&mut renewal);
    assert_eq!(renewed.expires, at(3_010));
    assert_eq!(told(&mut rival), Poll::Ready(Ok(LockOutcome::Held(renewed.clone()))));
    assert_eq!(bench.status("a"), Some(renewed));
}

#[test]
fn time_nothing_expires_for_a_moment_after_a_stall() {
    let mut bench = Bench::new();
    let a = bench.hold("a", holder(1), 10);
    bench.hold("b", holder(1), 10);
    let woken = at(20);
    bench.clock.set(woken);
    bench.turn();
    bench.clock.set(at_ms(20_099));
    assert!(GRACE > Duration::from_millis(99));
    let mut renewal = bench.renew(&a, 10);
    bench.settle();
    assert_eq!(confirmed(&mut renewal).expires, at_ms(30_099), "it arrived in the moment of grace");
    assert!(bench.status("b").is_some());
    bench.clock.set(woken + GRACE);
    bench.settle();
    assert_eq!(bench.status("b"), None, "the grace is over");
    assert!(bench.status("a").is_some());
}

#[test]
fn time_an_expiry_noticed_soon_enough_is_not_put_off() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    bench.clock.set(lease.expires + STALL);
    bench.settle();
    assert_eq!(bench.disk.lease("a"), None);
}

#[test]
fn time_what_lapsed_before_the_start_gets_no_grace() {
    let lapsed = lease_of("a", 1, at(50), 1);
    let mut bench = Bench::with([lapsed], at(100), 10);
    bench.settle();
    assert_eq!(bench.disk.latest(), [free("a")], "expired in the first turn");
}

#[test]
fn time_a_lease_that_goes_on_after_a_restart_ends_when_it_should() {
    let going_on = lease_of("a", 1, at(110), 1);
    let mut bench = Bench::with([going_on.clone()], at(100), 10);
    bench.settle();
    assert_eq!(bench.status("a"), Some(going_on.clone()));
    bench.clock.set(going_on.expires);
    bench.settle();
    assert_eq!(bench.status("a"), None);
}

#[test]
fn time_a_second_stall_has_its_grace_too() {
    let mut bench = Bench::new();
    bench.hold("a", holder(1), 10);
    let b = bench.hold("b", holder(1), 20);
    bench.clock.set(at(11));
    bench.turn();
    // Before the grace of the first is over, another one.
    bench.clock.set(at(21));
    bench.settle();
    let mut renewal = bench.renew(&b, 10);
    bench.settle();
    assert_eq!(
        confirmed(&mut renewal).expires,
        at(31),
        "its end was slept through, and it was not granted the moment after"
    );
}

#[test]
fn time_a_stall_right_after_the_start_has_its_grace() {
    let lapsed = lease_of("lapsed", 1, at(50), 1);
    let live = lease_of("live", 1, at(110), 2);
    let mut bench = Bench::with([lapsed, live.clone()], at(100), 10);
    bench.clock.set(at(120));
    bench.settle();
    let mut renewal = bench.renew(&live, 10);
    bench.settle();
    assert_eq!(
        confirmed(&mut renewal).expires,
        at(130),
        "its end was slept through, and it was not granted the moment after"
    );
}

#[test]
fn bounded_a_mass_expiry_completes_turn_by_turn() {
    let leases = (1..=100).map(|number| lease_of(&format!("lock-{number}"), 1, at(5), number));
    let many = leases.collect::<Vec<_>>();
    let mut bench = Bench::with(many, at(10), 10);
    for _ in 0..3 {
        bench.settle();
    }
    assert_eq!(lock(&bench.disk.0).rows.len(), 100);
    assert_eq!(bench.status("lock-1"), None);
}

// A full disk.

#[test]
fn one_outcome_without_room_whoever_waits_is_told_and_nothing_was_executed() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    bench.disk.expect_trouble([Trouble::NoRoom]);
    let mut acquire = bench.acquire("b", holder(1), 10);
    let mut read = bench.ask(get("b"));
    let mut release = bench.release(&lease);
    bench.turn();
    let mut later = bench.acquire("a", holder(2), 10);
    bench.turn();
    bench.commit();
    for waiting in [&mut acquire, &mut read, &mut release, &mut later] {
        assert_eq!(told(waiting), FULL);
    }
    assert_eq!(bench.status("a"), Some(lease), "its release was undone");
    assert_eq!(bench.status("b"), None, "its grant was undone");
    assert_eq!(bench.disk.commits(), 2);
}

#[test]
fn without_room_grants_are_refused_for_a_while_and_then_tried_again() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 100);
    let kept = bench.hold("kept", holder(1), 100);
    bench.disk.expect_trouble([Trouble::NoRoom]);
    let _refused = bench.acquire("b", holder(1), 10);
    bench.settle();
    let commits = bench.disk.commits();
    let retry = at(0) + ROOM_RETRY;
    for now in [at(0), at_ms(1), Instant::from_nanos(retry.as_nanos() - 1)] {
        let mut acquire = bench.acquire("b", holder(1), 10);
        bench.turn();
        assert_eq!(told(&mut acquire), Poll::Ready(Ok(LockOutcome::NoRoom)), "at {now:?}");
        assert_eq!(bench.disk.commits(), commits, "the store is left alone");
        bench.clock.set(now);
    }
    let (mut release, mut renewal) = (bench.release(&lease), bench.renew(&kept, 200));
    bench.settle();
    assert_eq!(told(&mut release), RELEASED, "a release goes through");
    confirmed(&mut renewal);

    bench.clock.set(retry);
    let mut acquire = bench.acquire("b", holder(1), 10);
    bench.settle();
    granted(&mut acquire);
}

#[test]
fn without_room_an_expiry_is_undone_and_tried_again_later() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    bench.disk.expect_trouble([Trouble::NoRoom]);
    bench.clock.set(at(10));
    bench.settle();
    assert_eq!(bench.disk.latest(), [free("a")]);
    assert_eq!(bench.status("a"), Some(lease), "it could not be written");
    let commits = bench.disk.commits();
    bench.clock.set(at_ms(10_999));
    bench.settle();
    assert_eq!(bench.disk.commits(), commits, "not tried again at once");
    bench.clock.set(at(10) + ROOM_RETRY);
    bench.settle();
    bench.clock.set(at(10) + ROOM_RETRY + GRACE);
    bench.settle();
    assert_eq!(bench.disk.latest(), [free("a")]);
    assert_eq!(bench.disk.commits(), commits + 1);
    assert_eq!(bench.status("a"), None);
}

#[test]
fn fencing_a_token_of_a_refused_grant_is_not_granted_again() {
    let mut bench = Bench::new();
    bench.disk.expect_trouble([Trouble::NoRoom]);
    let mut refused = bench.acquire("a", holder(1), 10);
    bench.settle();
    assert_eq!(told(&mut refused), FULL);
    let Some(Record::Lock(LockRecord::Held(undone))) = bench.disk.latest().pop() else {
        panic!("a grant was tried");
    };
    bench.turn();
    bench.clock.set(at(5));
    assert!(bench.hold("a", holder(2), 10).token > undone.token);
}

#[test]
fn a_turn_computed_on_what_was_refused_is_refused_too() {
    let mut bench = Bench::new();
    let mut first = bench.acquire("a", holder(1), 10);
    bench.turn();
    // While the first commit is on its way to its refusal, a turn builds on it.
    let mut release = bench.ask(release("a", account(1), lease_id(1)));
    let mut next = bench.acquire("a", holder(2), 10);
    let actor = Arc::clone(&bench.actor);
    lock(&bench.disk.0).meanwhile = Some(Box::new(move || {
        lock(&actor).turn(Patience::None);
    }));
    bench.disk.expect_trouble([Trouble::NoRoom]);
    bench.commit();
    assert_eq!(told(&mut first), FULL);
    assert_eq!(told(&mut next), Poll::Pending);
    bench.commit();
    assert_eq!(told(&mut release), FULL);
    assert_eq!(told(&mut next), FULL);
    assert_eq!(bench.disk.commits(), 1, "nothing of it was written");
    assert_eq!(bench.status("a"), None);
}

#[test]
fn a_stale_turn_is_refused_and_one_after_it_is_not() {
    let (journal, mut persistence, disk) = persistence();
    let progress = Arc::new(Progress::default());
    let (refused, _) = turn_of(&progress, common::seq(1), vec![free("a")]);
    let home = Witness(Arc::clone(&progress), Mutex::new(Vec::new()));
    let (unanswered, mut waiting) = reply(Arc::new(home) as Arc<dyn Home<()>>);
    let (mut stale, _) = turn_of(&progress, common::seq(2), vec![free("b")]);
    stale.held.push(unanswered.hold(()));
    disk.expect_trouble([Trouble::NoRoom]);
    assert!(journal.try_send(refused).is_ok());
    persistence.step().unwrap();
    let (fresh, saw_fresh) = turn_of(&progress, common::seq(3), vec![free("c")]);
    assert!(journal.try_send(stale).is_ok() && journal.try_send(fresh).is_ok());
    persistence.step().unwrap();
    assert_eq!(disk.latest(), [free("c")]);
    let mut cx = Context::from_waker(Waker::noop());
    let told = Pin::new(&mut waiting).poll(&mut cx);
    assert_eq!(told, Poll::Ready(Err(Lost::StoreFull)));
    assert_eq!(*lock(&saw_fresh.1), [common::seq(3)]);
}

#[test]
fn a_refused_batch_is_one_refusal_for_each_domain_in_it() {
    let (journal, mut persistence, disk) = persistence();
    let (one, other) = (Arc::new(Progress::default()), Arc::new(Progress::default()));
    let untouched = Progress::default();
    for (progress, upto, lock) in [(&one, 1, "a"), (&other, 1, "b"), (&one, 2, "c")] {
        let (turn, _) = turn_of(progress, common::seq(upto), vec![free(lock)]);
        assert!(journal.try_send(turn).is_ok());
    }
    disk.expect_trouble([Trouble::NoRoom]);
    persistence.step().unwrap();
    for progress in [&one, &other] {
        assert_eq!(progress.durable(), Seq::NONE);
        assert!(progress.epoch() > untouched.epoch());
    }
    assert_eq!(one.epoch(), other.epoch());
}

// A disk that cannot be trusted.

#[test]
fn one_outcome_after_a_failed_commit_everybody_is_told_that_it_is_unknown() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    bench.disk.expect_trouble([Trouble::Unknown]);
    let mut in_batch =
        [bench.acquire("b", holder(1), 10), bench.ask(get("b")), bench.release(&lease)];
    bench.turn();
    assert!(bench.persistence.step().is_err());
    for waiting in &mut in_batch {
        assert_eq!(told(waiting), UNKNOWN);
    }
    // What was on its way to the store, and what had not been looked at.
    let mut on_its_way = bench.acquire("c", holder(1), 10);
    bench.turn();
    let mut queued = bench.acquire("d", holder(1), 10);
    let Bench { actor, handle, persistence, disk, .. } = bench;
    drop(persistence);
    assert_eq!(told(&mut on_its_way), UNKNOWN);
    assert_eq!(lock(&actor).turn(Patience::None), Flow::Stopped);
    assert_eq!(told(&mut queued), UNKNOWN);
    drop(actor);
    assert_eq!(handle.ask(get("a")).map(drop), Err(NotTaken::Stopped), "nothing is taken any more");
    assert_eq!(disk.commits(), 2, "the store is not used any more");
}

#[test]
fn one_outcome_a_store_that_fails_ends_both_actors() {
    let mut bench = Bench::new();
    bench.disk.expect_trouble([Trouble::Unknown]);
    let mut waiting: Vec<_> = (0..300)
        .map(|number| bench.acquire(&format!("lock-{}", number % 90), holder(1), 10))
        .collect();
    let Bench { actor, handle, persistence, .. } = bench;
    let actor = Arc::into_inner(actor).unwrap().into_inner().unwrap();
    let outcome = thread::scope(|scope| {
        let committing = scope.spawn(|| persistence.run().map(drop));
        // The actor may be anywhere when it learns of it; the stop is for the last case.
        handle.stop();
        actor.run();
        committing.join().unwrap()
    });
    assert!(outcome.is_err());
    for waiting in &mut waiting {
        assert_eq!(told(waiting), UNKNOWN, "never a success");
    }
}

// Overload and the end.

#[test]
fn bounded_a_full_mailbox_refuses_and_executes_nothing() {
    let mut bench = Bench::with([], at(0), 2);
    let mut first = bench.acquire("a", holder(1), 10);
    let mut second = bench.acquire("b", holder(1), 10);
    for _ in 0..3 {
        assert_eq!(
            bench.handle.ask(acquire("c", holder(1), 10, 99)).map(drop),
            Err(NotTaken::Overloaded)
        );
    }
    bench.settle();
    granted(&mut first);
    granted(&mut second);
    assert_eq!(bench.status("c"), None);
    assert_eq!(bench.disk.lease("c"), None);
    bench.hold("c", holder(1), 10);
}

#[test]
fn no_ghosts_a_grant_given_back_to_a_full_mailbox_is_not_forgotten() {
    let mut bench = Bench::with([], at(0), 1);
    let waiting = bench.acquire("a", holder(1), 10);
    bench.settle();
    let mut read = bench.ask(get("b"));
    drop(waiting);
    bench.settle();
    assert_eq!(told(&mut read), FREE);
    assert_eq!(bench.disk.lease("a"), None);
    assert_eq!(bench.status("a"), None);
}

#[test]
fn one_outcome_many_commands_in_one_turn_are_each_answered() {
    let mut bench = Bench::new();
    let mut all: Vec<_> = (0..1_000)
        .map(|number| bench.acquire(&format!("lock-{}", number % 50), holder(1), 10))
        .collect();
    bench.settle();
    let answers = all.iter_mut().map(told).collect::<Vec<_>>();
    let grants =
        answers.iter().filter(|told| matches!(told, Poll::Ready(Ok(LockOutcome::Granted(_)))));
    assert_eq!(grants.count(), 50);
    assert!(answers.iter().all(|told| matches!(
        told,
        Poll::Ready(Ok(LockOutcome::Granted(_) | LockOutcome::Confirmed(_)))
    )));
}

/// Runs both actors to their end, on two threads, as the service does.
fn run_to_the_end(bench: Bench) -> (Handle<LockMachine>, Result<(), StoreFailure>) {
    let Bench { actor, handle, persistence, .. } = bench;
    let actor = Arc::into_inner(actor).unwrap().into_inner().unwrap();
    let outcome = thread::scope(|scope| {
        let committing = scope.spawn(|| persistence.run().map(drop));
        actor.run();
        committing.join().unwrap()
    });
    (handle, outcome)
}

#[test]
fn one_outcome_a_stop_answers_everything_that_was_queued_before_it() {
    let mut bench = Bench::new();
    let lease = bench.hold("held", holder(1), 10);
    let mut all: Vec<_> = (0..300)
        .map(|number| bench.acquire(&format!("lock-{}", number % 90), holder(1), 10))
        .collect();
    let mut last = bench.release(&lease);
    bench.handle.stop();
    let mut too_late = bench.acquire("late", holder(1), 10);
    let disk = bench.disk.clone();
    let (handle, outcome) = run_to_the_end(bench);
    outcome.unwrap();
    assert!(all.iter_mut().all(|waiting| matches!(
        told(waiting),
        Poll::Ready(Ok(LockOutcome::Granted(_) | LockOutcome::Confirmed(_)))
    )));
    assert_eq!(told(&mut last), RELEASED);
    assert_eq!(told(&mut too_late), UNKNOWN, "one outcome for this one too");
    assert_eq!(disk.lease("late"), None);
    assert_eq!(handle.ask(get("a")).map(drop), Err(NotTaken::Stopped), "nothing is taken any more");
}

#[test]
fn fencing_the_last_record_of_a_clean_stop_is_the_exact_mark() {
    let mut bench = Bench::new();
    let last = bench.hold("a", holder(1), 10);
    let mut queued = bench.acquire("b", holder(1), 10);
    bench.handle.stop();
    let disk = bench.disk.clone();
    let (_handle, outcome) = run_to_the_end(bench);
    outcome.unwrap();
    let queued = granted(&mut queued);
    assert_eq!(queued.token.get(), last.token.get() + 1);
    assert_eq!(disk.mark(), Some(queued.token));
    assert_eq!(disk.latest().last(), Some(&LockRecord::TokenMark(queued.token).into()));
}

#[test]
fn no_ghosts_a_grant_that_reached_nobody_is_released_before_the_end() {
    let mut bench = Bench::new();
    let kept = bench.hold("kept", holder(1), 10);
    let committed = bench.acquire("committed", holder(1), 10);
    bench.settle();
    let decided = bench.acquire("decided", holder(1), 10);
    bench.turn();
    let queued = bench.acquire("queued", holder(1), 10);
    bench.handle.stop();
    drop((committed, decided, queued));
    let disk = bench.disk.clone();
    run_to_the_end(bench).1.unwrap();
    for lock in ["committed", "decided", "queued"] {
        assert_eq!(disk.lease(lock), None, "nobody knows that {lock} is held");
    }
    assert_eq!(disk.lease("kept"), Some(kept));
    assert_eq!(disk.mark(), Some(token(104)));
}

#[test]
fn one_outcome_a_stop_on_a_full_disk_tells_so() {
    let mut bench = Bench::new();
    bench.disk.expect_trouble([Trouble::NoRoom]);
    let mut waiting = bench.acquire("a", holder(1), 10);
    bench.handle.stop();
    let disk = bench.disk.clone();
    run_to_the_end(bench).1.unwrap();
    assert_eq!(told(&mut waiting), FULL);
    assert_eq!(disk.lease("a"), None);
    assert_eq!(
        disk.mark(),
        Some(token(101)),
        "the token of the refused grant is spent all the same"
    );
}

// Answers that reach nobody.

#[test]
fn no_ghosts_a_wait_given_up_before_the_answer_leaves_the_lock_free() {
    let mut bench = Bench::new();
    let before_the_turn = bench.acquire("a", holder(1), 10);
    drop(before_the_turn);
    bench.turn();
    let before_the_commit = bench.acquire("b", holder(1), 10);
    bench.turn();
    drop(before_the_commit);
    bench.commit();
    assert!(bench.disk.lease("a").is_some() && bench.disk.lease("b").is_some());
    bench.settle();
    assert_eq!(bench.disk.lease("a"), None);
    assert_eq!(bench.disk.lease("b"), None);
    bench.hold("a", holder(2), 10);
}

#[test]
fn no_ghosts_a_wait_given_up_with_the_answer_in_hand_leaves_the_lock_free() {
    let mut bench = Bench::new();
    let waiting = bench.acquire("a", holder(1), 10);
    bench.settle();
    drop(waiting);
    bench.settle();
    assert_eq!(bench.disk.lease("a"), None);
    bench.hold("a", holder(2), 10);
}

#[test]
fn no_ghosts_a_retry_that_was_answered_keeps_the_lock() {
    let mut bench = Bench::new();
    let lost = bench.acquire("a", holder(1), 10);
    bench.settle();
    let mut retry = bench.acquire("a", holder(1), 10);
    bench.turn();
    let lease = confirmed(&mut retry);
    drop(lost);
    bench.settle();
    assert_eq!(bench.status("a"), Some(lease));
}

#[test]
fn no_ghosts_an_undelivered_grant_ends_although_the_store_had_no_room_at_first() {
    let mut bench = Bench::new();
    let lost = bench.acquire("a", holder(1), 3_600);
    bench.settle();
    drop(lost);
    bench.disk.expect_trouble([Trouble::NoRoom]);
    bench.settle();
    assert_eq!(bench.disk.latest(), [free("a")]);
    bench.turn();
    for later in 1..10 {
        bench.clock.set(at(later));
        bench.settle();
    }
    assert_eq!(bench.status("a"), None, "nobody knows that it is held");
}

#[test]
fn no_ghosts_a_refused_renewal_does_not_make_an_undelivered_grant_delivered() {
    let mut bench = Bench::new();
    let lost = bench.acquire("a", holder(1), 1_000);
    bench.settle();
    let mut retry = bench.acquire("a", holder(1), 2_000);
    bench.turn();
    drop(lost);
    bench.turn();
    bench.disk.expect_trouble([Trouble::NoRoom]);
    bench.commit();
    assert_eq!(told(&mut retry), FULL);
    bench.turn();
    for later in 1..10 {
        bench.clock.set(at(later));
        bench.settle();
    }
    assert_eq!(bench.status("a"), None, "nobody knows that it is held");
}

#[test]
fn no_ghosts_a_refused_confirmation_of_what_is_on_disk_does_not_count_as_told() {
    let mut bench = Bench::new();
    let lost = bench.acquire("a", holder(1), 1_000);
    bench.turn();
    // While the grant is on its way to the disk, its retry is confirmed, and waits for it in
    // one turn with a grant that will be refused.
    let mut retry = bench.acquire("a", holder(1), 1_000);
    let mut other = bench.acquire("b", holder(1), 1_000);
    let actor = Arc::clone(&bench.actor);
    lock(&bench.disk.0).meanwhile = Some(Box::new(move || {
        lock(&actor).turn(Patience::None);
    }));
    bench.disk.expect_trouble([Trouble::None, Trouble::NoRoom]);
    bench.commit();
    bench.commit();
    assert_eq!(told(&mut retry), FULL);
    assert_eq!(told(&mut other), FULL);
    drop(lost);
    for later in 1..10 {
        bench.clock.set(at(later));
        bench.settle();
    }
    assert_eq!(bench.status("a"), None, "nobody knows that it is held");
}
