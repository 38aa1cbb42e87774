//! What a grant is, and who may end or extend it.

use crate::{
    common::{
        QUOTA, account, at, holder, lease_id, metadata, name, owner, release, renew, seq, token,
        ttl,
    },
    world::World,
};
use octostore_actors::{
    domain::{
        Machine,
        lock::{Lease, LockCommand, LockOutcome, LockRecord},
    },
    progress::Seq,
};

#[test]
fn a_free_lock_is_granted_as_it_was_asked_for() {
    let mut world = World::new();
    world.now = at(7);
    let asked = LockCommand::Acquire {
        name: name("jobs/nightly"),
        holder: owner(1, "pod-1"),
        ttl: ttl(30),
        lease: lease_id(42),
        metadata: Some(metadata("eu-1")),
        quota: QUOTA,
    };
    let (outcome, depends_on) = world.ask(asked);
    let lease = Lease {
        name: name("jobs/nightly"),
        holder: owner(1, "pod-1"),
        id: lease_id(42),
        token: token(1),
        ttl: ttl(30),
        expires: at(37),
        metadata: Some(metadata("eu-1")),
    };
    assert_eq!(outcome, LockOutcome::Granted(lease.clone()));
    assert_eq!(depends_on, seq(1), "a grant waits for its own record");
    assert_eq!(world.records(), [LockRecord::Held(lease.clone())]);
    assert_eq!(world.machine.next_deadline(), Some(at(37)));
    assert_eq!(world.get("jobs/nightly"), Some(lease));
}

#[test]
fn a_free_lock_says_so() {
    let mut world = World::new();
    assert_eq!(world.get("free"), None);
    assert_eq!(world.machine.next_deadline(), None);
    assert!(world.records().is_empty());
}

#[test]
fn exclusion_a_held_lock_is_refused_to_everybody_else() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.settle();
    assert_eq!(
        world.acquire("a", holder(2), 10),
        LockOutcome::Held(lease.clone()),
        "the refusal names the lease in the way"
    );
    assert_eq!(world.get("a"), Some(lease));
    assert!(world.records().is_empty(), "a refusal changes nothing");
    world.grant("b", holder(2), 10);
}

#[test]
fn exclusion_owners_of_one_account_exclude_each_other() {
    for (first, second) in
        [(owner(1, "x"), owner(1, "y")), (owner(1, "x"), holder(1)), (holder(1), owner(1, "x"))]
    {
        let mut world = World::new();
        let lease = world.grant("a", first.clone(), 10);
        assert_eq!(world.acquire("a", second, 10), LockOutcome::Held(lease.clone()));
        assert_eq!(world.confirm("a", first, 10), lease);
    }
}

#[test]
fn a_reacquire_keeps_lease_token_and_metadata() {
    let mut world = World::new();
    let asked = |lease, text: Option<&str>, seconds| LockCommand::Acquire {
        name: name("a"),
        holder: owner(1, "x"),
        ttl: ttl(seconds),
        lease: lease_id(lease),
        metadata: text.map(metadata),
        quota: QUOTA,
    };
    let LockOutcome::Granted(first) = world.outcome(asked(1, Some("mine"), 10)) else {
        panic!("not granted");
    };
    for (lease, text) in [(2, Some("other")), (3, None)] {
        assert_eq!(world.outcome(asked(lease, text, 10)), LockOutcome::Confirmed(first.clone()));
    }
    world.now = at(4);
    assert_eq!(
        world.outcome(asked(4, None, 20)),
        LockOutcome::Confirmed(Lease { ttl: ttl(20), expires: at(24), ..first })
    );
}

#[test]
fn time_a_reacquire_ends_at_the_later_of_both_ends() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    world.settle();
    world.now = at(3);
    for seconds in [1, 6, 7] {
        assert_eq!(
            world.confirm("a", holder(1), seconds),
            lease,
            "the promise of ten seconds stands, and so does the TTL it came with"
        );
    }
    assert!(world.records().is_empty(), "nothing changed");
    assert_eq!(world.machine.next_deadline(), Some(at(10)));
    let longer = world.confirm("a", holder(1), 8);
    assert_eq!((longer.expires, longer.ttl), (at(11), ttl(8)));
    assert_eq!(world.records(), [LockRecord::Held(longer)]);
    assert_eq!(world.machine.next_deadline(), Some(at(11)));
}

#[test]
fn time_a_renewal_only_extends() {
    let mut world = World::new();
    let lease = world.grant("a", owner(1, "x"), 10);
    world.settle();
    world.now = at(5);
    for seconds in [1, 5] {
        assert_eq!(world.renew(&lease, seconds), LockOutcome::Confirmed(lease.clone()));
    }
    assert!(world.records().is_empty());
    let longer = Lease { ttl: ttl(6), expires: at(11), ..lease.clone() };
    assert_eq!(world.renew(&lease, 6), LockOutcome::Confirmed(longer.clone()));
    assert_eq!(world.records(), [LockRecord::Held(longer.clone())]);
    assert_eq!(world.get("a"), Some(longer));
    assert_eq!(world.machine.next_deadline(), Some(at(11)));
    world.now = at(10);
    world.expire();
    assert!(world.get("a").is_some(), "the old end is forgotten");
    world.now = at(11);
    world.expire();
    assert_eq!(world.get("a"), None);
}

#[test]
fn a_release_makes_the_lock_free_for_anybody() {
    let mut world = World::new();
    let lease = world.grant("a", owner(1, "x"), 10);
    world.settle();
    assert_eq!(world.release(&lease), LockOutcome::Released);
    assert_eq!(world.records(), [LockRecord::Free(name("a"))]);
    assert_eq!(world.get("a"), None);
    assert_eq!(world.machine.next_deadline(), None);
    let next = world.grant("a", holder(2), 10);
    assert!(next.token > lease.token);
    assert_eq!(world.release(&lease), LockOutcome::NotOwned, "a lease is released once");
    assert_eq!(world.get("a"), Some(next));
}

#[test]
fn who_does_not_own_the_lease_can_neither_release_nor_renew() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    let ended = world.grant("released", holder(1), 10);
    world.release(&ended);
    let expired = world.grant("expired", holder(1), 1);
    world.now = at(1);
    world.expire();
    world.settle();
    for (what, lock, number, id) in [
        ("a wrong lease", "a", 1, lease_id(999)),
        ("another account", "a", 2, lease.id),
        ("another account with a wrong lease", "a", 2, lease_id(999)),
        ("another lock's lease", "a", 1, ended.id),
        ("a lock that was never held", "never", 1, lease.id),
        ("a released lock", "released", 1, ended.id),
        ("an expired lock", "expired", 1, expired.id),
    ] {
        let not_owned = (LockOutcome::NotOwned, Seq::NONE);
        assert_eq!(world.ask(release(lock, account(number), id)), not_owned, "{what}");
        assert_eq!(world.ask(renew(lock, account(number), id, 3600)), not_owned, "{what}");
    }
    assert!(world.records().is_empty());
    assert_eq!(world.get("a"), Some(lease));
}
