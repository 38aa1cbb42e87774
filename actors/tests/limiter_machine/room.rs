//! A store without room stops what needs it, and no more.

use crate::{
    common::account,
    world::{World, limit, policy},
};
use octostore_actors::{
    domain::{
        Room,
        limiter::{LimitOutcome, LimitRecord},
    },
    progress::Seq,
};
use std::time::Duration;

#[test]
fn a_new_limiter_needs_room() {
    let mut world = World::new();
    world.room = Room::Exhausted;
    let asked = world.check_of(1, "a", policy(10, 60), 1);
    assert_eq!((asked.outcome, asked.depends_on), (LimitOutcome::NoRoom, Seq::NONE));
    assert_eq!(world.status(), None);
    assert!(world.on_its_way().is_empty());
    world.room = Room::Available;
    assert_eq!(world.admit(policy(10, 60), 1).remaining, 9);
}

#[test]
fn what_is_covered_goes_on_without_room_and_nothing_beyond_it() {
    let hundred = policy(100, 60);
    let mut world = World::new();
    world.admit(hundred, 1);
    world.settle();
    world.room = Room::Exhausted;
    let mut admitted = 0;
    let mut no_room = 0;
    for _ in 0..50 {
        let asked = world.check_of(1, "a", hundred, 1);
        match asked.outcome {
            LimitOutcome::Admitted(_) if asked.depends_on == Seq::NONE => {
                admitted += 1;
                assert!(world.on_its_way().is_empty(), "there is no room for another row");
            }
            LimitOutcome::NoRoom => no_room += 1,
            LimitOutcome::Admitted(_) => {}
            other => panic!("{other:?}"),
        }
        world.disk_is_full();
        world.catch_up();
    }
    assert_eq!(admitted, hundred.ahead());
    assert!(no_room >= 30, "{no_room}");
    // Refusals by the quota need no room, and what left the window needs none either.
    assert!(matches!(world.check(hundred, 100), LimitOutcome::Refused(..)));
    world.room = Room::Available;
    world.admit(hundred, 1);
    world.settle();
    assert!(world.row(1, "a").is_some());
}

#[test]
fn what_is_not_admitted_for_want_of_room_is_not_counted() {
    let hundred = policy(100, 60);
    let mut world = World::new();
    world.admit(hundred, 1);
    world.settle();
    world.room = Room::Exhausted;
    let over = u64::from(hundred.ahead()) + 1;
    assert_eq!(world.check(hundred, over), LimitOutcome::NoRoom);
    assert_eq!(world.status().unwrap().count, 1);
}

#[test]
fn one_outcome_a_check_whose_row_is_refused_is_not_counted() {
    let hundred = policy(100, 60);
    let mut world = World::new();
    world.admit(hundred, 4);
    world.disk_is_full();
    world.catch_up();
    assert_eq!(world.status(), None, "there never was one");
    assert!(world.list(1).is_empty());

    world.admit(hundred, 3);
    world.settle();
    world.pass_seconds(1);
    // More than was reserved ahead waits for a row, and what comes after it for another.
    let more = u64::from(hundred.ahead()) + 1;
    for _ in 0..2 {
        let asked = world.check_of(1, "a", hundred, more);
        assert!(world.waits(&asked));
    }
    assert_eq!(u64::from(world.status().unwrap().count), 3 + 2 * more);
    world.disk_is_full();
    world.catch_up();
    assert_eq!(world.status().unwrap().count, 3);
    world.admit(hundred, 97);
    world.settle();
    world.refuse(hundred, 1);
    world.crash(Duration::ZERO);
    world.refuse(hundred, 1);
}

#[test]
fn deleting_needs_no_room() {
    let mut world = World::new();
    world.admit(policy(10, 60), 4);
    world.settle();
    world.room = Room::Exhausted;
    assert_eq!(world.delete(), LimitOutcome::Deleted);
    let gone = LimitRecord::Gone(account(1), limit("a"));
    assert_eq!(world.on_its_way(), [&gone]);
}

#[test]
fn a_limiter_whose_deletion_is_refused_builds_on_no_row_that_was_refused_with_it() {
    let hundred = policy(100, 60);
    let mut world = World::new();
    world.admit(hundred, 1);
    world.settle();
    while world.on_its_way().is_empty() {
        world.admit(hundred, 1);
    }
    assert_eq!(world.delete(), LimitOutcome::Deleted);
    world.disk_is_full();
    world.catch_up();
    world.take_told();
    // Rows of others come to the disk in the meantime.
    let before = u64::from(world.status().unwrap().count);
    let mut told = before;
    for number in 0..30 {
        world.check_of(1, "another", policy(10_000, 60), 1_001 + number);
        world.commit(usize::MAX);
        let asked = world.check_of(1, "a", hundred, 1);
        assert!(matches!(asked.outcome, LimitOutcome::Admitted(_)), "{asked:?}");
        told += u64::from(!world.waits(&asked));
        let counts = world.counts_after_a_crash(1, "a");
        assert!(told <= counts, "{told} were told, and {counts} count after a crash");
        world.catch_up();
    }
    assert!(told > before);
}
