//! What no answer shows: when the loop is due, and in how many parts it sends on what a turn has
//! decided.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test that looks for it")]

use super::{expiry::EXPIRY_PAUSE, *};
use crate::{
    bell::Woken,
    domain::{
        lock::{Holder, Lease, LockCommand, LockMachine, LockOutcome, Tokens},
        values::{AccountId, FencingToken, LeaseId, LockName, Quota, Ttl},
    },
    reply::Lost,
    sync::{Mutex, lock},
};

const SECOND: u64 = 1_000_000_000;

/// A clock that stands still.
struct Still(Instant);

impl Clock for Still {
    fn now(&self) -> Instant {
        self.0
    }
}

pub(super) fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * SECOND)
}

fn holder() -> Holder {
    Holder { account: AccountId::from_bytes([1; 16]), owner: None }
}

pub(super) fn lease(expires: Instant) -> Lease {
    Lease {
        name: LockName::new("held").unwrap(),
        holder: holder(),
        id: LeaseId::from_bytes([1; 16]),
        token: FencingToken::new(1).unwrap(),
        ttl: Ttl::from_seconds(60).unwrap(),
        expires,
        metadata: None,
    }
}

pub(super) type Locks = (Actor<LockMachine>, Handle<LockMachine>, Mailbox<JournalMessage>);

/// A lock actor at the tenth second of a boot.
pub(super) fn locks(leases: impl IntoIterator<Item = Lease>) -> Locks {
    let places = NonZeroUsize::new(1_000).unwrap();
    let (journal, turns) = mailbox(places);
    let last = FencingToken::new(10_000).unwrap();
    let machine = LockMachine::new(leases, Tokens::new(last, last.saturating_add(100_000), 10));
    let (actor, handle) = Actor::new(machine, places, journal, Arc::new(Still(at(10))));
    (actor, handle, turns)
}

pub(super) fn acquire(number: usize) -> LockCommand {
    LockCommand::Acquire {
        name: LockName::new(&format!("lock-{number}")).unwrap(),
        holder: holder(),
        ttl: Ttl::from_seconds(60).unwrap(),
        lease: LeaseId::from_bytes((number as u128).to_be_bytes()),
        metadata: None,
        quota: Quota::new(10_000),
    }
}

#[test]
fn while_nothing_may_expire_what_is_over_does_not_keep_it_awake() {
    let (mut actor, _handle, _turns) = locks([lease(at(5))]);
    assert_eq!(actor.due(), Some(at(5)));
    actor.expiry.quiet_until = at(10) + GRACE;
    assert_eq!(actor.due(), Some(at(10) + GRACE));
}

#[test]
fn a_refused_commit_is_noticed_although_nobody_asks_anything() {
    let (actor, _handle, _turns) = locks([]);
    assert!(!is_called(&actor));
    actor.progress.refuse();
    assert!(is_called(&actor));
}

/// How many commands went on to the disk together, for each message to it.
fn parts(turns: &Mailbox<JournalMessage>) -> Vec<usize> {
    sent(turns).map(|turn| turn.held.len()).collect()
}

/// What went on to the disk.
pub(super) fn sent(turns: &Mailbox<JournalMessage>) -> impl Iterator<Item = Turn> {
    let messages = std::iter::from_fn(|| turns.try_receive());
    messages.map(|message| match message {
        JournalMessage::Turn(turn) => turn,
        JournalMessage::Read(_) | JournalMessage::Snapshot(_) | JournalMessage::Stop => {
            panic!("a turn was sent")
        }
    })
}

#[test]
fn a_turn_is_sent_on_as_a_whole_unless_it_is_long() {
    let (mut actor, handle, turns) = locks([]);
    let few: Vec<_> = (0..COMMANDS_AT_ONCE - 1).map(|n| handle.ask(acquire(n)).unwrap()).collect();
    actor.turn(Patience::None);
    assert_eq!(parts(&turns), [few.len()]);

    let many: Vec<_> = (0..300).map(|n| handle.ask(acquire(1_000 + n)).unwrap()).collect();
    actor.turn(Patience::None);
    assert_eq!(parts(&turns), [COMMANDS_AT_ONCE, COMMANDS_AT_ONCE, 300 - 2 * COMMANDS_AT_ONCE]);

    // Those of one message stay together.
    let mut waiting: Vec<Waiting<LockOutcome>> = Vec::new();
    for message in 0..3 {
        let prepared = (0..100).map(|n| handle.prepare(acquire(2_000 + 100 * message + n)));
        let (asked, of_message): (Vec<_>, Vec<_>) = prepared.unzip();
        waiting.extend(of_message);
        handle.ask_all(asked);
    }
    actor.turn(Patience::None);
    assert_eq!(parts(&turns), [200, 100]);
    drop((few, many, waiting));
}

#[test]
fn a_turn_without_anything_for_the_disk_does_not_trouble_it() {
    let (mut actor, handle, turns) = locks([lease(at(70))]);
    let name = LockName::new("held").unwrap();
    let _waiting = handle.ask(LockCommand::Get { name }).unwrap();
    assert_eq!(actor.turn(Patience::None), Flow::Continue);
    assert!(turns.is_empty());
}

#[test]
fn one_outcome_when_the_journal_is_gone_it_ends_wherever_it_notices() {
    let ask = |handle: &Handle<LockMachine>, count: usize| -> Vec<_> {
        (0..count).map(|n| handle.ask(acquire(n)).unwrap()).collect()
    };
    // In the middle of a long turn, at the end of a short one, and when it is told to stop.
    for (count, stops) in [(300, false), (1, false), (1, true)] {
        let (mut actor, handle, turns) = locks([]);
        let waiting = ask(&handle, count);
        if stops {
            handle.stop();
        }
        drop(turns);
        assert_eq!(actor.turn(Patience::None), Flow::Stopped, "{count} {stops}");
        drop(actor);
        for waiting in waiting {
            assert_eq!(block_on(waiting), Err(Lost::OutcomeUnknown));
        }
    }
}

#[test]
fn stepped_by_hand_it_does_not_wait_for_its_barrier() {
    let (mut actor, handle, turns) = locks([]);
    handle.clone().stop();
    assert_eq!(actor.turn(Patience::None), Flow::Continue);
    assert_eq!(actor.turn(Patience::None), Flow::Continue, "the barrier is on its way");
    let Some(JournalMessage::Turn(barrier)) = turns.try_receive() else { panic!("a barrier") };
    barrier.held.into_iter().for_each(crate::reply::Held::release);
    assert_eq!(actor.turn(Patience::None), Flow::Stopped);
}

/// Counts whom it has been told to wake, and wakes nobody.
#[derive(Default)]
struct Counter(Mutex<usize>);

impl Alarm for Counter {
    fn wake(&self, sleepers: Vec<Waker>) {
        *lock(&self.0) += sleepers.len();
    }
}

#[test]
fn those_whom_it_answers_itself_are_woken_by_its_alarm() {
    let (actor, handle, _turns) = locks([]);
    let alarm = Arc::new(Counter::default());
    let mut actor = actor.with_alarm(Arc::clone(&alarm) as Arc<dyn Alarm>);
    let mut waiting: Vec<_> = (0..3)
        .map(|n| LockCommand::Get { name: LockName::new(&format!("free-{n}")).unwrap() })
        .map(|command| handle.ask(command).unwrap())
        .collect();
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.iter_mut().all(|waiting| Pin::new(waiting).poll(&mut context).is_pending()));
    actor.turn(Patience::None);
    assert_eq!(*lock(&alarm.0), 3);
}

#[test]
fn nothing_that_somebody_waits_for_prints_itself() {
    let secret = "what somebody asked for";
    let (mut actor, handle, turns) = locks([]);
    let command = LockCommand::Get { name: LockName::new("secret-name").unwrap() };
    let (asked, waiting) = handle.prepare(command);
    let held = reply::<&str>(Arc::new(Nowhere)).0.hold(secret);
    let (reply, other) = reply::<&str>(Arc::new(Nowhere));
    handle.ask_all(vec![asked]);
    let printed = format!("{handle:?} {actor:?} {waiting:?} {held:?} {reply:?} {other:?}");
    assert!(!printed.contains("secret") && !printed.contains(secret), "{printed}");
    let log = crate::commit::AuditLog::new(actor.journal.clone());
    assert_eq!(format!("{log:?}"), "AuditLog");
    assert!(format!("{:?}", actor.progress).contains("durable"));
    let _granted = handle.ask(acquire(1)).unwrap();
    actor.turn(Patience::None);
    let turn = turns.try_receive().unwrap();
    assert!(format!("{turn:?}").contains("held: 1"), "how many wait, not for what: {turn:?}");
}

/// A clock during whose reading somebody renews a lease.
struct Interrupted(Mutex<Option<Handle<LockMachine>>>);

impl Clock for Interrupted {
    fn now(&self) -> Instant {
        let handle = lock(&self.0).take();
        if let Some(handle) = handle {
            let Lease { name, holder, id, ttl, .. } = lease(at(0));
            let account = holder.account;
            let _unheard = handle.ask(LockCommand::Renew { name, account, lease: id, ttl });
        }
        at(10)
    }
}

#[test]
fn time_what_is_queued_when_the_clock_has_been_read_comes_before_what_expires() {
    let places = NonZeroUsize::new(10).unwrap();
    let (journal, _turns) = mailbox(places);
    let last = FencingToken::new(1).unwrap();
    let machine = LockMachine::new([lease(at(9))], Tokens::new(last, last, 10));
    let clock = Arc::new(Interrupted(Mutex::new(None)));
    let (mut actor, handle) =
        Actor::new(machine, places, journal, Arc::clone(&clock) as Arc<dyn Clock>);
    *lock(&clock.0) = Some(handle);
    actor.turn(Patience::None);
    assert_eq!(actor.machine.next_deadline(), Some(at(70)), "renewed, not expired");
}

/// So many leases that ended in one instant.
fn ended(count: u64) -> impl Iterator<Item = Lease> {
    (1..=count).map(|number| Lease {
        name: LockName::new(&format!("held-{number}")).unwrap(),
        token: FencingToken::new(number).unwrap(),
        ..lease(at(5))
    })
}

/// How many rows went on to the disk.
fn rows(turns: &Mailbox<JournalMessage>) -> u64 {
    sent(turns).map(|turn| turn.records.len() as u64).sum()
}

#[test]
fn how_many_messages_wait_is_known() {
    let (mut actor, handle, _turns) = locks([]);
    for waiting in 0..3 {
        assert_eq!(handle.queued(), waiting);
        let _unheard = handle.ask(acquire(1));
    }
    assert_eq!(actor.turn(Patience::None), Flow::Continue);
    assert_eq!(handle.queued(), 0);
}

#[test]
fn when_very_many_leases_end_at_once_no_commit_is_full_of_them() {
    let (mut actor, _handle, turns) = locks(ended(10_000));
    let end_as_many_as_may = |actor: &mut Actor<LockMachine>| {
        actor.expiry.quiet_until = Instant::default();
        for _ in 0..20 {
            assert_eq!(actor.turn(Patience::None), Flow::Continue);
        }
        rows(&turns)
    };
    let first = end_as_many_as_may(&mut actor);
    assert_eq!(actor.due(), Some(at(10) + EXPIRY_PAUSE), "the others wait, and not for long");
    assert_eq!(first, 512);
    assert_eq!(end_as_many_as_may(&mut actor), 0, "nothing of it is on disk yet");
    actor.progress.advance(actor.effects.last());
    assert_eq!(end_as_many_as_may(&mut actor), first);

    // What was refused is not on its way any more, and there are more of them again.
    actor.progress.refuse();
    assert_eq!(end_as_many_as_may(&mut actor), 0, "that it was refused is noticed first");
    assert_eq!(end_as_many_as_may(&mut actor), first);
}

#[test]
fn time_leases_end_however_much_else_is_under_way() {
    const CHANGES: usize = 2_000;
    let (mut actor, handle, turns) = locks(ended(4 * 512));
    for round in 0..4 {
        let number = 10_000 * (round + 1);
        let asked = (0..CHANGES).map(|n| handle.prepare(acquire(number + n)).0).collect();
        handle.ask_all(asked);
        actor.expiry.quiet_until = Instant::default();
        let before = actor.effects.last();
        assert_eq!(actor.turn(Patience::None), Flow::Continue);
        assert_eq!(rows(&turns), CHANGES as u64 + 512, "in round {round}");
        // All but the latest are on disk.
        actor.progress.advance(before);
        actor.expiry.quiet_until = Instant::default();
        actor.turn(Patience::None);
        assert_eq!(rows(&turns), 0, "those of this round are not on disk");
        actor.progress.advance(actor.effects.last());
    }
    assert_eq!(actor.machine.next_deadline(), Some(at(70)), "none of those is left");
}

/// Whether the actor's thread would look, and not sleep.
fn is_called(actor: &Actor<LockMachine>) -> bool {
    actor.mailbox.arrivals().wait(Some(Duration::ZERO)) == Woken::Rung
}

#[test]
fn no_ghosts_what_comes_back_is_noticed_although_nobody_asks_anything() {
    let (mut actor, handle, _turns) = locks([]);
    for _ in 0..2 {
        assert!(!is_called(&actor));
        handle.give_back(LockOutcome::Granted(lease(at(60))));
        assert!(is_called(&actor), "the actor would sleep, and the lease go on");
        handle.give_back(LockOutcome::Granted(lease(at(60))));
        assert!(!is_called(&actor), "a turn takes both");
        actor.turn(Patience::None);
    }
}

#[test]
fn bounded_what_comes_back_takes_no_room_from_commands() {
    let (_actor, handle, _turns) = locks([]);
    for _ in 0..2_000 {
        handle.give_back(LockOutcome::Released);
    }
    assert_eq!(handle.queued(), 0);
    assert!(handle.ask(acquire(1)).is_ok());
}

/// Refuses what is on its way in the moment in which a turn is sent on.
struct RefusesThen(Mutex<Option<Arc<Progress>>>);

impl Watch for RefusesThen {
    fn see(&self, _: Seen) {
        if let Some(progress) = lock(&self.0).take() {
            progress.refuse();
        }
    }
}

#[test]
fn one_outcome_a_turn_that_was_decided_before_a_refusal_is_known_by_it() {
    let (actor, handle, turns) = locks([]);
    let watch = Arc::new(RefusesThen(Mutex::new(None)));
    let mut actor = actor.with_watch(Arc::clone(&watch) as Arc<dyn Watch>);
    let _waits = handle.ask(acquire(1)).unwrap();
    *lock(&watch.0) = Some(Arc::clone(&actor.progress));
    actor.turn(Patience::None);
    let epochs: Vec<_> = sent(&turns).map(|turn| turn.epoch).collect();
    assert_eq!(epochs.len(), 1);
    assert_ne!(epochs[0], actor.progress.epoch(), "it stands on what has been undone");
}

#[test]
fn time_whoever_has_stood_still_reads_what_came_meanwhile_before_anything_ends() {
    let soon = Duration::from_millis(20);
    for (stood_still, ends) in
        [(LONGEST_SLEEP + STALL + soon, false), (LONGEST_SLEEP + STALL, true)]
    {
        let (mut actor, _handle, turns) = locks([lease(at(10))]);
        let now = at(10) + soon;
        actor.expiry.awake = now.minus(stood_still);
        actor.clock = Arc::new(Still(now));
        actor.turn(Patience::None);
        assert_eq!(rows(&turns) > 0, ends, "after {stood_still:?}");
        if !ends {
            assert_eq!(actor.due(), Some(now + GRACE));
            actor.clock = Arc::new(Still(now + GRACE));
            actor.turn(Patience::None);
            assert!(rows(&turns) > 0, "what nobody renewed has ended");
        }
    }
}

#[test]
fn time_a_mass_expiry_that_takes_longer_than_a_stall_is_none() {
    let (mut actor, _handle, turns) = locks(ended(10_000));
    let pause = Duration::from_millis(20);
    for turn in 0..15 {
        actor.clock = Arc::new(Still(at(10) + pause * turn));
        actor.turn(Patience::None);
        assert!(rows(&turns) > 0, "nothing ended in turn {turn}, and it was awake all the time");
        actor.progress.advance(actor.effects.last());
    }
    assert!(pause * 14 > STALL);
}
