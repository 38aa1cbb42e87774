//! What a limiter remembers is bounded, whatever is asked of it.

use crate::{
    oracle::Oracle,
    world::{World, policy},
};
use octostore_actors::{
    domain::limiter::{History, LimitOutcome, Policy},
    time::Instant,
};
use std::time::Duration;

/// How many entries a limiter that is asked every `gap` remembers at most.
fn most_entries(policy: Policy, gap: Duration, times: u32) -> usize {
    let window = policy.window;
    let mut history = History::default();
    let mut now = Instant::from_nanos(123);
    let mut most = 0;
    for _ in 0..times {
        history.forget(now, window.as_duration());
        history.admit(now, 1, window);
        most = most.max(history.iter().len());
        now = now + gap;
    }
    most
}

#[test]
fn bounded_one_policy_needs_no_more_than_1_500_entries() {
    for seconds in [1, 2, 3, 10, 60, 3_600, 86_400] {
        let policy = policy(10_000, seconds);
        let window = u32::try_from(seconds).unwrap() * Duration::from_secs(1);
        for parts in [20_000, 10_000, 5_000, 3_815, 3_000, 2_000, 1_500, 1_272, 1_001, 999] {
            let most = most_entries(policy, window / parts, parts * 2);
            assert!(most <= 1_500, "{most} entries of {seconds} s in {parts} parts");
        }
    }
}

#[test]
fn the_row_of_a_full_window_is_as_small() {
    let most = policy(10_000, 1);
    let mut world = World::new();
    for _ in 0..30_000 {
        world.check(most, 1);
        world.settle();
        world.pass(Duration::from_micros(100));
        world.expire();
    }
    world.stop();
    let entries = world.row(1, "a").unwrap().admitted.len();
    assert!((900..=1_500).contains(&entries), "{entries}");
}

#[test]
fn bounded_mixed_windows_need_no_more_than_4_096_entries_and_still_only_refuse() {
    let (day, second) = (policy(10_000, 86_400), policy(10_000, 1));
    let mut world = World::new();
    let mut oracle = Oracle::default();
    let mut refused = 0;
    for step in 0..12_000_u64 {
        let policy = if step % 100 == 0 { day } else { second };
        let now = world.real();
        if step % 100 == 0 {
            let counts = oracle.count(now, day.window, 0);
            let standing = match world.check(policy, 1) {
                LimitOutcome::Admitted(standing) => {
                    assert!(counts < 10_000);
                    oracle.admit(step, now, 1);
                    standing
                }
                LimitOutcome::Refused(standing, _) => {
                    refused += 1;
                    standing
                }
                other => panic!("{other:?}"),
            };
            assert!(u64::from(standing.count) >= oracle.count(now, day.window, 0));
        } else {
            world.admit(policy, 1);
            oracle.admit(step, now, 1);
        }
        world.settle();
        let entries = world.row(1, "a").unwrap().admitted.len();
        assert!(entries <= 4_096, "{entries}");
        world.pass_seconds(8);
        world.expire();
    }
    assert!(refused < 60, "a quota of 10,000 a day is hardly reached, but {refused} were refused");
    world.stop();
    assert!(world.row(1, "a").unwrap().admitted.len() <= 4_096);
}

#[test]
fn a_crash_a_second_does_not_make_the_row_grow() {
    let most = policy(10_000, 60);
    let mut world = World::new();
    for _ in 0..500 {
        world.check(most, 1);
        world.settle();
        world.crash(Duration::from_secs(1));
        world.expire();
        let entries = world.row(1, "a").unwrap().admitted.len();
        assert!(entries <= 200, "{entries}");
    }
}

#[test]
fn nothing_is_joined_that_there_is_room_for() {
    let window = policy(10_000, 1).window;
    let mut history = History::default();
    let mut now = Instant::from_nanos(0);
    for entries in 1..=4_096 {
        history.admit(now, 1, window);
        assert_eq!(history.iter().len(), entries);
        now = now + Duration::from_millis(10);
    }
    history.admit(now, 1, window);
    assert!(history.iter().len() < 4_096);
    let count: u32 = history.iter().map(|admitted| admitted.count).sum();
    assert_eq!(count, 4_097, "whatever is joined still counts");
}

#[test]
fn what_has_left_the_window_is_forgotten_in_that_instant() {
    let window = policy(1, 60).window;
    let mut history = History::default();
    history.admit(Instant::from_nanos(123), 1, window);
    let leaves = history.last().unwrap() + window.as_duration();
    history.forget(leaves.minus(Duration::from_nanos(1)), window.as_duration());
    assert_eq!(history.iter().len(), 1);
    history.forget(leaves, window.as_duration());
    assert_eq!(history.iter().len(), 0);
}

#[test]
fn bounded_what_is_gone_leaves_nothing_behind() {
    let mut world = World::new();
    for number in 1..4 {
        for name in ["idle", "deleted", "both"] {
            world.check_of(number, name, policy(10, 60), 9);
        }
        world.settle();
        world.delete_of(number, "deleted");
        world.delete_of(number, "both");
        world.check_of(number, "refused", policy(10, 60), 1);
        world.disk_is_full();
        world.catch_up();
        world.delete_of(number, "deleted");
        world.settle();
    }
    world.pass_seconds(61);
    world.expire();
    world.settle();
    assert_eq!(format!("{:?}", world.machine), format!("{:?}", World::new().machine));
}

#[test]
fn rounding_makes_no_request_count_a_thousandth_of_the_window_longer() {
    let tick = Duration::from_nanos(1 << 18);
    for seconds in [1, 2, 3, 10, 60] {
        let window = policy(10_000, seconds).window;
        let mut history = History::default();
        let origin = Instant::from_nanos(123);
        history.admit(origin, 1, window);
        // Each just after a tick, which is rounded up nearly a whole one.
        let far = origin + tick * 1_000;
        let mut asked = vec![origin];
        let per_window = window.as_duration().as_nanos().div_ceil(tick.as_nanos());
        for number in 0..u32::try_from(per_window / 3).unwrap() {
            let now = far + tick * number + Duration::from_nanos(1);
            history.admit(now, 1, window);
            asked.push(now);
        }
        let mut asked = asked.into_iter();
        for entry in history.iter() {
            let first = asked.next().unwrap();
            asked.by_ref().take(entry.count as usize - 1).for_each(drop);
            let late = entry.at.since(first);
            assert!(late < window.as_duration() / 1_000, "{late:?} of {seconds} s");
        }
    }
}
