//! A write that names what it replaces happens only if that is still there.

use crate::world::{World, delete, one_of, stale};
use octostore_actors::domain::config::{ConfigOutcome, Expected};

#[test]
fn every_expectation_is_met_by_what_it_says_and_nothing_else() {
    let mut world = World::new();
    let past = world.put("there", "1");
    let present = world.put("there", "2");
    let other = world.put("other", "1");
    let (past, present, other) = (past.etag(), present.etag(), other.etag());
    // What is expected, and whether it is met by the present version, and by no key at all.
    let table = [
        (Expected::Anything, true, true),
        (Expected::Nothing, false, true),
        (Expected::Something, true, false),
        (Expected::OneOf(vec![]), false, false),
        (Expected::OneOf(vec![present]), true, false),
        (Expected::OneOf(vec![past]), false, false),
        (Expected::OneOf(vec![other]), false, false),
        (Expected::OneOf(vec![past, stale(), present]), true, false),
        (Expected::NoneOf(vec![]), true, true),
        (Expected::NoneOf(vec![present]), false, true),
        (Expected::NoneOf(vec![past]), true, true),
        (Expected::NoneOf(vec![past, stale(), present]), false, true),
    ];
    world.settle();
    for (expected, by_present, by_none) in table {
        let written = matches!(
            world.try_put("there", "3", expected.clone()),
            ConfigOutcome::Written(entry) if entry.version.get() == 3
        );
        assert_eq!(written, by_present, "{expected:?}");
        world.refuse();
        let rolled_back = matches!(
            world.try_rollback("there", 1, expected.clone()),
            ConfigOutcome::Written(entry) if entry.version.get() == 3
        );
        assert_eq!(rolled_back, by_present, "{expected:?}");
        world.refuse();
        let outcome = world.outcome(delete(1, "there", expected.clone()));
        let removed = if by_present { ConfigOutcome::Deleted } else { ConfigOutcome::Unexpected };
        assert_eq!(outcome, removed, "{expected:?}");
        world.refuse();
        let made = matches!(
            world.try_put("missing", "1", expected.clone()),
            ConfigOutcome::Written(entry) if entry.version.get() == 1
        );
        assert_eq!(made, by_none, "{expected:?}");
        world.refuse();
        let outcome = world.outcome(delete(1, "missing", expected.clone()));
        let missing = if by_none { ConfigOutcome::NotFound } else { ConfigOutcome::Unexpected };
        assert_eq!(outcome, missing, "{expected:?}");
    }
}

#[test]
fn what_was_not_expected_changes_nothing() {
    let mut world = World::new();
    let first = world.put("a", "1");
    world.put("a", "2");
    world.settle();
    assert_eq!(world.try_put("a", "3", one_of(&first)), ConfigOutcome::Unexpected);
    assert_eq!(world.try_rollback("a", 1, one_of(&first)), ConfigOutcome::Unexpected);
    assert_eq!(world.outcome(delete(1, "a", one_of(&first))), ConfigOutcome::Unexpected);
    assert!(world.on_its_way().is_empty());
    assert_eq!(world.history("a"), [(2, "2".into()), (1, "1".into())]);
}

#[test]
fn of_many_writers_with_one_expectation_one_wins() {
    let mut world = World::new();
    let present = world.put("a", "0");
    let mut won = 0;
    for writer in 0..32 {
        match world.try_put("a", &writer.to_string(), one_of(&present)) {
            ConfigOutcome::Written(_) => won += 1,
            other => assert_eq!(other, ConfigOutcome::Unexpected),
        }
    }
    assert_eq!(won, 1);
    let made = (0..32).filter(|writer| {
        let outcome = world.try_put("new", &writer.to_string(), Expected::Nothing);
        matches!(outcome, ConfigOutcome::Written(_))
    });
    assert_eq!(made.count(), 1);
}

#[test]
fn thirty_two_writers_that_increment_a_counter_lose_none() {
    const WRITERS: usize = 32;
    const EACH: u32 = 20;
    let mut world = World::new();
    world.put("counter", "0");
    let mut left = [EACH; WRITERS];
    let mut read = vec![None; WRITERS];
    let mut lost_races = 0;
    let mut dice = 1_u64;
    while left.iter().any(|left| *left > 0) {
        // Some order in which they read and write; the same in every run.
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let writer = usize::try_from(dice >> 33).unwrap() % WRITERS;
        if left[writer] == 0 {
            continue;
        }
        let Some(seen) = read[writer].take() else {
            read[writer] = world.get("counter");
            continue;
        };
        let next = seen.value.as_json().parse::<u32>().unwrap() + 1;
        match world.try_put("counter", &next.to_string(), one_of(&seen)) {
            ConfigOutcome::Written(_) => left[writer] -= 1,
            other => {
                assert_eq!(other, ConfigOutcome::Unexpected);
                lost_races += 1;
            }
        }
        if dice.is_multiple_of(7) {
            world.settle();
        }
    }
    let all = EACH * u32::try_from(WRITERS).unwrap();
    let counter = world.get("counter").unwrap();
    assert_eq!(counter.value.as_json(), all.to_string());
    assert_eq!(counter.version.get(), u64::from(all) + 1);
    assert!(lost_races > 100, "they hardly met: {lost_races}");
}

#[test]
fn an_etag_of_before_a_deletion_never_matches_again() {
    let mut world = World::new();
    let before = world.put("a", "1");
    world.delete("a");
    let anew = world.put("a", "1");
    assert_eq!(anew.version, before.version);
    assert_ne!(anew.etag(), before.etag());
    assert_ne!(anew.incarnation, before.incarnation);
    assert_eq!(world.try_put("a", "2", one_of(&before)), ConfigOutcome::Unexpected);
    assert_eq!(world.outcome(delete(1, "a", one_of(&before))), ConfigOutcome::Unexpected);
    let again = world.put("a", "2");
    assert_eq!(again.incarnation, anew.incarnation, "writing is not making anew");
}
