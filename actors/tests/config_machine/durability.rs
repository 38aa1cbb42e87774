//! What an answer waits for, and what a refused commit undoes.

use crate::{
    common::seq,
    world::{World, delete, get, history, list, one_of},
};
use octostore_actors::{
    domain::{
        Machine,
        config::{ConfigOutcome, Expected},
        page::Selection,
        values::Quota,
    },
    progress::Seq,
};

#[test]
fn durability_what_is_on_disk_may_be_told_at_once() {
    let mut world = World::new();
    world.put("a", "1");
    world.put("gone", "1");
    world.delete("gone");
    world.settle();
    world.put("other", "1");
    for command in [
        get(1, "a"),
        get(1, "gone"),
        get(1, "never"),
        history(1, "a"),
        history(1, "gone"),
        delete(1, "a", Expected::Nothing),
        delete(1, "gone", Expected::Anything),
        world.put_of(1, "a", "2", Expected::Nothing),
        world.rollback_of(1, "a", 7, Expected::Anything),
        world.rollback_of(1, "gone", 1, Expected::Anything),
    ] {
        assert_eq!(world.ask(command.clone()).1, Seq::NONE, "{command:?}");
    }
}

#[test]
fn durability_whatever_saw_a_change_waits_for_it() {
    let mut world = World::new();
    world.put("a", "1");
    world.put("a", "2");
    world.put("gone", "1");
    world.delete("gone");
    let (changed, removed) = (seq(4), seq(8));
    world.put("other", "1");
    for (command, seen) in [
        (get(1, "a"), changed),
        (history(1, "a"), changed),
        (delete(1, "a", Expected::Nothing), changed),
        (world.put_of(1, "a", "2", Expected::Nothing), changed),
        (world.rollback_of(1, "a", 7, Expected::Anything), changed),
        (get(1, "gone"), removed),
        (history(1, "gone"), removed),
        (delete(1, "gone", Expected::Anything), removed),
        (delete(1, "gone", Expected::Something), removed),
        (world.put_of(1, "gone", "2", Expected::Something), removed),
        (world.rollback_of(1, "gone", 1, Expected::Anything), removed),
    ] {
        assert_eq!(world.ask(command.clone()).1, seen, "{command:?}");
    }
    world.machine.settle(seq(6));
    assert_eq!(world.ask(get(1, "a")).1, Seq::NONE);
    assert_eq!(world.ask(get(1, "gone")).1, removed);
}

#[test]
fn durability_lists_and_full_quotas_wait_for_all_that_they_saw() {
    let mut world = World::new();
    world.quota.keys = Quota::new(1);
    world.put("a", "1");
    let all = || list(1, Selection::default());
    let over = |world: &World| world.put_of(1, "b", "1", Expected::Anything);
    let too_many = over(&world);
    assert!(world.waits(all()) && world.waits(too_many));
    world.settle();
    let too_many = over(&world);
    assert!(!world.waits(all()) && !world.waits(too_many));
    world.delete("a");
    assert!(world.waits(all()), "what is missing was seen too");
}

#[test]
fn durability_a_refused_commit_undoes_what_it_held_and_nothing_else() {
    let mut world = World::new();
    world.quota.history = Quota::new(2);
    for name in ["kept", "changed", "deleted"] {
        world.put(name, "1");
        world.put(name, "2");
    }
    world.settle();
    let names = ["kept", "changed", "deleted", "new"];
    let before = names.map(|name| (world.get(name), world.history(name)));
    world.put("changed", "3");
    let stale = world.put("changed", "4");
    world.try_rollback("changed", 3, Expected::Anything);
    world.delete("deleted");
    world.put("deleted", "5");
    world.put("new", "1");
    world.delete("new");
    world.refuse();
    assert_eq!(names.map(|name| (world.get(name), world.history(name))), before);
    assert_eq!(world.names(1), ["changed", "deleted", "kept"]);
    for name in names {
        assert!(!world.waits(get(1, name)), "{name} is as it is on disk");
    }
    assert_eq!(world.try_put("changed", "6", one_of(&stale)), ConfigOutcome::Unexpected);
    assert_eq!(world.put("changed", "6").version.get(), 3);
}

#[test]
fn an_undelivered_answer_changes_nothing() {
    let mut world = World::new();
    let outcome = world.try_put("a", "1", Expected::Anything);
    world.settle();
    world.machine.undelivered(outcome, &mut world.effects);
    world.machine.undelivered(ConfigOutcome::Deleted, &mut world.effects);
    assert!(world.effects.take_records().is_empty());
    assert_eq!(world.get("a").unwrap().value.as_json(), "1");
}

#[test]
fn bounded_what_is_gone_leaves_nothing_behind() {
    let mut world = World::new();
    for number in 1..4 {
        for name in ["a", "b"] {
            let put = world.put_of(number, name, "1", Expected::Anything);
            world.outcome(put.clone());
            world.outcome(put);
        }
        world.settle();
        world.outcome(delete(number, "a", Expected::Anything));
        let refused = world.put_of(number, "refused", "1", Expected::Anything);
        world.outcome(refused);
        world.refuse();
        for name in ["a", "b"] {
            world.outcome(delete(number, name, Expected::Anything));
        }
        world.settle();
    }
    assert_eq!(format!("{:?}", world.machine), format!("{:?}", World::new().machine));
}
