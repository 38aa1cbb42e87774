//! Leases that an administrator ends.

use crate::{
    common::{account, acquire, by_admin, force_release, get, holder, name, owner, text},
    world::{Order, World},
};
use octostore_actors::{
    domain::{
        Machine, Record, Room,
        audit::{Action, AuditEntry, AuditOutcome},
        lock::{Lease, LockCommand, LockOutcome, LockRecord},
    },
    progress::Seq,
};

/// What is wanted on disk when `lease` is ended for this reason.
fn ended(lease: &Lease, reason: &str) -> [Record; 2] {
    let (holder, token) = (lease.holder.account, lease.token.get());
    let entry = AuditEntry {
        by: by_admin(0),
        action: Action::LockForceRelease,
        target: text(lease.name.as_str()),
        outcome: AuditOutcome::Done,
        detail: Some(text(&format!("of {holder}, token {token}: {reason}"))),
    };
    [Record::Audit(entry), LockRecord::Free(lease.name.clone()).into()]
}

fn used(accounts: &[u8]) -> LockCommand {
    LockCommand::Use { accounts: accounts.iter().copied().map(account).collect() }
}

#[test]
fn the_lease_of_anybody_ends_and_the_reason_is_written_down_with_it() {
    for holder in [holder(1), owner(2, "pod-7")] {
        let mut world = World::new();
        let lease = world.grant("a", holder, 60);
        world.settle();
        let (outcome, depends_on) = world.ask(force_release("a", "it hangs"));
        assert_eq!(outcome, LockOutcome::ForceReleased(lease.clone()), "it says who held it");
        assert_eq!(world.effects.take_records(), ended(&lease, "it hangs"));
        assert_eq!(depends_on, world.effects.last(), "the answer waits for both");
        assert_eq!(world.get("a"), None);
        assert_eq!(world.machine.next_deadline(), None);
    }
}

#[test]
fn the_longest_reason_is_written_down_whole() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    world.effects.take_records();
    let reason = "ä".repeat(500);
    world.outcome(force_release("a", &reason));
    assert_eq!(world.effects.take_records(), ended(&lease, &reason));
}

#[test]
fn a_lock_that_nobody_holds_is_not_released_and_nothing_is_written() {
    let mut world = World::new();
    assert_eq!(world.ask(force_release("a", "why not")), (LockOutcome::NotHeld, Seq::NONE));
    let lease = world.grant("a", holder(1), 60);
    world.release(&lease);
    let gone = world.effects.last();
    assert_eq!(world.ask(force_release("a", "again")), (LockOutcome::NotHeld, gone));
    world.settle();
    assert_eq!(world.ask(force_release("a", "again")), (LockOutcome::NotHeld, Seq::NONE));
    assert!(world.effects.take_records().is_empty());
}

#[test]
fn its_old_holder_can_neither_renew_nor_release_it() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    world.outcome(force_release("a", "it hangs"));
    assert_eq!(world.renew(&lease, 60), LockOutcome::NotOwned);
    assert_eq!(world.release(&lease), LockOutcome::NotOwned);
    let next = world.grant("a", holder(2), 60);
    assert_eq!(world.renew(&lease, 60), LockOutcome::NotOwned);
    assert_eq!(world.release(&lease), LockOutcome::NotOwned);
    assert_eq!(world.get("a"), Some(next));
}

#[test]
fn fencing_the_next_grant_has_a_higher_token_whoever_gets_it() {
    for number in [1, 2] {
        let mut world = World::new();
        let lease = world.grant("a", holder(1), 60);
        world.outcome(force_release("a", "it hangs"));
        let next = world.grant("a", holder(number), 60);
        assert!(next.token > lease.token && next.id != lease.id);
    }
}

#[test]
fn durability_whatever_saw_the_end_waits_for_it() {
    let mut world = World::new();
    world.grant("a", holder(1), 60);
    world.settle();
    world.outcome(force_release("a", "it hangs"));
    let end = world.effects.last();
    assert_eq!(world.depends_on(get("a")), end);
    assert_eq!(world.depends_on(force_release("a", "again")), end);
    world.settle();
    assert_eq!(world.depends_on(get("a")), Seq::NONE);
}

#[test]
fn a_refused_commit_gives_the_lease_back() {
    for order in Order::BOTH {
        let mut world = World::new();
        let lease = world.grant("a", holder(1), 60);
        world.settle();
        world.outcome(force_release("a", "it hangs"));
        world.grant("a", holder(2), 60);
        world.refuse_in(order);
        assert_eq!(world.get("a"), Some(lease.clone()));
        assert_eq!(world.depends_on(get("a")), Seq::NONE);
        assert!(matches!(world.renew(&lease, 90), LockOutcome::Confirmed(_)));
    }
}

#[test]
fn no_ghosts_a_lease_that_came_home_in_between_ends_although_its_end_was_refused() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 3600);
    world.settle();
    world.outcome(force_release("a", "it hangs"));
    world.undelivered(LockOutcome::Granted(lease));
    world.refuse();
    world.expire();
    assert_eq!(world.get("a"), None, "nobody knows of it");
    assert_eq!(world.records(), [LockRecord::Free(name("a"))]);
}

#[test]
fn an_undelivered_answer_changes_nothing() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    world.outcome(force_release("a", "it hangs"));
    world.settle();
    world.undelivered(LockOutcome::ForceReleased(lease));
    assert!(world.effects.take_records().is_empty());
    assert_eq!(world.get("a"), None, "it was asked for");
}

#[test]
fn without_room_it_is_tried_all_the_same() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    world.settle();
    world.room = Room::Exhausted;
    assert_eq!(world.outcome(force_release("a", "x")), LockOutcome::ForceReleased(lease));
}

#[test]
fn use_counts_the_locks_of_each_account_that_is_asked_for() {
    let mut world = World::new();
    world.grant("a", holder(1), 60);
    world.grant("b", owner(1, "x"), 60);
    let lease = world.grant("c", holder(2), 60);
    assert_eq!(world.outcome(used(&[2, 3, 1])), LockOutcome::Use(vec![1, 0, 2]));
    assert_eq!(world.depends_on(used(&[3])), world.effects.last(), "it saw what is on its way");
    world.settle();
    world.release(&lease);
    assert_eq!(world.outcome(used(&[2])), LockOutcome::Use(vec![0]));
    assert!(matches!(world.outcome(acquire("d", holder(2), 60, 9)), LockOutcome::Granted(_)));
    assert_eq!(world.outcome(used(&[2])), LockOutcome::Use(vec![1]));
    world.refuse();
    assert_eq!(world.outcome(used(&[2])), LockOutcome::Use(vec![1]));
}
