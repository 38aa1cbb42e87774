//! How much an account may have.

use crate::world::{World, delete};
use octostore_actors::domain::{
    Room,
    config::{ConfigOutcome, Expected, Value},
    values::Quota,
};

fn json(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

fn written(outcome: &ConfigOutcome) -> bool {
    match outcome {
        ConfigOutcome::Written(_) => true,
        ConfigOutcome::OverQuota(_) => false,
        other => panic!("{other:?}"),
    }
}

impl World {
    fn fits(&mut self, name: &str, bytes: usize) -> bool {
        let outcome = self.try_put(name, &json(bytes), Expected::Anything);
        written(&outcome)
    }
}

#[test]
fn bounded_an_account_has_so_many_keys_and_no_more() {
    let mut world = World::new();
    world.quota.keys = Quota::new(2);
    world.put("a", "1");
    world.put("b", "1");
    let quota = world.quota;
    let over = world.try_put("c", "1", Expected::Anything);
    assert_eq!(over, ConfigOutcome::OverQuota(quota));
    assert_eq!(world.get("c"), None);
    world.put("a", "2");
    let others = world.put_of(2, "c", "1", Expected::Anything);
    assert!(written(&world.outcome(others)));
    world.delete("b");
    world.put("c", "1");
    assert_eq!(world.names(1), ["a", "c"]);
    world.settle();
    world.crash();
    assert!(!world.fits("d", 2));
}

#[test]
fn bounded_an_account_has_so_many_bytes_history_included() {
    let mut world = World::new();
    world.quota.bytes = 100;
    assert!(world.fits("a", 40));
    assert!(world.fits("a", 40));
    assert!(!world.fits("a", 21));
    assert!(!world.fits("b", 21));
    assert!(world.fits("b", 20));
    assert!(!world.fits("b", 2));
    assert!(!written(&world.try_rollback("b", 1, Expected::Anything)));
    world.settle();
    world.crash();
    assert!(!world.fits("b", 2), "the same after a restart");
    world.delete("a");
    assert!(world.fits("b", 80));
    assert!(!world.fits("b", 2));
}

#[test]
fn one_account_uses_nothing_of_another() {
    let mut world = World::new();
    world.quota.bytes = 10;
    assert!(world.fits("a", 10));
    let others = world.put_of(2, "a", &json(10), Expected::Anything);
    assert!(written(&world.outcome(others)));
    assert!(!world.fits("b", 2));
}

#[test]
fn what_the_history_lets_go_of_makes_room() {
    let mut world = World::new();
    world.quota.bytes = 100;
    world.quota.history = Quota::new(2);
    assert!(world.fits("a", 60));
    assert!(world.fits("a", 40));
    assert!(world.fits("a", 60), "the first goes");
    assert!(!world.fits("a", 61));
    assert!(world.fits("a", 40));
}

#[test]
fn all_that_a_smaller_history_lets_go_of_makes_room() {
    let mut world = World::new();
    world.quota.bytes = 100;
    for _ in 0..10 {
        assert!(world.fits("a", 10));
    }
    assert!(!world.fits("a", 2));
    world.quota.history = Quota::new(2);
    assert!(world.fits("a", 90), "ten bytes of the last version stay");
}

#[test]
fn what_was_refused_or_undone_uses_nothing() {
    let mut world = World::new();
    world.quota.bytes = 100;
    assert!(world.fits("a", 50));
    world.settle();
    assert!(world.fits("a", 50));
    assert!(!world.fits("a", 3));
    world.refuse();
    assert!(world.fits("a", 50));
    world.refuse();
    assert_eq!(world.outcome(delete(1, "a", Expected::Anything)), ConfigOutcome::Deleted);
    world.refuse();
    assert!(!world.fits("b", 51));
    assert!(world.fits("b", 50));
}

#[test]
fn over_its_quota_an_account_still_reads_and_deletes() {
    let mut world = World::new();
    world.put("a", "12345");
    world.put("b", "12345");
    world.quota.bytes = 3;
    world.quota.keys = Quota::new(1);
    assert!(!world.fits("a", 2));
    assert_eq!(world.get("a").unwrap().value.as_json(), "12345");
    world.delete("a");
    assert_eq!(world.names(1), ["b"]);
}

#[test]
fn without_room_nothing_is_written_and_everything_else_goes_on() {
    let mut world = World::new();
    world.put("a", "1");
    world.put("a", "2");
    world.settle();
    world.room = Room::Exhausted;
    assert_eq!(world.try_put("a", "3", Expected::Anything), ConfigOutcome::NoRoom);
    assert_eq!(world.try_put("b", "3", Expected::Anything), ConfigOutcome::NoRoom);
    assert_eq!(world.try_rollback("a", 1, Expected::Anything), ConfigOutcome::NoRoom);
    assert_eq!(world.try_put("a", "3", Expected::Nothing), ConfigOutcome::Unexpected);
    assert!(world.on_its_way().is_empty());
    assert_eq!(world.get("a").unwrap().value.as_json(), "2");
    world.delete("a");
    assert_eq!(world.on_its_way().len(), 2);
}

#[test]
fn bounded_a_value_is_at_most_256_kib() {
    assert!(Value::from_json(&json(Value::MAX_BYTES)).is_some());
    assert_eq!(Value::MAX_BYTES, 256 * 1024);
    assert_eq!(Value::from_json(&json(Value::MAX_BYTES + 1)), None);
}
