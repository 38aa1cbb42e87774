//! No lease that nobody knows of.

use crate::{
    common::{QUOTA, account, at, get, holder, lease_id, list, name, token, ttl},
    world::{Order, World},
};
use octostore_actors::{
    domain::{
        Machine,
        lock::{Lease, LockCommand, LockOutcome, LockRecord, Tokens},
        page::Selection,
        values::Quota,
    },
    progress::Seq,
};

#[test]
fn no_ghosts_a_grant_nobody_heard_of_ends() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    world.settle();
    world.undelivered(LockOutcome::Granted(lease));
    assert_eq!(world.records(), [LockRecord::Free(name("a"))]);
    assert_eq!(world.get("a"), None);
    assert_eq!(world.machine.next_deadline(), None);
    assert_eq!(world.list(1, Selection::default()), (vec![], 0, false));
    world.grant("a", holder(2), 60);
}

#[test]
fn no_ghosts_a_confirmed_retry_keeps_the_lease() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    let longer = world.confirm("a", holder(1), 90);
    world.settle();
    world.undelivered(LockOutcome::Granted(lease));
    assert!(world.records().is_empty());
    assert_eq!(world.get("a"), Some(longer));
}

#[test]
fn no_ghosts_a_confirmation_that_changed_nothing_keeps_the_lease_too() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    world.confirm("a", holder(1), 1);
    world.settle();
    world.undelivered(LockOutcome::Granted(lease.clone()));
    assert_eq!(world.get("a"), Some(lease));
}

#[test]
fn no_ghosts_an_undelivered_renewal_does_not_end_a_lease_somebody_knows_of() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    let renewed = world.renew(&lease, 90);
    world.settle();
    world.undelivered(renewed);
    assert_eq!(world.get("a").unwrap().expires, at(90));
}

#[test]
fn no_ghosts_two_answers_that_both_reached_nobody_end_the_lease() {
    for first_is_grant in [true, false] {
        let mut world = World::new();
        let granted = LockOutcome::Granted(world.grant("a", holder(1), 60));
        let confirmed = LockOutcome::Confirmed(world.confirm("a", holder(1), 90));
        world.settle();
        let (first, second) =
            if first_is_grant { (granted, confirmed) } else { (confirmed, granted) };
        world.undelivered(first);
        assert!(world.get("a").is_some());
        world.undelivered(second);
        assert_eq!(world.get("a"), None);
        assert_eq!(world.records(), [LockRecord::Free(name("a"))]);
    }
}

#[test]
fn no_ghosts_a_lease_from_before_a_restart_never_ends_by_an_undelivered_answer() {
    let mut before = World::new();
    let lease = before.grant("a", holder(1), 60);
    let mut world = World::with([lease.clone()], Tokens::new(token(1), token(9), 10));
    for _ in 0..5 {
        let confirmed = world.acquire("a", holder(1), 60);
        assert_eq!(confirmed, LockOutcome::Confirmed(lease.clone()));
        world.undelivered(confirmed.clone());
        world.undelivered(confirmed);
    }
    assert_eq!(world.get("a"), Some(lease));
    assert!(world.records().is_empty());
}

#[test]
fn no_ghosts_an_undelivered_answer_of_an_earlier_lease_does_not_end_a_later_one() {
    let mut world = World::new();
    let first = world.grant("a", holder(1), 60);
    let stale = LockOutcome::Granted(first.clone());
    world.release(&first);
    world.undelivered(stale.clone());
    assert_eq!(world.get("a"), None);
    let second = world.grant("a", holder(1), 60);
    world.settle();
    world.undelivered(stale);
    assert_eq!(world.get("a"), Some(second));
    assert!(world.records().is_empty());
}

#[test]
fn no_ghosts_any_other_answer_may_get_lost_without_consequence() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    world.settle();
    for outcome in [
        LockOutcome::Held(lease.clone()),
        LockOutcome::OverQuota(QUOTA),
        LockOutcome::NoRoom,
        LockOutcome::NoToken,
        LockOutcome::Released,
        LockOutcome::NotOwned,
        LockOutcome::Status(Some(lease.clone())),
        world.outcome(list(account(1), Selection::default())),
    ] {
        world.undelivered(outcome);
    }
    assert_eq!(world.get("a"), Some(lease));
    assert!(world.records().is_empty());
}

// The store had no room for the end.

/// A lease that is on disk, and that nobody knows of: the store refused its end.
fn ghost() -> (World, Lease) {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 3_600);
    world.settle();
    world.undelivered(LockOutcome::Granted(lease.clone()));
    world.refuse();
    assert_eq!(
        world.ask(get("a")),
        (LockOutcome::Status(Some(lease.clone())), Seq::NONE),
        "its end could not be written"
    );
    (world, lease)
}

fn is_due(world: &World) -> bool {
    world.machine.next_deadline().is_some_and(|due| due <= world.now)
}

#[test]
fn no_ghosts_an_end_the_store_refused_is_tried_again_until_it_is_written() {
    let (mut world, _) = ghost();
    for _ in 0..3 {
        assert!(is_due(&world), "long before the lease expires");
        world.expire();
        assert!(!is_due(&world), "on its way");
        assert_eq!(world.get("a"), None);
        world.refuse();
        assert!(world.get("a").is_some());
    }
    world.expire();
    assert_eq!(world.records(), [LockRecord::Free(name("a"))]);
    world.settle();
    assert_eq!(world.ask(get("a")), (LockOutcome::Status(None), Seq::NONE));
    assert_eq!(world.machine.next_deadline(), None);
    world.grant("a", holder(2), 60);
}

#[test]
fn no_ghosts_a_refused_end_is_not_tried_again_if_the_holder_was_confirmed_meanwhile() {
    for seconds in [1, 3_600] {
        let (mut world, lease) = ghost();
        world.now = at(1);
        let confirmed = world.confirm("a", holder(1), seconds);
        assert_eq!(confirmed.id, lease.id);
        world.records();
        world.expire();
        assert!(world.records().is_empty(), "somebody knows of it");
        assert_eq!(world.get("a"), Some(confirmed.clone()));
        assert_eq!(world.machine.next_deadline(), Some(confirmed.expires));
        world.settle();
        world.undelivered(LockOutcome::Confirmed(confirmed));
        assert_eq!(world.get("a"), None, "and now nobody does");
    }
}

#[test]
fn no_ghosts_a_refused_end_is_tried_again_if_the_holders_confirmation_was_refused_too() {
    for order in Order::BOTH {
        let (mut world, lease) = ghost();
        world.now = at(1);
        world.confirm("a", holder(1), 3_600);
        world.refuse_in(order);
        if is_due(&world) {
            world.expire();
        }
        assert_eq!(world.records(), [LockRecord::Free(name("a"))], "{order:?}");
        world.settle();
        assert_eq!(world.get("a"), None);
        world.undelivered(LockOutcome::Granted(lease));
        assert!(world.records().is_empty());
    }
}

#[test]
fn no_ghosts_a_refused_end_does_not_end_whoever_has_the_lock_by_then() {
    let (mut world, lease) = ghost();
    world.release(&lease);
    let next = world.grant("a", holder(2), 60);
    world.settle();
    world.expire();
    assert!(world.records().is_empty());
    assert_eq!(world.get("a"), Some(next));
}

#[test]
fn no_ghosts_a_refused_confirmation_does_not_count_as_told() {
    for order in Order::BOTH {
        let mut world = World::new();
        let lease = world.grant("a", holder(1), 10);
        world.settle();
        world.confirm("a", holder(1), 20);
        world.refuse_in(order);
        assert_eq!(world.get("a"), Some(lease.clone()));
        world.undelivered(LockOutcome::Granted(lease));
        assert_eq!(world.get("a"), None, "the only answer reached nobody");
    }
}

#[test]
fn no_ghosts_a_grant_that_came_back_before_its_retry_was_refused_ends() {
    for order in Order::BOTH {
        let mut world = World::new();
        let lease = world.grant("a", holder(1), 10);
        world.settle();
        world.confirm("a", holder(1), 20);
        world.undelivered(LockOutcome::Granted(lease));
        assert!(world.get("a").is_some(), "the retry will know of it");
        world.refuse_in(order);
        if is_due(&world) {
            world.expire();
        }
        assert_eq!(world.records(), [LockRecord::Free(name("a"))], "{order:?}");
        assert_eq!(world.get("a"), None, "no answer reached anybody");
    }
}

#[test]
fn no_ghosts_an_answer_that_came_back_after_a_refused_end_does_not_count_as_told() {
    for order in Order::BOTH {
        let mut world = World::new();
        let lease = world.grant("a", holder(1), 10);
        world.settle();
        world.now = lease.expires;
        world.expire();
        // On its way to the disk, the end is not yet one that nothing can undo.
        world.undelivered(LockOutcome::Granted(lease));
        world.refuse_in(order);
        let confirmed = world.confirm("a", holder(1), 3_600);
        world.settle();
        world.undelivered(LockOutcome::Confirmed(confirmed));
        assert_eq!(world.get("a"), None, "no answer reached anybody: {order:?}");
    }
}

#[test]
fn no_ghosts_a_clean_stop_leaves_none_on_disk() {
    let (mut world, _) = ghost();
    world.machine.close(&mut world.effects);
    assert_eq!(
        world.records(),
        [LockRecord::Free(name("a")), LockRecord::TokenMark(token(1))],
        "the next start could not tell that nobody knows of it"
    );
}

#[test]
fn bounded_many_refused_ends_are_tried_again_a_part_at_a_time() {
    const LEASES: usize = 2_000;
    const AT_ONCE: usize = 512;
    let mut world = World::new();
    let granted: Vec<_> = (0..LEASES)
        .map(|number| {
            let number = u64::try_from(number).unwrap();
            world.outcome(LockCommand::Acquire {
                name: name(&format!("lock-{number}")),
                holder: holder(1),
                ttl: ttl(3_600),
                lease: lease_id(number),
                metadata: None,
                quota: Quota::new(u32::MAX),
            })
        })
        .collect();
    world.settle();
    for outcome in granted {
        world.undelivered(outcome);
    }
    world.refuse();
    let mut ended = 0;
    while is_due(&world) {
        world.expire();
        let records = world.records();
        assert!((1..=AT_ONCE).contains(&records.len()), "{} at once", records.len());
        ended += records.len();
    }
    assert_eq!(ended, LEASES);
    assert_eq!(world.machine.next_deadline(), None);
}
