//! What no answer shows: how long the loop sleeps, and in how many parts it sends on what a turn
//! has decided.

use super::*;
use crate::domain::{
    lock::{Holder, Lease, LockCommand, LockMachine, LockOutcome, Tokens},
    values::{AccountId, FencingToken, LeaseId, LockName, Quota, Ttl},
};

const SECOND: u64 = 1_000_000_000;

/// A clock that stands still.
struct Still(Instant);

impl Clock for Still {
    fn now(&self) -> Instant {
        self.0
    }
}

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * SECOND)
}

fn holder() -> Holder {
    Holder { account: AccountId::from_bytes([1; 16]), owner: None }
}

fn lease(expires: Instant) -> Lease {
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

type Locks = (Actor<LockMachine>, Handle<LockMachine>, Mailbox<JournalMessage>);

/// A lock actor at the tenth second of a boot.
fn locks(leases: impl IntoIterator<Item = Lease>) -> Locks {
    let places = NonZeroUsize::new(1_000).unwrap();
    let (journal, turns) = mailbox(places);
    let last = FencingToken::new(1).unwrap();
    let machine = LockMachine::new(leases, Tokens::new(last, last.saturating_add(100_000), 10));
    let (actor, handle) = Actor::new(machine, places, journal, Arc::new(Still(at(10))));
    (actor, handle, turns)
}

fn acquire(number: usize) -> LockCommand {
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
fn with_nothing_to_do_it_sleeps_until_somebody_comes() {
    let (actor, _handle, _turns) = locks([]);
    assert_eq!(actor.sleep(Patience::UntilDeadline), None);
    assert_eq!(actor.sleep(Patience::None), Some(Duration::ZERO), "whoever steps it never waits");
}

#[test]
fn it_sleeps_until_a_lease_ends_but_not_through_a_suspend() {
    let ends = |after: Duration| locks([lease(at(10) + after)]).0.sleep(Patience::UntilDeadline);
    for millis in [0, 1, 499, 500] {
        let span = Duration::from_millis(millis);
        assert_eq!(ends(span), Some(span));
    }
    assert_eq!(ends(Duration::from_secs(60)), Some(LONGEST_SLEEP));
}

#[test]
fn while_nothing_may_expire_what_is_over_does_not_keep_it_awake() {
    let (mut actor, _handle, _turns) = locks([lease(at(5))]);
    assert_eq!(actor.sleep(Patience::UntilDeadline), Some(Duration::ZERO));
    actor.quiet_until = at(10) + GRACE;
    assert_eq!(actor.sleep(Patience::UntilDeadline), Some(GRACE));
}

#[test]
fn a_refused_commit_keeps_it_awake_until_it_is_undone() {
    let (mut actor, _handle, _turns) = locks([]);
    actor.progress.refuse();
    assert_eq!(actor.sleep(Patience::UntilDeadline), Some(Duration::ZERO), "nudge or no nudge");
    actor.turn(Patience::None);
    assert_eq!(actor.sleep(Patience::UntilDeadline), None);
}

/// How many commands went on to the disk together, for each message to it.
fn parts(turns: &Mailbox<JournalMessage>) -> Vec<usize> {
    let sent = std::iter::from_fn(|| turns.try_receive());
    let held = sent.map(|message| match message {
        JournalMessage::Turn(turn) => turn.held.len(),
        JournalMessage::Read(_) | JournalMessage::Stop => panic!("a turn was sent"),
    });
    held.collect()
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
