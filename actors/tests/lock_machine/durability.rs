//! What an answer waits for.

use crate::{
    common::{account, acquire, get, holder, lease_id, list, name, release, renew, seq, ttl},
    world::World,
};
use octostore_actors::{
    domain::{Machine, lock::LockCommand, page::Selection, values::Quota},
    progress::Seq,
};

#[test]
fn durability_what_is_on_disk_may_be_told_at_once() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    let ended = world.grant("ended", holder(1), 60);
    world.release(&ended);
    world.settle();
    // Something else is on its way; it is none of their business.
    world.grant("other", holder(3), 60);
    for command in [
        get("a"),
        get("ended"),
        get("never"),
        acquire("a", holder(2), 60, 90),
        acquire("a", holder(1), 1, 91),
        renew("a", account(1), lease.id, 1),
        renew("ended", account(1), ended.id, 1),
        release("ended", account(1), ended.id),
        release("a", account(2), lease.id),
    ] {
        assert_eq!(world.depends_on(command.clone()), Seq::NONE, "{command:?}");
    }
}

#[test]
fn durability_whatever_saw_a_change_waits_for_it() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    let ended = world.grant("ended", holder(1), 60);
    world.release(&ended);
    let brief = world.grant("expired", holder(1), 1);
    world.now = brief.expires;
    world.expire();
    let (changed, removed, expired) = (seq(1), seq(3), seq(5));
    world.grant("other", holder(3), 60);
    for (command, seen) in [
        (get("a"), changed),
        (acquire("a", holder(2), 60, 90), changed),
        (acquire("a", holder(1), 1, 91), changed),
        (renew("a", account(1), lease.id, 1), changed),
        (release("a", account(2), lease.id), changed),
        (renew("a", account(1), lease_id(99), 1), changed),
        (get("ended"), removed),
        (release("ended", account(1), ended.id), removed),
        (renew("ended", account(1), ended.id, 1), removed),
        (get("expired"), expired),
        (release("expired", account(1), brief.id), expired),
    ] {
        assert_eq!(world.depends_on(command.clone()), seen, "{command:?}");
    }
    world.machine.settle(seq(4));
    assert_eq!(world.depends_on(get("a")), Seq::NONE);
    assert_eq!(world.depends_on(get("ended")), Seq::NONE);
    assert_eq!(world.depends_on(get("expired")), expired);
}

#[test]
fn durability_an_answer_waits_for_the_latest_of_several_changes() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 10);
    assert_eq!(world.depends_on(renew("a", account(1), lease.id, 20)), seq(2));
    assert_eq!(world.depends_on(get("a")), seq(2));
    world.machine.settle(seq(1));
    assert_eq!(world.depends_on(get("a")), seq(2));
    assert_eq!(world.depends_on(release("a", account(1), lease.id)), seq(3));
    let (granted, depends_on) = world.ask(acquire("a", holder(2), 10, 8));
    assert_eq!(depends_on, seq(4));
    world.undelivered(granted);
    assert_eq!(world.depends_on(get("a")), seq(5));
}

#[test]
fn durability_a_list_and_a_full_quota_wait_for_every_change_they_saw() {
    let mut world = World::new();
    world.grant("a", holder(1), 60);
    let b = world.grant("b", holder(1), 60);
    let over = LockCommand::Acquire {
        name: name("c"),
        holder: holder(1),
        ttl: ttl(1),
        lease: lease_id(9),
        metadata: None,
        quota: Quota::new(1),
    };
    assert!(world.depends_on(list(account(1), Selection::default())) >= seq(2));
    assert!(world.depends_on(over.clone()) >= seq(2));
    world.settle();
    let durable = world.effects.last();
    assert!(world.depends_on(list(account(1), Selection::default())) <= durable);
    assert!(world.depends_on(over) <= durable);
    world.release(&b);
    assert!(
        world.depends_on(list(account(1), Selection::default())) > durable,
        "what is missing was seen too"
    );
}
