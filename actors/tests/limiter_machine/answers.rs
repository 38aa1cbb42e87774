//! What the answers promise.

use crate::{
    common::{account, at},
    world::{World, policy},
};
use octostore_actors::domain::limiter::{LimitCommand, LimitOutcome};
use std::time::Duration;

#[test]
fn a_cost_is_admitted_as_a_whole_or_not_at_all() {
    let ten = policy(10, 60);
    let mut world = World::new();
    assert_eq!(world.admit(ten, 7).remaining, 3);
    let (standing, _) = world.refuse(ten, 4);
    assert_eq!((standing.count, standing.remaining), (7, 3));
    assert_eq!(world.admit(ten, 3).remaining, 0);
    world.refuse(ten, 1);
    world.refuse(ten, 10);
}

#[test]
fn a_refusal_consumes_nothing() {
    let ten = policy(10, 60);
    let mut world = World::new();
    world.admit(ten, 10);
    for _ in 0..1_000 {
        world.refuse(ten, 1);
        world.pass(Duration::from_millis(59));
    }
    world.pass(Duration::from_millis(1_060));
    world.expire();
    assert_eq!(world.admit(ten, 10).remaining, 0);
}

#[test]
fn looking_consumes_nothing_and_makes_nothing() {
    let mut world = World::new();
    assert_eq!(world.status(), None);
    assert!(world.list(1).is_empty());
    assert!(world.on_its_way().is_empty());
    let admitted = world.admit(policy(3, 60), 2);
    for _ in 0..100 {
        assert_eq!(world.status().as_ref(), Some(&admitted));
        assert_eq!(world.list(1), ["a"]);
    }
    assert_eq!(world.on_its_way().len(), 1);
    assert_eq!(world.admit(policy(3, 60), 1).remaining, 0);
}

#[test]
fn looking_does_not_keep_an_idle_limiter_alive() {
    let mut world = World::new();
    world.admit(policy(3, 60), 2);
    world.pass_seconds(59);
    assert_eq!(world.status().unwrap().count, 2);
    world.pass_seconds(1);
    world.expire();
    assert_eq!(world.status(), None);
}

#[test]
fn retry_after_is_at_least_one_second() {
    let mut world = World::new();
    let one = policy(1, 1);
    world.now = at(1);
    world.admit(one, 1);
    world.pass(Duration::from_nanos(999_999_999));
    let (standing, retry_after) = world.refuse(one, 1);
    assert_eq!(retry_after.as_seconds(), 1);
    assert_eq!(standing.retry_after.unwrap().as_seconds(), 1);
}

#[test]
fn retry_after_is_rounded_up() {
    let mut world = World::new();
    let one = policy(1, 10);
    world.now = at(1);
    world.admit(one, 1);
    for (millis, seconds) in [(0, 10), (1, 10), (999, 9), (1_000, 8), (5_500, 3)] {
        world.pass(Duration::from_millis(millis));
        assert_eq!(world.refuse(one, 1).1.as_seconds(), seconds);
    }
}

#[test]
fn retry_after_is_about_the_cost_that_was_asked_for() {
    let mut world = World::new();
    let ten = policy(10, 100);
    world.now = at(0);
    for _ in 0..5 {
        world.admit(ten, 2);
        world.pass_seconds(10);
    }
    for (cost, seconds) in [(1, 50), (2, 50), (3, 60), (4, 60), (9, 90), (10, 90)] {
        let (standing, retry_after) = world.refuse(ten, cost);
        // The rounding of a thousandth of the window may cost one more.
        let (all, one) = (retry_after.as_seconds(), standing.retry_after.unwrap().as_seconds());
        assert!((seconds..=seconds + 1).contains(&all), "cost {cost}: {all}");
        assert!((50..=51).contains(&one), "that is for one: {one}");
    }
}

#[test]
fn a_refusal_of_many_leaves_room_for_one_and_says_so() {
    let mut world = World::new();
    let ten = policy(10, 100);
    world.admit(ten, 9);
    let (standing, retry_after) = world.refuse(ten, 2);
    assert_eq!((standing.remaining, standing.retry_after), (1, None));
    assert_eq!(retry_after.as_seconds(), 100);
}

#[test]
fn at_reset_the_whole_quota_is_free_and_not_before() {
    let ten = policy(10, 100);
    for late in [false, true] {
        let mut world = World::new();
        world.now = at(3);
        world.admit(ten, 1);
        world.pass_seconds(50);
        world.admit(ten, 1);
        let reset = world.status().unwrap().reset_at;
        let since = reset.since(at(3));
        assert!(since >= Duration::from_secs(150) && since <= Duration::from_millis(150_100));
        world.now = if late { reset } else { reset.minus(Duration::from_millis(1)) };
        world.expire();
        let whole = world.check(ten, 10);
        assert_eq!(matches!(whole, LimitOutcome::Admitted(_)), late);
    }
}

#[test]
fn a_suspend_of_a_year_frees_everything() {
    let ten = policy(10, 100);
    let mut world = World::new();
    for _ in 0..3 {
        world.admit(ten, 10);
        world.refuse(ten, 1);
        world.settle();
        world.pass_seconds(365 * 86_400);
        // What was queued is asked before anything is done about deadlines.
        assert_eq!(world.status().unwrap().remaining, 10);
        world.expire();
    }
}

#[test]
fn years_of_use_count_as_on_the_first_day() {
    let ten = policy(10, 86_400);
    let mut world = World::new();
    for _ in 0..1_000 {
        // Ten a day, evenly: each leaves when the next but nine comes.
        world.admit(ten, 1);
        assert!(world.status().unwrap().count <= 10);
        world.settle();
        world.pass_seconds(8_640 + 9);
        world.expire();
    }
    let mut admitted = 0;
    while let LimitOutcome::Admitted(_) = world.check(ten, 1) {
        admitted += 1;
    }
    assert_eq!(admitted, 1);
}

#[test]
fn use_counts_the_limiters_of_each_account_that_is_asked_for() {
    let mut world = World::new();
    for (number, name) in [(1, "a"), (1, "b"), (2, "a")] {
        world.check_of(number, name, policy(3, 60), 1);
    }
    let used = |accounts: &[u8]| LimitCommand::Use {
        accounts: accounts.iter().copied().map(account).collect(),
    };
    let asked = world.ask(used(&[2, 3, 1]));
    assert_eq!(asked.outcome, LimitOutcome::Use(vec![1, 0, 2]));
    assert!(world.waits(&asked), "it saw what is on its way");
    world.settle();
    world.delete();
    assert_eq!(world.ask(used(&[1])).outcome, LimitOutcome::Use(vec![1]));
}
