//! What an answer waits for, and what a refused commit undoes.

use crate::{
    common::seq,
    world::{World, delete, get, list, percent, set},
};
use octostore_actors::{
    domain::{Machine, flag::FlagOutcome, page::Selection},
    progress::Seq,
};

#[test]
fn durability_what_is_on_disk_may_be_told_at_once() {
    let mut world = World::new();
    world.set("a", None, 1);
    world.set("gone", None, 1);
    world.outcome(delete(1, "gone"));
    world.settle();
    world.outcome(set(2, "a", None, 1));
    for command in [get(1, "a"), get(1, "gone"), get(1, "never"), delete(1, "gone")] {
        assert_eq!(world.ask(command.clone()).1, Seq::NONE, "{command:?}");
    }
}

#[test]
fn durability_whatever_saw_a_change_waits_for_it() {
    let mut world = World::new();
    assert_eq!(world.ask(set(1, "a", None, 1)).1, seq(2));
    assert_eq!(world.ask(get(1, "a")).1, seq(2));
    assert_eq!(world.ask(set(1, "b", None, 1)).1, seq(4));
    assert_eq!(world.ask(get(1, "a")).1, seq(2));
    assert_eq!(world.ask(set(1, "a", Some(1), 2)).1, seq(6));
    assert_eq!(world.ask(get(1, "a")).1, seq(6));
    assert_eq!(world.ask(delete(1, "b")).1, seq(8));
    assert_eq!(world.ask(get(1, "b")).1, seq(8));
    assert_eq!(world.ask(delete(1, "b")).1, seq(8));
    world.machine.settle(seq(6));
    assert_eq!(world.ask(get(1, "a")).1, Seq::NONE);
    assert_eq!(world.ask(get(1, "b")).1, seq(8));
}

#[test]
fn durability_lists_and_full_quotas_wait_for_all_that_they_saw() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.set(name, None, 1);
    }
    let all = || list(1, Selection::default());
    assert!(world.waits(all()) && world.waits(set(1, "d", None, 1)));
    world.settle();
    assert!(!world.waits(all()) && !world.waits(set(1, "d", None, 1)));
    world.outcome(delete(1, "a"));
    assert!(world.waits(all()), "what is missing was seen too");
    world.settle();
    world.set("b", Some(9), 2);
    assert!(world.waits(all()), "what was changed was seen too");
}

#[test]
fn durability_a_refused_commit_undoes_what_it_held_and_nothing_else() {
    let mut world = World::new();
    world.set("kept", Some(1), 1);
    world.set("changed", Some(2), 1);
    world.set("deleted", Some(3), 1);
    world.settle();
    let before: Vec<_> = ["kept", "changed", "deleted", "new"].map(|n| world.get(1, n)).into();
    world.set("changed", Some(20), 2);
    world.set("changed", Some(21), 3);
    world.outcome(delete(1, "deleted"));
    world.set("new", None, 2);
    world.outcome(delete(1, "new"));
    world.set("deleted", None, 4);
    world.refuse();
    let after: Vec<_> = ["kept", "changed", "deleted", "new"].map(|n| world.get(1, n)).into();
    assert_eq!(after, before);
    assert_eq!(world.names(1), ["changed", "deleted", "kept"]);
    for name in ["kept", "changed", "deleted", "new"] {
        assert!(!world.waits(get(1, name)), "{name} is as it is on disk");
    }
    assert_eq!(world.set("changed", Some(22), 9).created_at.as_millis(), 1);
}

#[test]
fn a_refusal_undoes_only_what_came_after_the_last_durable_change() {
    let mut world = World::new();
    world.set("a", Some(1), 1);
    world.set("a", Some(2), 2);
    world.set("a", Some(3), 3);
    world.machine.settle(seq(2));
    world.machine.rewind(seq(4));
    assert_eq!(world.get(1, "a").unwrap().percentage, Some(percent(2)));
}

#[test]
fn an_undelivered_answer_changes_nothing() {
    let mut world = World::new();
    let set = world.outcome(set(1, "a", Some(4), 1));
    world.settle();
    world.machine.undelivered(set, &mut world.effects);
    world.machine.undelivered(FlagOutcome::Deleted, &mut world.effects);
    assert!(world.records().is_empty());
    assert_eq!(world.get(1, "a").unwrap().percentage, Some(percent(4)));
}

#[test]
fn bounded_what_is_gone_leaves_nothing_behind() {
    let mut world = World::new();
    for number in 1..4 {
        world.outcome(set(number, "a", Some(1), 1));
        world.outcome(set(number, "a", Some(2), 2));
        world.settle();
        world.outcome(delete(number, "a"));
        world.outcome(set(number, "refused", None, 3));
        world.refuse();
        world.outcome(delete(number, "a"));
        world.settle();
    }
    assert_eq!(format!("{:?}", world.machine), format!("{:?}", World::new().machine));
}
