//! Limiters that nobody asks any more disappear.

use crate::{
    common::account,
    world::{World, limit, policy},
};
use octostore_actors::domain::{
    Machine,
    limiter::{LimitOutcome, LimitRecord},
    values::Quota,
};
use std::time::Duration;

#[test]
fn an_idle_limiter_disappears_when_its_window_has_passed() {
    for seconds in [1, 60, 86_400] {
        let mut world = World::new();
        let ten = policy(10, seconds);
        world.admit(ten, 1);
        world.pass(Duration::from_millis(300));
        world.admit(ten, 1);
        let last = world.now;
        world.settle();
        world.now = last + Duration::from_secs(seconds).saturating_sub(Duration::from_nanos(1));
        world.expire();
        assert_eq!(world.list(1), ["a"]);
        assert!(world.on_its_way().is_empty());
        // The rounding is a thousandth of the window.
        world.now = last + Duration::from_millis(seconds * 1_001);
        world.expire();
        let gone = LimitRecord::Gone(account(1), limit("a"));
        assert_eq!(world.on_its_way(), [&gone]);
        assert_eq!(world.status(), None);
        assert!(world.list(1).is_empty());
        assert_eq!(world.machine.next_deadline(), None);
        world.settle();
        assert!(world.row(1, "a").is_none());
    }
}

#[test]
fn a_limiter_that_is_asked_again_stays() {
    let mut world = World::new();
    for _ in 0..50 {
        world.admit(policy(10, 10), 1);
        world.pass_seconds(9);
        world.expire();
        assert_eq!(world.list(1), ["a"]);
    }
    world.pass_seconds(2);
    world.expire();
    assert!(world.list(1).is_empty());
}

#[test]
fn it_stays_as_long_as_the_longest_window_of_late() {
    let mut world = World::new();
    world.admit(policy(10, 100), 1);
    world.admit(policy(10, 1), 1);
    world.pass_seconds(99);
    world.expire();
    assert_eq!(world.list(1), ["a"]);
    assert_eq!(world.admit(policy(10, 100), 8).remaining, 0);
    world.pass_seconds(101);
    world.expire();
    assert!(world.list(1).is_empty());
}

#[test]
fn bounded_any_number_of_idle_limiters_disappears_a_bounded_part_at_a_time() {
    let mut world = World::new();
    world.quota = Quota::new(5_000);
    for number in 0..3_000 {
        world.check_of(1, &format!("limit-{number}"), policy(1, 1), 1);
    }
    world.settle();
    world.pass_seconds(2);
    let mut calls = 0;
    while world.machine.next_deadline().is_some_and(|deadline| deadline <= world.now) {
        let before = world.on_its_way().len();
        world.deadline();
        let removed = world.on_its_way().len() - before;
        assert!((1..=1_000).contains(&removed), "{removed} at once");
        calls += 1;
    }
    assert!(calls >= 3);
    assert_eq!(world.on_its_way().len(), 3_000);
    assert!(world.list(1).is_empty());
}

#[test]
fn what_is_idle_is_still_idle_after_a_crash_that_lost_its_removal() {
    let mut world = World::new();
    world.admit(policy(10, 10), 1);
    world.settle();
    world.pass_seconds(11);
    world.expire();
    world.crash(Duration::ZERO);
    world.pass_seconds(11);
    world.expire();
    assert!(world.list(1).is_empty());
    world.admit(policy(10, 10), 10);
}

#[test]
fn a_removal_that_the_store_refused_does_not_come_back_as_spent_after_a_clean_stop() {
    let mut world = World::new();
    let ten = policy(10, 10);
    world.admit(ten, 1);
    world.settle();
    world.pass_seconds(11);
    world.expire();
    world.disk_is_full();
    world.catch_up();
    world.expire();
    world.stop();
    world.crash(Duration::ZERO);
    let remaining = world.status().map_or(10, |standing| standing.remaining);
    assert_eq!(remaining, 10, "nobody has asked for a whole window");
}

#[test]
fn bounded_a_limiter_that_is_deleted_leaves_no_deadline() {
    let ten = policy(10, 10);
    let mut world = World::new();
    world.admit(ten, 1);
    world.pass_seconds(9);
    world.admit(ten, 1);
    world.pass_seconds(2);
    world.expire();
    assert_eq!(world.list(1), ["a"], "it was looked at, and is not idle yet");
    world.delete();
    assert_eq!(world.machine.next_deadline(), None);
}

#[test]
fn bounded_a_deletion_that_the_store_refused_leaves_no_deadline_of_what_was_made_anew() {
    let ten = policy(10, 10);
    let mut world = World::new();
    world.admit(ten, 1);
    world.settle();
    world.delete();
    world.pass_seconds(1);
    world.admit(ten, 1);
    world.disk_is_full();
    world.catch_up();
    world.delete();
    assert_eq!(world.machine.next_deadline(), None);
}

#[test]
fn bounded_a_deletion_that_the_store_refused_leaves_no_more_limiters_than_may_be() {
    let ten = policy(10, 10);
    let mut world = World::new();
    world.quota = Quota::new(1);
    world.check_of(1, "a", ten, 1);
    world.settle();
    world.delete_of(1, "a");
    let made = world.check_of(1, "b", ten, 1);
    assert!(matches!(made.outcome, LimitOutcome::Admitted(_)), "there is room for one");
    world.disk_is_full();
    world.catch_up();
    assert_eq!(world.list(1), ["a"], "the other took its room, and it is there again");
}
