//! Answers that reach nobody.

use crate::{
    bench::{Bench, FULL, Trouble, confirmed, free, told},
    common::{at, holder},
};
use octostore_actors::{
    actor::Patience,
    sync::{Arc, lock},
};
use std::task::Poll;

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
fn no_ghosts_an_answer_that_was_picked_up_in_vain_can_be_given_back() {
    let mut bench = Bench::new();
    let mut waiting = bench.acquire("a", holder(1), 10);
    bench.settle();
    let Poll::Ready(Ok(outcome)) = told(&mut waiting) else { panic!("it was granted") };
    bench.handle.give_back(outcome);
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
        bench.stay_awake_until(at(later));
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
