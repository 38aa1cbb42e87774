//! The policy is part of each call: another one judges what is remembered anew.

use crate::world::{World, policy};
use std::time::Duration;

#[test]
fn a_smaller_quota_refuses_what_the_larger_one_would_admit() {
    let mut world = World::new();
    world.admit(policy(10, 60), 5);
    let (standing, retry_after) = world.refuse(policy(5, 60), 1);
    assert_eq!((standing.count, standing.remaining), (5, 0));
    assert_eq!(standing.policy, policy(5, 60));
    assert_eq!(retry_after.as_seconds(), 60);
    let (standing, _) = world.refuse(policy(2, 60), 1);
    assert_eq!((standing.count, standing.remaining), (5, 0));
    assert_eq!(world.admit(policy(10, 60), 5).remaining, 0);
}

#[test]
fn a_larger_quota_admits_what_is_more() {
    let mut world = World::new();
    world.admit(policy(5, 60), 5);
    world.refuse(policy(5, 60), 1);
    let standing = world.admit(policy(12, 60), 7);
    assert_eq!((standing.count, standing.remaining), (12, 0));
}

#[test]
fn a_shorter_window_sees_less_and_a_longer_one_all_that_is_remembered() {
    let mut world = World::new();
    world.admit(policy(10, 100), 4);
    world.pass_seconds(20);
    assert_eq!(world.admit(policy(10, 10), 3).count, 3);
    world.pass_seconds(20);
    assert_eq!(world.admit(policy(10, 10), 1).count, 1);
    assert_eq!(world.admit(policy(10, 30), 1).count, 5);
    assert_eq!(world.admit(policy(10, 100), 1).count, 10);
    world.refuse(policy(10, 100), 1);
    assert_eq!(world.admit(policy(10, 15), 1).count, 4);
}

#[test]
fn status_speaks_of_the_latest_policy_even_if_that_refused() {
    let mut world = World::new();
    world.admit(policy(10, 60), 5);
    world.refuse(policy(3, 30), 1);
    let standing = world.status().unwrap();
    assert_eq!(standing.policy, policy(3, 30));
    assert_eq!((standing.count, standing.remaining), (5, 0));
}

#[test]
fn a_retry_after_a_policy_changed_is_about_the_new_one() {
    let mut world = World::new();
    world.admit(policy(10, 100), 8);
    world.pass_seconds(10);
    world.admit(policy(10, 100), 2);
    // The rounding of a thousandth of the window may cost one more.
    assert!((40..=41).contains(&world.refuse(policy(10, 50), 1).1.as_seconds()));
    assert!((50..=51).contains(&world.refuse(policy(2, 50), 1).1.as_seconds()));
    let wait = world.refuse(policy(10, 100), 1).1.as_seconds();
    assert!((90..=91).contains(&wait));
    world.pass_seconds(wait.into());
    world.expire();
    world.admit(policy(10, 100), 8);
}

#[test]
fn the_second_longest_window_is_remembered_when_the_longest_is_out_of_use() {
    let minute = policy(10, 60);
    let mut world = World::new();
    world.admit(policy(10, 100), 1);
    world.pass_seconds(50);
    world.admit(minute, 9);
    world.pass_seconds(51);
    world.expire();
    world.admit(policy(10, 10), 1);
    world.pass_seconds(4);
    world.expire();
    // 55 seconds after nine were admitted under the same policy.
    world.refuse(minute, 1);
}

#[test]
fn alternating_windows_hold_each_for_itself() {
    let (short, long) = (policy(2, 1), policy(6, 10));
    let mut world = World::new();
    for _ in 0..3 {
        world.admit(short, 1);
        world.admit(long, 1);
        world.refuse(short, 1);
        world.pass_seconds(2);
        world.expire();
    }
    world.refuse(long, 1);
    assert_eq!(world.admit(short, 1).remaining, 1);
    world.pass_seconds(4);
    world.expire();
    // The first two have left; the others have not.
    assert_eq!(world.admit(long, 1).remaining, 0);
}

/// How many seconds the limiter remembers its requests.
fn remembers(world: &mut World) -> u32 {
    world.stop();
    world.row(1, "a").unwrap().horizon.as_seconds()
}

#[test]
fn a_window_out_of_use_is_forgotten_however_often_a_shorter_one_is_used() {
    let mut world = World::new();
    world.admit(policy(1_000, 100), 1);
    for _ in 0..210 {
        world.pass(Duration::from_millis(500));
        world.admit(policy(1_000, 10), 1);
    }
    assert_eq!(remembers(&mut world), 10);
}

#[test]
fn of_more_windows_than_sixteen_the_longest_counts_as_used() {
    for (windows, remembered) in [(16, 1), (17, 100)] {
        let mut world = World::new();
        for shorter in 0..windows {
            world.admit(policy(100, 100 - shorter), 1);
            world.pass_seconds(1);
        }
        // The first check was a hundred seconds ago and more, the last one was not.
        world.pass_seconds(101 - windows);
        world.admit(policy(100, 1), 1);
        assert_eq!(remembers(&mut world), remembered, "{windows} windows");
        world.pass_seconds(16);
        world.admit(policy(100, 1), 1);
        assert_eq!(remembers(&mut world), 1, "{windows} windows");
    }
}

#[test]
fn reset_at_is_about_the_latest_policy_and_never_past() {
    let mut world = World::new();
    world.admit(policy(10, 100), 1);
    let window = Duration::from_secs(1);
    let last = world.now;
    let reset_at = world.admit(policy(10, 1), 1).reset_at;
    assert!(reset_at >= last + window && reset_at <= last + window + Duration::from_millis(1));
    world.pass_seconds(50);
    assert_eq!(world.status().unwrap().reset_at, world.now, "the whole quota is free");
}
