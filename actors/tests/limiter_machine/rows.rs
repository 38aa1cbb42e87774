//! What waits for the disk, what is deleted, and how many there may be.

use crate::{
    common::{account, seq},
    world::{World, limit, policy},
};
use octostore_actors::{
    domain::{
        Machine,
        limiter::{LimitCommand, LimitOutcome},
        page::Selection,
        values::Quota,
    },
    progress::Seq,
};
use std::time::Duration;

#[test]
fn the_first_check_waits_and_hardly_another_does() {
    for requests in [10, 64, 100, 1_000, 10_000] {
        let policy = policy(requests, 1);
        let mut world = World::new();
        let mut waited = Vec::new();
        for number in 0..1_000 {
            let asked = world.check_of(1, "a", policy, 1);
            if world.waits(&asked) {
                waited.push(number);
            }
            world.settle();
            world.pass(Duration::from_micros(1_000_000 / requests + 1_000));
            world.expire();
        }
        assert_eq!(waited.first(), Some(&0));
        assert!(waited.len() <= 30, "{requests}: {} of 1,000 waited", waited.len());
    }
}

#[test]
fn after_a_longer_window_the_first_check_waits_and_the_next_does_not() {
    let mut world = World::new();
    world.admit(policy(100, 1), 1);
    world.settle();
    for waits in [true, false, false] {
        let asked = world.check_of(1, "a", policy(100, 60), 1);
        assert_eq!(world.waits(&asked), waits);
        world.settle();
    }
}

#[test]
fn few_checks_are_rows() {
    let thousand = policy(1_000, 1);
    let mut world = World::new();
    let mut rows = 0;
    for _ in 0..1_000 {
        world.admit(thousand, 1);
        rows += world.on_its_way().len();
        world.settle();
    }
    assert!(rows <= 20, "{rows}");
}

#[test]
fn more_is_reserved_when_less_than_half_is_left() {
    let many = policy(64, 60);
    let mut world = World::new();
    world.admit(many, 1);
    world.settle();
    // Eight are reserved.
    for (cost, rows) in [(4, 0), (1, 1), (1, 1)] {
        world.admit(many, cost);
        assert_eq!(world.on_its_way().len(), rows);
    }
}

#[test]
fn what_the_row_on_disk_covers_waits_for_no_other_row() {
    let many = policy(64, 60);
    let mut world = World::new();
    world.admit(many, 1);
    world.settle();
    assert_eq!(world.check_of(1, "a", many, 5).depends_on, Seq::NONE);
    assert_eq!(world.on_its_way().len(), 1, "another row is on its way");
    assert_eq!(world.check_of(1, "a", many, 3).depends_on, Seq::NONE, "the last three of eight");
    assert_eq!(world.check_of(1, "a", many, 1).depends_on, seq(2));
}

#[test]
fn durability_whoever_is_not_covered_waits_for_a_row_that_counts_it() {
    let ten = policy(100, 60);
    let mut world = World::new();
    assert_eq!(world.check_of(1, "a", ten, 1).depends_on, seq(1));
    assert_eq!(world.check_of(1, "a", ten, 1).depends_on, seq(1));
    assert_eq!(world.check_of(1, "a", ten, 40).depends_on, seq(2));
    world.commit(2);
    let told: u32 = world.take_told().iter().map(crate::windows::cost_of).sum();
    assert_eq!(told, 42);
    assert!(world.counts_after_a_crash(1, "a") >= 42);
}

#[test]
fn durability_a_refusal_and_a_status_wait_for_the_requests_they_saw() {
    let ten = policy(10, 60);
    let get = LimitCommand::Get { account: account(1), name: limit("a") };
    let mut world = World::new();
    world.admit(ten, 10);
    let refused = world.check_of(1, "a", ten, 1);
    assert!(matches!(refused.outcome, LimitOutcome::Refused(..)));
    assert_eq!(refused.depends_on, seq(1));
    assert_eq!(world.ask(get.clone()).depends_on, seq(1));
    world.settle();
    assert_eq!(world.check_of(1, "a", ten, 1).depends_on, Seq::NONE);
    assert_eq!(world.ask(get).depends_on, Seq::NONE);
}

#[test]
fn durability_a_status_waits_for_the_latest_request_that_waits() {
    let many = policy(64, 60);
    let mut world = World::new();
    world.admit(many, 1);
    world.settle();
    world.admit(many, 5);
    // Three are left of the row on disk: not enough for five, enough for three.
    assert_eq!(world.check_of(1, "a", many, 5).depends_on, seq(2));
    assert_eq!(world.check_of(1, "a", many, 3).depends_on, Seq::NONE);
    let get = LimitCommand::Get { account: account(1), name: limit("a") };
    assert_eq!(world.ask(get).depends_on, seq(2), "it counts the five");
}

#[test]
fn durability_what_waits_for_a_later_row_is_not_settled_by_an_earlier_one() {
    let many = policy(64, 60);
    let get = LimitCommand::Get { account: account(1), name: limit("a") };
    let mut world = World::new();
    world.admit(many, 1);
    world.admit(many, 40);
    world.commit(1);
    world.catch_up();
    assert_eq!(world.ask(get.clone()).depends_on, seq(2));
    world.disk_is_full();
    world.catch_up();
    assert_eq!(world.ask(get).depends_on, Seq::NONE, "nobody was told of them");
}

#[test]
fn a_row_that_is_on_disk_covers_although_what_came_after_it_was_refused() {
    let many = policy(64, 60);
    for deleted in [false, true] {
        let mut world = World::new();
        world.admit(many, 1);
        if deleted {
            world.delete();
        }
        // In the order in which the machine may learn it, too.
        world.machine.rewind(seq(1));
        world.machine.settle(seq(1));
        assert_eq!(world.check_of(1, "a", many, 1).depends_on, Seq::NONE);
    }
}

#[test]
fn durability_a_deletion_and_what_saw_it_wait_for_it() {
    let mut world = World::new();
    world.admit(policy(10, 60), 1);
    world.settle();
    let get = LimitCommand::Get { account: account(1), name: limit("a") };
    assert_eq!(world.ask(get.clone()).depends_on, Seq::NONE);
    let deleted = world.delete_of(1, "a");
    assert_eq!((deleted.outcome, deleted.depends_on), (LimitOutcome::Deleted, seq(2)));
    let seen = world.ask(get.clone());
    assert_eq!((seen.outcome, seen.depends_on), (LimitOutcome::NotFound, seq(2)));
    let again = world.delete_of(1, "a");
    assert_eq!((again.outcome, again.depends_on), (LimitOutcome::NotFound, seq(2)));
    let list = LimitCommand::List { account: account(1), selection: Selection::default() };
    assert!(world.ask(list).depends_on >= seq(2));
    assert!(world.check_of(1, "a", policy(10, 60), 1).depends_on > seq(2));
    world.settle();
    assert!(world.ask(get).depends_on <= seq(3));
}

#[test]
fn a_limiter_made_anew_has_its_whole_quota() {
    let ten = policy(10, 60);
    let mut world = World::new();
    for settled in [false, true] {
        world.admit(ten, 10);
        world.refuse(ten, 1);
        if settled {
            world.settle();
        }
        assert_eq!(world.delete(), LimitOutcome::Deleted);
        assert_eq!(world.status(), None);
        assert_eq!(world.delete(), LimitOutcome::NotFound);
    }
    assert_eq!(world.admit(ten, 10).remaining, 0);
    world.refuse(ten, 1);
    world.stop();
    world.crash(Duration::ZERO);
    world.refuse(ten, 1);
}

#[test]
fn a_deletion_that_the_store_refused_restores_the_count() {
    let ten = policy(10, 60);
    for made_anew in [0, 1, 7] {
        let mut world = World::new();
        world.admit(ten, 6);
        world.settle();
        world.delete();
        if made_anew > 0 {
            world.admit(ten, made_anew);
        }
        world.disk_is_full();
        world.catch_up();
        assert_eq!(world.status().unwrap().remaining, 4, "{made_anew}");
        assert_eq!(world.list(1), ["a"]);
        world.admit(ten, 4);
        world.refuse(ten, 1);
        world.settle();
        world.pass_seconds(61);
        world.expire();
        assert_eq!(world.status(), None, "it is as idle as any other");
        assert_eq!(world.machine.next_deadline(), None);
    }
}

#[test]
fn a_lost_deletion_restores_the_count() {
    let ten = policy(10, 60);
    let mut world = World::new();
    world.admit(ten, 6);
    world.stop();
    world.crash(Duration::ZERO);
    world.delete();
    world.admit(ten, 10);
    world.crash(Duration::ZERO);
    assert_eq!(world.status().unwrap().remaining, 4);
}

#[test]
fn bounded_an_account_has_so_many_limiters_and_no_more() {
    let ten = policy(10, 60);
    let mut world = World::new();
    world.quota = Quota::new(3);
    for name in ["a", "b", "c"] {
        assert!(matches!(world.check_of(1, name, ten, 1).outcome, LimitOutcome::Admitted(_)));
    }
    let over = world.check_of(1, "d", ten, 1);
    assert_eq!(over.outcome, LimitOutcome::OverQuota(Quota::new(3)));
    assert_eq!(over.depends_on, seq(3), "it saw all three");
    assert_eq!(world.list(1), ["a", "b", "c"]);
    // Those that are there go on, and so does everybody else.
    assert!(matches!(world.check_of(1, "c", ten, 9).outcome, LimitOutcome::Admitted(_)));
    assert!(matches!(world.check_of(2, "d", ten, 1).outcome, LimitOutcome::Admitted(_)));
    // One deleted, one gone by itself: two more may come.
    world.delete_of(1, "b");
    assert!(matches!(world.check_of(1, "d", ten, 1).outcome, LimitOutcome::Admitted(_)));
    assert!(matches!(world.check_of(1, "e", ten, 1).outcome, LimitOutcome::OverQuota(_)));
    world.pass_seconds(61);
    world.expire();
    assert!(matches!(world.check_of(1, "e", ten, 1).outcome, LimitOutcome::Admitted(_)));
    assert_eq!(world.list(1), ["e"]);
}

#[test]
fn accounts_do_not_see_each_other() {
    let ten = policy(10, 60);
    let mut world = World::new();
    world.check_of(1, "a", ten, 7);
    world.check_of(2, "a", ten, 2);
    world.settle();
    assert_eq!(world.status_of(1, "a").unwrap().count, 7);
    assert_eq!(world.status_of(2, "a").unwrap().count, 2);
    assert_eq!(world.delete_of(3, "a").outcome, LimitOutcome::NotFound);
    assert_eq!(world.delete_of(2, "a").outcome, LimitOutcome::Deleted);
    assert_eq!(world.status_of(1, "a").unwrap().count, 7);
    assert!(world.list(2).is_empty());
    world.stop();
    world.crash(Duration::ZERO);
    assert_eq!(world.status_of(1, "a").unwrap().count, 7);
    assert_eq!(world.status_of(2, "a"), None);
}
