//! What is not on disk was never there.

use crate::world::{World, asked, issue, rotate, sign_in};
use octostore_actors::domain::{Machine, Room, account::AccountOutcome};

#[test]
fn what_the_store_refused_never_was() {
    let mut world = World::new();
    world.issued(issue(1, asked(2, None, None), 1));
    let rotated = world.outcome(rotate(1, 3, 1));
    world.outcome(sign_in("1", "octocat", 5, 10, 1));
    world.refuse();
    // The answers that were refused come back.
    world.machine.undelivered(rotated, &mut world.effects);
    assert!(world.is_live(1, 1));
    for gone in [2, 3, 10] {
        assert!(!world.is_live(gone, 1));
    }
    let AccountOutcome::Issued(account, _) = world.outcome(sign_in("1", "octocat", 6, 11, 1))
    else {
        panic!()
    };
    assert_eq!(account.id, crate::common::account(6), "it was not there before");
}

#[test]
fn a_full_disk_refuses_new_tokens_and_nothing_else() {
    let mut world = World::new();
    world.room = Room::Exhausted;
    assert_eq!(world.outcome(issue(1, asked(2, None, None), 1)), AccountOutcome::NoRoom);
    assert_eq!(world.outcome(rotate(1, 2, 1)), AccountOutcome::NoRoom);
    assert_eq!(world.outcome(sign_in("1", "octocat", 5, 10, 1)), AccountOutcome::NoRoom);
    let revoke = crate::world::revoke(1, crate::world::scope("*"), 1);
    assert!(matches!(world.outcome(revoke), AccountOutcome::Revoked(_)));
}
