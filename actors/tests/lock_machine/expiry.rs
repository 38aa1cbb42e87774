//! Expiry is an event.

use crate::{
    common::{at, holder, lease_id, name, ttl},
    world::World,
};
use octostore_actors::{
    domain::{
        Machine,
        lock::{LockCommand, LockOutcome, LockRecord},
        page::Selection,
        values::Quota,
    },
    time::Instant,
    watch::Census,
};

#[test]
fn time_in_the_instant_of_its_expiry_a_lock_is_held_until_the_expiry_is_handled() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.settle();
    world.now = lease.expires;
    assert_eq!(world.get("a"), Some(lease.clone()));
    assert_eq!(world.acquire("a", holder(2), 10), LockOutcome::Held(lease.clone()));
    assert_eq!(world.list(1, Selection::default()), (vec!["a".into()], 1, false));
    let LockOutcome::Confirmed(renewed) = world.renew(&lease, 10) else {
        panic!("the renewal came before the expiry");
    };
    assert_eq!(renewed.expires, at(20));
    world.expire();
    assert_eq!(world.get("a"), Some(renewed), "it was renewed in time");
}

#[test]
fn time_in_the_instant_of_its_expiry_a_lock_is_free_once_the_expiry_is_handled() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.settle();
    world.now = lease.expires;
    world.expire();
    assert_eq!(world.records(), [LockRecord::Free(name("a"))]);
    assert_eq!(world.get("a"), None);
    assert_eq!(world.renew(&lease, 10), LockOutcome::NotOwned);
    assert_eq!(world.release(&lease), LockOutcome::NotOwned);
    assert_eq!(world.list(1, Selection::default()), (vec![], 0, false));
    assert_eq!(world.machine.next_deadline(), None);
    world.grant("a", holder(2), 10);
}

#[test]
fn time_a_release_in_the_instant_of_the_expiry_is_a_release() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.now = lease.expires;
    assert_eq!(world.release(&lease), LockOutcome::Released);
    world.records();
    world.expire();
    assert!(world.records().is_empty(), "it has ended already");
}

#[test]
fn time_nothing_ends_a_nanosecond_early() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.now = Instant::from_nanos(lease.expires.as_nanos() - 1);
    world.expire();
    assert_eq!(world.get("a"), Some(lease));
}

#[test]
fn time_leases_end_in_order_and_only_those_that_are_due() {
    let mut world = World::new();
    world.grant("late", holder(1), 30);
    world.grant("first", holder(1), 10);
    world.grant("second", holder(2), 10);
    world.grant("third", holder(1), 20);
    world.records();
    assert_eq!(world.machine.next_deadline(), Some(at(10)));
    world.now = at(29);
    world.expire();
    let ended = ["first", "second", "third"].map(|lock| LockRecord::Free(name(lock)));
    assert_eq!(world.records(), ended);
    assert_eq!(world.machine.next_deadline(), Some(at(30)));
    assert!(world.get("late").is_some());
}

#[test]
fn bounded_a_mass_expiry_is_handled_a_part_at_a_time_and_completes() {
    const LEASES: usize = 2_000;
    const AT_ONCE: usize = 512;
    let mut world = World::new();
    let unlimited = Quota::new(u32::MAX);
    for number in 0..LEASES as u64 {
        let asked = LockCommand::Acquire {
            name: name(&format!("lock-{number}")),
            holder: holder(1),
            ttl: ttl(1),
            lease: lease_id(number),
            metadata: None,
            quota: unlimited,
        };
        assert!(matches!(world.outcome(asked), LockOutcome::Granted(_)));
    }
    world.settle();
    world.now = at(5);
    let mut ended = 0;
    while world.machine.next_deadline().is_some_and(|due| due <= world.now) {
        world.expire();
        let records = world.records();
        assert!((1..=AT_ONCE).contains(&records.len()), "{} at once", records.len());
        ended += records.len();
    }
    assert_eq!(ended, LEASES);
    assert_eq!(world.list(1, Selection::default()).1, 0);
    assert_eq!(world.machine.next_deadline(), None);
}

#[test]
fn what_the_census_calls_expired_has_expired_once_however_often_the_store_refuses_it() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.grant("b", holder(1), 60);
    world.settle();
    world.now = lease.expires;
    for _ in 0..3 {
        world.expire();
        world.refuse();
        assert_eq!(world.machine.census(), Census { entries: 2, expired: 1 });
    }
    world.expire();
    world.settle();
    assert_eq!(world.machine.census(), Census { entries: 1, expired: 1 });
    let again = world.grant("a", holder(1), 10);
    world.release(&again);
    assert_eq!(world.machine.census(), Census { entries: 1, expired: 1 }, "released in time");
}

#[test]
fn a_lease_that_was_extended_after_the_store_refused_its_end_may_expire_once_more() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.settle();
    world.now = lease.expires;
    world.expire();
    world.refuse();
    assert!(matches!(world.renew(&lease, 10), LockOutcome::Confirmed(_)));
    world.settle();
    world.now = at(20);
    world.expire();
    assert_eq!(world.machine.census(), Census { entries: 0, expired: 2 });
}
