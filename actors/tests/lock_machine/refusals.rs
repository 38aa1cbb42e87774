//! A full store, and what a refused commit leaves behind.

use crate::{
    common::{account, acquire, at, get, holder, lease_id, name, owner, release, token, ttl},
    world::{Order, World},
};
use octostore_actors::{
    domain::{
        Machine, Room,
        lock::{Lease, LockCommand, LockOutcome, LockRecord, Tokens},
        page::Selection,
        values::Quota,
    },
    progress::Seq,
};

#[test]
fn without_room_nothing_is_granted_but_what_is_held_goes_on() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    let other = world.grant("b", holder(1), 10);
    world.settle();
    world.room = Room::Exhausted;
    assert_eq!(world.ask(acquire("c", holder(1), 60, 9)), (LockOutcome::NoRoom, Seq::NONE));
    assert!(world.records().is_empty());
    assert_eq!(world.get("c"), None);
    assert_eq!(world.acquire("a", holder(2), 60), LockOutcome::Held(lease.clone()));
    world.now = at(5);
    assert!(matches!(
        world.renew(&lease, 60),
        LockOutcome::Confirmed(lease) if lease.expires == at(65)
    ));
    assert_eq!(world.confirm("a", holder(1), 70).expires, at(75));
    assert_eq!(world.release(&lease), LockOutcome::Released);
    world.now = other.expires;
    world.expire();
    assert_eq!(world.get("b"), None);
    world.room = Room::Available;
    world.grant("c", holder(1), 60);
}

#[test]
fn fencing_a_grant_refused_for_want_of_room_spends_no_token() {
    let mut world = World::new();
    world.room = Room::Exhausted;
    assert_eq!(world.acquire("a", holder(1), 60), LockOutcome::NoRoom);
    world.room = Room::Available;
    assert_eq!(world.grant("a", holder(1), 60).token, token(1));
}

const LOCKS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Four leases, all on disk.
fn settled() -> (World, [Lease; 4]) {
    let mut world = World::new();
    let a = world.grant("a", holder(1), 10);
    let b = world.grant("b", owner(1, "x"), 20);
    let c = world.grant("c", holder(2), 30);
    let d = world.grant("d", holder(3), 40);
    world.settle();
    (world, [a, b, c, d])
}

#[test]
fn a_refused_commit_leaves_exactly_what_was_before() {
    for order in Order::BOTH {
        let (mut world, [a, b, c, _]) = settled();
        world.now = at(5);
        world.release(&a);
        world.grant("a", holder(2), 100);
        world.renew(&b, 200);
        world.confirm("b", owner(1, "x"), 300);
        world.release(&c);
        world.grant("c", holder(2), 7);
        world.grant("e", holder(1), 3);
        let f = world.grant("f", holder(3), 4);
        world.undelivered(LockOutcome::Granted(f));
        world.now = at(40);
        world.expire();
        world.grant("d", holder(0), 50);
        world.refuse_in(order);

        for lock in LOCKS {
            assert_eq!(world.depends_on(get(lock)), Seq::NONE, "{lock} is as it is on disk");
        }
        world.now = at(5);
        world.expire();
        assert!(world.records().is_empty(), "nothing is due");
        let twin = settled().0;
        assert_eq!(world.life(&LOCKS), twin.life(&LOCKS), "{order:?}");
    }
}

#[test]
fn a_commit_refused_in_part_leaves_the_part_that_is_on_disk() {
    for order in Order::BOTH {
        let (mut world, [a, b, ..]) = settled();
        world.release(&a);
        world.renew(&b, 200);
        world.commit();
        world.release(&b);
        world.grant("a", holder(2), 100);
        world.refuse_in(order);
        world.expire();
        assert!(world.records().is_empty(), "nothing is due");

        let (mut twin, [a, b, ..]) = settled();
        twin.release(&a);
        twin.renew(&b, 200);
        assert_eq!(world.life(&LOCKS), twin.life(&LOCKS), "{order:?}");
    }
}

#[test]
fn a_refused_commit_gives_the_quota_back_and_takes_it_again() {
    let two = |lock: &str, lease| LockCommand::Acquire {
        name: name(lock),
        holder: holder(1),
        ttl: ttl(10),
        lease: lease_id(lease),
        metadata: None,
        quota: Quota::new(2),
    };
    let mut world = World::new();
    world.outcome(two("a", 1));
    world.settle();
    world.outcome(two("b", 2));
    world.refuse();
    assert!(matches!(world.outcome(two("c", 3)), LockOutcome::Granted(_)));
    world.settle();
    world.outcome(release("a", account(1), lease_id(1)));
    world.refuse();
    assert_eq!(world.outcome(two("d", 4)), LockOutcome::OverQuota(Quota::new(2)));
}

#[test]
fn a_refused_grant_leaves_the_lock_free_in_either_order() {
    for order in Order::BOTH {
        let mut world = World::new();
        let undone = world.grant("a", holder(1), 60);
        world.confirm("a", holder(1), 90);
        world.refuse_in(order);
        assert_eq!(world.ask(get("a")), (LockOutcome::Status(None), Seq::NONE), "{order:?}");
        assert_eq!(world.list(1, Selection::default()), (vec![], 0, false));
        world.expire();
        assert!(world.records().is_empty(), "there is nothing to end");
        assert_eq!(world.machine.next_deadline(), None);

        // Whoever comes next has the lock, and nothing of what was undone ends it.
        let next = world.grant("a", holder(1), 60);
        assert!(next.token > undone.token);
        world.settle();
        world.expire();
        assert!(world.records().is_empty());
        assert_eq!(world.get("a"), Some(next));
    }
}

#[test]
fn a_refused_renewal_leaves_the_lease_that_is_on_disk_in_either_order() {
    for order in Order::BOTH {
        let mut world = World::new();
        let lease = world.grant("a", holder(1), 60);
        world.settle();
        world.now = at(30);
        world.renew(&lease, 60);
        world.confirm("a", holder(1), 3_600);
        world.refuse_in(order);
        assert_eq!(
            world.ask(get("a")),
            (LockOutcome::Status(Some(lease.clone())), Seq::NONE),
            "{order:?}"
        );
        world.expire();
        assert!(world.records().is_empty(), "its holder knows of it");
        assert_eq!(world.machine.next_deadline(), Some(lease.expires));
        world.now = lease.expires;
        world.expire();
        assert_eq!(world.records(), [LockRecord::Free(name("a"))]);
    }
}

#[test]
fn a_refused_release_makes_nothing_due() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    world.settle();
    world.release(&lease);
    world.refuse();
    assert_eq!(world.machine.next_deadline(), Some(lease.expires));
}

#[test]
fn a_refused_release_leaves_the_lease_with_its_holder_in_either_order() {
    for order in Order::BOTH {
        let mut world = World::new();
        let lease = world.grant("a", holder(1), 60);
        world.settle();
        world.release(&lease);
        world.grant("a", holder(2), 60);
        world.refuse_in(order);
        world.expire();
        assert!(world.records().is_empty());
        assert_eq!(world.get("a"), Some(lease.clone()), "{order:?}");
        assert_eq!(world.release(&lease), LockOutcome::Released);
    }
}

#[test]
fn time_a_machine_continues_with_what_is_on_disk() {
    let (before, leases) = settled();
    let world = World::with(leases, Tokens::new(token(4), token(9), 10));
    assert_eq!(world.life(&LOCKS), before.life(&LOCKS));
}
