//! A disk without room.

use crate::{
    bench::{Bench, FULL, RELEASED, Trouble, confirmed, free, granted, told},
    by_hand::{Witness, persistence, turn_of},
    common::{account, at, at_ms, get, holder, lease_id, release, seq},
};
use octostore_actors::{
    actor::{Flow, Patience, ROOM_RETRY},
    domain::{
        Record,
        lock::{LockOutcome, LockRecord},
    },
    progress::{Progress, Seq},
    reply::{Home, Lost, reply},
    sync::{Arc, AtomicU64, Mutex, Ordering, lock},
    time::Instant,
};
use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

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
    bench.stay_awake_until(at(10));
    bench.disk.expect_trouble([Trouble::NoRoom]);
    bench.settle();
    assert_eq!(bench.disk.latest(), [free("a")]);
    assert_eq!(bench.status("a"), Some(lease), "it could not be written");
    let commits = bench.disk.commits();
    bench.stay_awake_until(at(10) + ROOM_RETRY);
    assert_eq!(bench.disk.commits(), commits, "not tried again at once");
    // The pause was ours: what came due in it was not slept through, and gets no grace.
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
    let (refused, _) = turn_of(&progress, seq(1), vec![free("a")]);
    let home = Witness(Arc::clone(&progress), Mutex::new(Vec::new()));
    let (unanswered, mut waiting) = reply(Arc::new(home) as Arc<dyn Home<()>>);
    let (mut stale, _) = turn_of(&progress, seq(2), vec![free("b")]);
    stale.held.push(unanswered.hold(()));
    disk.expect_trouble([Trouble::NoRoom]);
    assert!(journal.try_send(refused.into()).is_ok());
    persistence.step().unwrap();
    let (fresh, saw_fresh) = turn_of(&progress, seq(3), vec![free("c")]);
    assert!(journal.try_send(stale.into()).is_ok() && journal.try_send(fresh.into()).is_ok());
    persistence.step().unwrap();
    assert_eq!(disk.latest(), [free("c")]);
    let mut cx = Context::from_waker(Waker::noop());
    let told = Pin::new(&mut waiting).poll(&mut cx);
    assert_eq!(told, Poll::Ready(Err(Lost::StoreFull)));
    assert_eq!(*lock(&saw_fresh.1), [seq(3)]);
}

#[test]
fn a_refused_batch_is_one_refusal_for_each_domain_in_it() {
    let (journal, mut persistence, disk) = persistence();
    let (one, other) = (Arc::new(Progress::default()), Arc::new(Progress::default()));
    let untouched = Progress::default();
    for (progress, upto, lock) in [(&one, 1, "a"), (&other, 1, "b"), (&one, 2, "c")] {
        let (turn, _) = turn_of(progress, seq(upto), vec![free(lock)]);
        assert!(journal.try_send(turn.into()).is_ok());
    }
    disk.expect_trouble([Trouble::NoRoom]);
    persistence.step().unwrap();
    for progress in [&one, &other] {
        assert_eq!(progress.durable(), Seq::NONE);
        assert!(progress.epoch() > untouched.epoch());
    }
    assert_eq!(one.epoch(), other.epoch());
}

#[test]
fn a_refusal_wakes_the_actor_of_each_domain_in_it_once() {
    let (journal, mut persistence, disk) = persistence();
    let [(one, woken_one), (other, woken_other), (third, woken_third)] = [(); 3].map(|()| {
        let woken = Arc::new(AtomicU64::new(0));
        let nudges = Arc::clone(&woken);
        let nudge = move || {
            nudges.fetch_add(1, Ordering::SeqCst);
        };
        (Arc::new(Progress::new(Box::new(nudge))), woken)
    });
    let woken =
        || [&woken_one, &woken_other, &woken_third].map(|woken| woken.load(Ordering::SeqCst));
    for (progress, upto, lock) in [(&one, 1, "a"), (&other, 1, "b"), (&one, 2, "c")] {
        let (turn, _) = turn_of(progress, seq(upto), vec![free(lock)]);
        assert!(journal.try_send(turn.into()).is_ok());
    }
    disk.expect_trouble([Trouble::NoRoom]);
    persistence.step().unwrap();
    assert_eq!(woken(), [1, 1, 0]);

    let (turn, _) = turn_of(&third, seq(1), vec![free("d")]);
    assert!(journal.try_send(turn.into()).is_ok());
    persistence.step().unwrap();
    assert_eq!(woken(), [1, 1, 0], "what is committed wakes nobody");
}

#[test]
fn without_room_an_expiry_is_undone_although_nobody_asks_anything() {
    let mut bench = Bench::new();
    let lease = bench.hold("a", holder(1), 10);
    bench.stay_awake_until(at(10));
    bench.disk.expect_trouble([Trouble::NoRoom]);
    bench.settle();
    assert_eq!(bench.disk.latest(), [free("a")]);
    assert_eq!(bench.turn(), Flow::Continue);
    bench.stay_awake_until(at(10) + ROOM_RETRY);
    assert_eq!(bench.disk.lease("a"), Some(lease));
    bench.settle();
    assert_eq!(bench.disk.lease("a"), None);
}
