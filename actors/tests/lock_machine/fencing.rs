//! Fencing tokens.

use crate::{
    common::{acquire, holder, seq, token},
    world::World,
};
use octostore_actors::{
    domain::{
        Machine,
        lock::{LockOutcome, LockRecord, Tokens},
        values::FencingToken,
    },
    progress::Seq,
};

#[test]
fn fencing_tokens_rise_with_every_grant_of_every_lock() {
    let mut world = World::new();
    let mut highest = FencingToken::ZERO;
    let mut lease = world.grant("b", holder(2), 1);
    for round in 0..50 {
        assert!(lease.token > highest);
        highest = lease.token;
        match round % 3 {
            0 => {
                world.release(&lease);
            }
            1 => {
                world.now = lease.expires;
                world.expire();
            }
            _ => world.undelivered(LockOutcome::Granted(lease.clone())),
        }
        let before = highest;
        let other = world.grant(&format!("lock-{round}"), holder(1), 3600);
        assert!(other.token > before);
        highest = other.token;
        lease = world.grant("b", holder(2), 1);
    }
}

#[test]
fn fencing_a_confirmation_spends_no_token() {
    let mut world = World::new();
    let first = world.grant("a", holder(1), 10);
    world.confirm("a", holder(1), 20);
    world.renew(&first, 30);
    world.acquire("a", holder(2), 10);
    let second = world.grant("b", holder(1), 10);
    assert_eq!(second.token.get(), first.token.get() + 1);
}

#[test]
fn fencing_the_mark_is_raised_a_block_ahead_and_no_token_is_above_it() {
    let mut world = World::with([], Tokens::new(token(100), token(104), 4));
    let mut on_disk = token(104);
    let mut raised = Vec::new();
    for number in 0..20 {
        let lease = world.grant(&format!("lock-{number}"), holder(1), 60);
        assert_eq!(lease.token, token(101 + number));
        assert!(lease.token <= on_disk, "{:?} above the mark", lease.token);
        for record in world.records() {
            if let LockRecord::TokenMark(mark) = record {
                on_disk = mark;
                raised.push(mark.get());
            }
        }
        world.machine.settle(world.effects.last());
    }
    assert_eq!(raised, [112, 128], "each block is twice the one before it");
}

#[test]
fn fencing_a_mark_on_its_way_to_the_disk_counts_for_nothing() {
    let mut world = World::with([], Tokens::new(FencingToken::ZERO, token(2), 4));
    world.grant("a", holder(1), 60);
    world.grant("b", holder(1), 60);
    let raised = LockRecord::TokenMark(token(10));
    assert_eq!(world.records()[0], raised, "raised with the first, ahead of need");
    let refused = (LockOutcome::NoToken, Seq::NONE);
    assert_eq!(world.ask(acquire("c", holder(1), 60, 3)), refused);
    assert_eq!(world.ask(acquire("d", holder(2), 60, 4)), refused);
    assert!(world.records().is_empty(), "it is raised once");
    assert_eq!(world.get("c"), None);
    world.machine.settle(seq(1));
    assert_eq!(world.grant("c", holder(1), 60).token, token(3));
}

#[test]
fn fencing_a_refused_mark_is_raised_again() {
    let mut world = World::with([], Tokens::new(FencingToken::ZERO, token(1), 4));
    assert_eq!(world.grant("a", holder(1), 60).token, token(1));
    world.refuse();
    assert_eq!(world.acquire("a", holder(1), 60), LockOutcome::NoToken);
    assert_eq!(world.records(), [LockRecord::TokenMark(token(9))]);
    world.machine.settle(world.effects.last());
    assert_eq!(world.grant("a", holder(1), 60).token, token(2));
}

#[test]
fn fencing_a_mark_that_is_on_disk_stays_when_what_came_after_it_is_refused() {
    let mut world = World::with([], Tokens::new(FencingToken::ZERO, token(1), 4));
    world.grant("a", holder(1), 60);
    let [LockRecord::TokenMark(_), LockRecord::Held(_)] = &world.records()[..] else {
        panic!("the mark is raised before the grant");
    };
    world.machine.rewind(seq(1));
    world.machine.settle(seq(1));
    let lease = world.grant("b", holder(1), 60);
    assert_eq!(lease.token, token(2));
    assert_eq!(world.records(), [LockRecord::Held(lease)], "it need not be raised again");
}

#[test]
fn fencing_the_last_token_is_told() {
    assert_eq!(Tokens::new(token(5), token(9), 10).last(), token(5));
}

#[test]
fn fencing_no_token_is_granted_twice_not_even_one_that_reached_nobody() {
    let mut world = World::new();
    let undone = world.grant("a", holder(1), 60);
    world.refuse();
    assert_eq!(world.get("a"), None);
    assert!(world.grant("a", holder(2), 60).token > undone.token);
}

#[test]
fn fencing_the_last_token_there_can_be_is_granted_and_none_after_it() {
    let last = FencingToken::MAX.get();
    let mut world = World::with([], Tokens::new(token(last - 2), token(last - 1), 4));
    assert_eq!(world.grant("a", holder(1), 60).token, token(last - 1));
    assert_eq!(
        world.records()[0],
        LockRecord::TokenMark(FencingToken::MAX),
        "the mark stops at the last"
    );
    world.settle();
    let highest = world.grant("b", holder(1), 60);
    assert_eq!(highest.token, FencingToken::MAX);
    world.settle();
    for number in 0..3 {
        assert_eq!(
            world.ask(acquire("c", holder(1), 60, 90 + number)),
            (LockOutcome::NoToken, Seq::NONE)
        );
    }
    assert!(world.records().is_empty(), "there is nothing to raise");
    assert_eq!(world.confirm("b", holder(1), 60), highest);
    assert_eq!(world.release(&highest), LockOutcome::Released);
}

#[test]
fn fencing_a_clean_stop_records_the_last_token() {
    let mut world = World::with([], Tokens::new(token(5), token(50), 10));
    world.grant("a", holder(1), 60);
    let last = world.grant("b", holder(1), 60);
    world.release(&last);
    world.records();
    world.machine.close(&mut world.effects);
    assert_eq!(world.records(), [LockRecord::TokenMark(token(7))]);
}

#[test]
fn fencing_a_stop_without_a_grant_spends_nothing() {
    let mut world = World::with([], Tokens::new(token(5), token(50), 10));
    world.machine.close(&mut world.effects);
    assert_eq!(world.records(), [LockRecord::TokenMark(token(5))]);
}

#[test]
#[should_panic(expected = "above the mark")]
fn fencing_a_file_with_a_token_above_its_mark_is_not_believed() {
    let _tokens = Tokens::new(token(6), token(5), 10);
}

#[test]
#[should_panic(expected = "not granted yet")]
fn fencing_a_file_with_a_lease_above_the_last_token_is_not_believed() {
    let mut world = World::new();
    let lease = world.grant("a", holder(1), 60);
    World::with([lease], Tokens::new(FencingToken::ZERO, token(9), 10));
}
