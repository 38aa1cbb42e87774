//! What a restart keeps, one story at a time.

use crate::{
    common::at,
    oracle::{Oracle, late, nanos},
    windows::cost_of,
    world::{World, policy},
};
use octostore_actors::{domain::limiter::LimitOutcome, progress::Seq, time::Instant};
use std::time::Duration;

const AT_ONCE: Duration = Duration::ZERO;

/// How many admitted requests somebody was told of.
fn told(world: &mut World) -> u32 {
    let admitted = |outcome: &LimitOutcome| matches!(outcome, LimitOutcome::Admitted(_));
    let told = world.take_told();
    told.iter().filter(|asked| admitted(&asked.outcome)).map(cost_of).sum()
}

#[test]
fn after_a_clean_stop_everything_is_as_it_was() {
    for (requests, admitted) in [(1, 1), (8, 3), (100, 41), (10_000, 9_999)] {
        let policy = policy(requests, 60);
        let mut world = World::new();
        world.admit(policy, admitted);
        world.pass_seconds(10);
        let before = world.status().unwrap();
        world.stop();
        world.crash(AT_ONCE);
        assert_eq!(world.status().unwrap(), before);
        world.pass_seconds(49);
        world.expire();
        assert_eq!(world.status().unwrap().count, before.count);
        world.pass_seconds(1);
        world.expire();
        assert_eq!(world.status(), None);
    }
}

#[test]
fn limits_a_clean_stop_with_rows_on_their_way_loses_nothing() {
    let hundred = policy(100, 60);
    let mut world = World::new();
    for _ in 0..7 {
        world.admit(hundred, 11);
    }
    world.stop();
    assert_eq!(told(&mut world), 77);
    world.crash(AT_ONCE);
    assert_eq!(world.status().unwrap().remaining, 23);
}

#[test]
fn a_crash_costs_no_more_than_was_reserved_and_for_no_more_than_a_window() {
    for requests in [1, 8, 64, 100, 1_000, 10_000] {
        let policy = policy(requests, 60);
        let mut world = World::new();
        world.admit(policy, 1);
        world.settle();
        world.crash(Duration::from_secs(7));
        let standing = world.status().unwrap();
        assert!(standing.count >= 1);
        assert!(standing.count <= 1 + policy.ahead(), "{requests}: {standing:?}");
        assert!(
            standing.reset_at
                <= world.now + policy.window.as_duration() + Duration::from_millis(60)
        );
        world.pass_seconds(61);
        world.expire();
        world.admit(policy, requests);
    }
}

#[test]
fn what_is_recovered_lies_in_the_past_and_in_order() {
    let policy = policy(64, 60);
    let mut world = World::new();
    world.admit(policy, 1);
    world.pass(Duration::from_nanos(100));
    world.admit(policy, 40);
    world.settle();
    let row = world.row(1, "a").unwrap().clone();
    assert!(row.admitted[1].at > world.now, "it is rounded up");
    for rebooted in [false, true] {
        let recovered = row.clone().recovered(world.now, rebooted).admitted;
        assert_eq!(recovered.len(), 3, "what was admitted, and what was reserved");
        assert!(recovered.iter().all(|admitted| admitted.at <= world.now));
        assert!(recovered.is_sorted_by_key(|admitted| admitted.at));
    }
}

#[test]
fn what_nobody_was_told_may_be_lost_with_its_row() {
    let mut world = World::new();
    world.admit(policy(5, 60), 5);
    world.crash(AT_ONCE);
    assert_eq!(told(&mut world), 0);
    assert_eq!(world.status(), None);
    world.admit(policy(5, 60), 5);
}

#[test]
fn limits_a_crash_while_two_rows_are_on_their_way_loses_nothing_that_was_told() {
    let many = policy(64, 60);
    let mut world = World::new();
    world.admit(many, 1);
    world.settle();
    // Some of the first reservation is left when the second is asked for, and the second is
    // spent before it is on disk: so there is a third.
    world.admit(many, 5);
    world.admit(many, 8);
    world.admit(many, 1);
    world.commit(1);
    world.catch_up();
    world.admit(many, 3);
    world.crash(AT_ONCE);
    let spent = told(&mut world);
    let left = world.status().unwrap().remaining;
    assert!(spent + left <= 64, "{spent} were told, and {left} more are left of 64");
}

#[test]
fn limits_a_crash_after_a_refused_row_loses_nothing_that_was_told() {
    let many = policy(64, 60);
    let mut world = World::new();
    world.admit(many, 1);
    world.settle();
    world.admit(many, 5);
    world.admit(many, 8);
    world.admit(many, 1);
    world.commit(1);
    world.disk_is_full();
    world.catch_up();
    world.admit(many, 3);
    world.crash(AT_ONCE);
    let spent = told(&mut world);
    let left = world.status().unwrap().remaining;
    assert!(spent + left <= 64, "{spent} were told, and {left} more are left of 64");
}

#[test]
fn limits_a_crash_after_a_refused_deletion_loses_nothing_that_was_told() {
    let many = policy(64, 60);
    let mut world = World::new();
    world.admit(many, 1);
    world.settle();
    world.admit(many, 5);
    world.delete();
    // The row is there before the machine knows that the deletion is not.
    world.commit(1);
    world.catch_up();
    world.disk_is_full();
    world.catch_up();
    for _ in 0..20 {
        world.check(many, 1);
    }
    world.crash(AT_ONCE);
    let spent = told(&mut world);
    let left = world.status().unwrap().remaining;
    assert!(spent + left <= 64, "{spent} were told, and {left} more are left of 64");
}

#[test]
fn a_longer_window_is_remembered_over_a_crash() {
    let mut world = World::new();
    world.admit(policy(16, 1), 1);
    world.settle();
    let hour = policy(16, 3_600);
    let asked = world.check_of(1, "a", hour, 3);
    assert!(matches!(asked.outcome, LimitOutcome::Admitted(_)));
    if asked.depends_on > Seq::NONE {
        world.settle();
    }
    assert_eq!(told(&mut world), 4);
    world.crash(Duration::from_secs(2));
    world.expire();
    world.pass_seconds(2);
    world.expire();
    world.refuse(hour, 16);
}

#[test]
fn limits_a_longer_window_that_was_refused_is_remembered_over_a_crash() {
    let (short, long) = (policy(5, 3), policy(5, 60));
    for full in [false, true] {
        let mut world = World::new();
        world.admit(short, 5);
        world.settle();
        if full {
            // The row that would remember it is refused at first.
            world.refuse(long, 1);
            world.disk_is_full();
            world.catch_up();
            world.pass_seconds(1);
        }
        world.refuse(long, 1);
        world.settle();
        world.crash(AT_ONCE);
        world.pass_seconds(4);
        world.expire();
        world.refuse(long, 1);
    }
}

#[test]
fn limits_who_asks_about_a_longer_window_waits_until_it_is_remembered() {
    let (short, long) = (policy(100, 3), policy(100, 60));
    let mut world = World::new();
    world.admit(short, 1);
    world.settle();
    // What is reserved on disk would do for all of these, but for three seconds alone.
    world.admit(long, 1);
    world.admit(long, 1);
    world.admit(short, 1);
    world.crash(Duration::from_secs(4));
    assert_eq!(told(&mut world), 1, "nobody was told of what is forgotten now");
}

#[test]
fn limits_a_longer_window_of_late_is_remembered_over_a_crash_after_a_shorter_one() {
    let (short, long) = (policy(10, 1), policy(10, 100));
    for stopped in [false, true] {
        let mut world = World::new();
        world.admit(long, 10);
        world.settle();
        world.pass_seconds(2);
        world.admit(short, 10);
        world.settle();
        if stopped {
            world.stop();
        }
        world.crash(Duration::from_secs(5));
        world.expire();
        world.refuse(long, 1);
    }
}

#[test]
fn limits_a_row_that_was_written_weeks_ago_counts_in_full() {
    let most = policy(10_000, 86_400);
    let mut world = World::new();
    world.admit(most, 1);
    world.settle();
    for _ in 0..20 {
        world.pass_seconds(23 * 3_600);
        world.expire();
        world.admit(most, 1);
    }
    world.admit(most, 400);
    world.crash(AT_ONCE);
    assert_eq!(told(&mut world), 421);
    let left = world.status().map_or(10_000, |standing| standing.remaining);
    assert!(left <= 10_000 - 401, "{left} are left, though 401 were told in the last hour");
}

#[test]
fn after_a_stop_of_weeks_nothing_is_left() {
    let most = policy(10_000, 86_400);
    for days in [1, 7, 14, 400] {
        let mut world = World::new();
        world.admit(most, 10_000);
        world.stop();
        world.crash(Duration::from_secs(days * 86_400));
        world.expire();
        world.admit(most, 10_000);
    }
}

#[test]
fn restarts_do_not_add_up_their_rounding() {
    let many = policy(1_000, 1_000);
    let mut world = World::new();
    world.now = at(5);
    let mut oracle = Oracle::default();
    for order in 0..30 {
        world.admit(many, 1);
        oracle.admit(order, world.real(), 1);
        world.stop();
        world.crash(Duration::from_millis(900));
    }
    let first = at(5);
    for millis in 0..30 {
        world.now = first + Duration::from_secs(1_001) + Duration::from_millis(900 * millis);
        world.expire();
        let count = world.status().map_or(0, |standing| u64::from(standing.count));
        let window = many.window;
        let most = oracle.count(world.real(), window, late(window));
        assert!(count <= most, "{count} count at {:?}, {most} at most should", world.now);
        assert!(count >= oracle.count(world.real(), window, 0));
    }
    assert!(world.real() > oracle.last().unwrap() + nanos(many.window));
}

#[test]
fn a_reboot_takes_the_latest_request_for_made_just_now() {
    let ten = policy(10, 60);
    for off in [0, 1, 30, 1_000_000] {
        let mut world = World::new();
        world.now = at(5_000);
        world.admit(ten, 4);
        world.pass_seconds(20);
        world.admit(ten, 6);
        world.pass_seconds(20);
        world.stop();
        world.reboot(Duration::from_secs(off), at(100));
        assert_eq!(world.status().unwrap().remaining, 0, "off for {off} s");
        world.pass_seconds(39);
        world.refuse(ten, 1);
        world.pass_seconds(2);
        world.admit(ten, 4);
        world.refuse(ten, 1);
        world.pass_seconds(20);
        world.expire();
        world.admit(ten, 6);
    }
}

#[test]
fn limits_a_reboot_is_no_rounding_in_favour_of_the_caller() {
    let two = policy(2, 1);
    let mut world = World::new();
    world.admit(two, 1);
    world.pass(Duration::from_nanos(999_999_999));
    world.admit(two, 1);
    world.stop();
    assert_eq!(told(&mut world), 2);
    // Nothing says that any time has passed since.
    world.reboot(AT_ONCE, at(1));
    world.refuse(two, 1);
}

#[test]
fn limits_a_boot_that_is_younger_than_the_history_forgets_none_of_it() {
    let ten = policy(10, 3_600);
    let mut world = World::new();
    world.now = at(100_000);
    for _ in 0..10 {
        world.admit(ten, 1);
        world.pass_seconds(300);
    }
    world.stop();
    world.reboot(AT_ONCE, Instant::from_nanos(1));
    world.refuse(ten, 1);
    world.pass_seconds(3_604);
    world.expire();
    world.admit(ten, 10);
}

#[test]
fn a_crash_soon_after_a_reboot_reads_times_of_the_present_boot() {
    let ten = policy(10, 60);
    let mut world = World::new();
    world.now = at(1_000_000);
    world.admit(ten, 10);
    world.stop();
    world.reboot(AT_ONCE, at(20));
    world.crash(Duration::from_secs(10));
    assert_eq!(world.status().unwrap().remaining, 0);
    world.pass_seconds(51);
    world.expire();
    world.admit(ten, 10);
}

#[test]
fn limits_many_crashes_in_a_row_lose_no_request_that_was_told() {
    let many = policy(1_000, 60);
    let mut world = World::new();
    let mut spent = 0;
    for _ in 0..40 {
        for _ in 0..3 {
            world.check(many, 7);
        }
        world.commit(1);
        spent += told(&mut world);
        world.crash(Duration::from_millis(10));
    }
    let left = world.status().unwrap().remaining;
    assert!(spent >= 40 && spent + left <= 1_000, "{spent} were told, {left} are left");
}
