//! Quotas and lists.

use crate::{
    common::{QUOTA, account, at, force_release, holder, lease_id, list, name, owner, token, ttl},
    world::World,
};
use octostore_actors::domain::{
    lock::{LockCommand, LockOutcome, Tokens},
    page::{PageLimit, Selection},
    values::Quota,
};

#[test]
fn bounded_an_account_holds_as_many_locks_as_its_quota_and_no_more() {
    let mut world = World::new();
    let over = LockOutcome::OverQuota(QUOTA);
    let foreign = world.grant("foreign", holder(2), 60);
    for number in 0..99 {
        // Owners share the quota of their account.
        let holder = if number % 2 == 0 { holder(1) } else { owner(1, "x") };
        world.grant(&format!("lock-{number}"), holder, 60);
    }
    let hundredth = world.grant("lock-99", holder(1), 60);
    world.settle();
    assert_eq!(world.acquire("one-more", holder(1), 60), over);
    assert_eq!(world.acquire("one-more", owner(1, "y"), 60), over);
    assert!(world.records().is_empty());
    assert_eq!(world.get("one-more"), None);
    assert_eq!(world.confirm("lock-99", holder(1), 60), hundredth, "a re-acquire needs no room");
    assert_eq!(
        world.acquire("foreign", holder(1), 60),
        LockOutcome::Held(foreign),
        "somebody else's lock is held, whatever the quota"
    );
    world.grant("one-more", holder(2), 60);

    world.release(&hundredth);
    world.grant("instead", holder(1), 60);
    assert_eq!(world.acquire("two-more", holder(1), 60), over);
}

#[test]
fn bounded_an_expired_lease_makes_room_in_the_quota() {
    let mut world = World::new();
    let one = |lock: &str, lease| LockCommand::Acquire {
        name: name(lock),
        holder: holder(1),
        ttl: ttl(10),
        lease: lease_id(lease),
        metadata: None,
        quota: Quota::new(1),
    };
    world.outcome(one("a", 1));
    assert_eq!(world.outcome(one("b", 2)), LockOutcome::OverQuota(Quota::new(1)));
    world.now = at(10);
    world.expire();
    assert!(matches!(world.outcome(one("b", 3)), LockOutcome::Granted(_)));
}

#[test]
fn bounded_a_quota_of_nothing_grants_nothing() {
    let mut world = World::new();
    let asked = LockCommand::Acquire {
        name: name("a"),
        holder: holder(1),
        ttl: ttl(10),
        lease: lease_id(1),
        metadata: None,
        quota: Quota::new(0),
    };
    assert_eq!(world.outcome(asked), LockOutcome::OverQuota(Quota::new(0)));
}

#[test]
fn a_list_is_sorted_and_shows_only_the_accounts_own_leases() {
    let mut world = World::new();
    for lock in ["b", "a/z", "a", "c", "a.b"] {
        world.grant(lock, holder(1), 60);
    }
    let mine = world.grant("a-b", owner(1, "x"), 60);
    world.grant("a-foreign", holder(2), 60);
    let all = ["a", "a-b", "a.b", "a/z", "b", "c"].map(String::from);
    assert_eq!(world.list(1, Selection::default()), (all.to_vec(), 6, false));
    assert_eq!(world.list(2, Selection::default()), (vec!["a-foreign".into()], 1, false));
    assert_eq!(world.list(3, Selection::default()), (vec![], 0, false));

    let LockOutcome::Leases(page) = world.outcome(list(account(1), Selection::default())) else {
        panic!("no list");
    };
    assert_eq!(page.items[1], mine, "with all there is to know");
}

#[test]
fn a_list_can_be_read_page_by_page() {
    let mut world = World::new();
    for lock in ["a", "b/1", "b/2", "b/3", "c"] {
        world.grant(lock, holder(1), 60);
    }
    let mut page = |prefix: &str, after: Option<&str>, limit| {
        let selection = Selection {
            prefix: prefix.into(),
            after: after.map(Into::into),
            limit: PageLimit::new(limit).unwrap(),
        };
        let (names, total, more) = world.list(1, selection);
        (names.join(" "), total, more)
    };
    assert_eq!(page("", None, 2), ("a b/1".into(), 5, true));
    assert_eq!(page("", Some("b/1"), 2), ("b/2 b/3".into(), 5, true));
    assert_eq!(page("", Some("b/3"), 2), ("c".into(), 5, false));
    assert_eq!(page("b/", None, 2), ("b/1 b/2".into(), 3, true));
    assert_eq!(page("b/", Some("b/2"), 2), ("b/3".into(), 3, false));
    assert_eq!(page("b/", Some("a"), 3), ("b/1 b/2 b/3".into(), 3, false));
    assert_eq!(page("b/", Some("c"), 3), (String::new(), 3, false));
    assert_eq!(page("x", None, 3), (String::new(), 0, false));
}

#[test]
fn bounded_what_has_ended_leaves_nothing_behind() {
    let mut world = World::new();
    for number in 1..4 {
        world.grant("expires", holder(number), 1);
        let released = world.grant("released", owner(number, "x"), 60);
        world.renew(&released, 90);
        let unheard = LockOutcome::Granted(world.grant("unheard", holder(number), 60));
        world.grant("forced", holder(number), 60);
        world.settle();
        world.release(&released);
        world.undelivered(unheard);
        world.grant("refused", holder(number), 60);
        world.refuse();
        world.release(&released);
        world.outcome(force_release("forced", "it hangs"));
        world.now = world.now + ttl(1).as_duration();
        world.expire();
        world.settle();
    }
    let fresh = World::with([], Tokens::new(token(15), token(1_000_000), 1_000_000));
    // What it has counted is no more than a number.
    let left = format!("{:?}", world.machine).replace("expired: 3", "expired: 0");
    assert_eq!(left, format!("{:?}", fresh.machine));
}
