//! Tokens: made, replaced, ended, and how long they last.

use crate::{
    common::account,
    world::{World, asked, by, hash, id, issue, revoke, rotate, scope, sign_in, token, wall},
};
use octostore_actors::domain::{
    Machine,
    account::{AccountCommand, AccountOutcome, Token, TokenSource, scope::Scope},
    audit::{Action, AuditEntry, AuditOutcome, AuditText, Who},
    values::Quota,
};

fn listed(world: &mut World, of: &str, seconds: i64) -> Vec<Token> {
    let command =
        AccountCommand::Tokens { account: account(1), scope: scope(of), at: wall(seconds) };
    match world.outcome(command) {
        AccountOutcome::Tokens(tokens) => tokens,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_token_outlives_the_one_that_made_it() {
    let short = Token {
        expires_at: Some(wall(100)),
        ..token(2, 1, TokenSource::Workload, Scope::Everything)
    };
    let mut world = World::new().with(short);
    assert_eq!(world.outcome(issue(2, asked(3, None, Some(101)), 1)), AccountOutcome::Exceeds);
    assert_eq!(world.issued(issue(2, asked(9, None, Some(100)), 1)).expires_at, Some(wall(100)));
    world.outcome(revoke(1, Scope::Everything, 9));
    assert_eq!(world.issued(issue(2, asked(3, None, None), 1)).expires_at, Some(wall(100)));
    assert_eq!(world.issued(issue(2, asked(4, None, Some(50)), 1)).expires_at, Some(wall(50)));
    assert_eq!(world.issued(issue(1, asked(5, None, Some(101)), 1)).expires_at, Some(wall(101)));
    assert_eq!(world.issued(issue(1, asked(6, None, None), 60)).expires_at, None);
    // Neither does the one that takes its place.
    let AccountOutcome::Rotated { fresh, .. } = world.outcome(rotate(2, 7, 99)) else { panic!() };
    assert_eq!((fresh.expires_at, fresh.source), (Some(wall(100)), TokenSource::Workload));
    assert_eq!(world.outcome(issue(7, asked(8, None, None), 100)), AccountOutcome::UnknownToken);
}

#[test]
fn of_two_rotations_of_one_token_one_wins() {
    let mut world = World::new();
    let (first, rotated) = world.ask(rotate(1, 2, 1));
    assert!(matches!(first, AccountOutcome::Rotated { .. }));
    let (second, seen) = world.ask(rotate(1, 3, 1));
    assert_eq!(second, AccountOutcome::UnknownToken);
    assert!(seen <= rotated && seen > octostore_actors::progress::Seq::NONE, "it saw the first");
    assert!(!world.is_live(1, 1) && world.is_live(2, 1));
}

#[test]
fn a_rotated_token_keeps_its_name_scope_and_end() {
    let own = Token {
        expires_at: Some(wall(9)),
        last_used_at: Some(wall(1)),
        ..token(2, 1, TokenSource::Issued, scope("flags:read"))
    };
    let mut world = World::new().with(own.clone());
    let AccountOutcome::Rotated { replaced, fresh } = world.outcome(rotate(2, 3, 5)) else {
        panic!()
    };
    assert_eq!(replaced, own);
    let same = Token { hash: hash(3), id: id(3), created_at: wall(5), last_used_at: None, ..own };
    assert_eq!(fresh, same);
}

#[test]
fn a_rotation_nobody_heard_of_is_undone() {
    for source in [TokenSource::Static, TokenSource::Issued, TokenSource::SignIn] {
        let mut world = World::new().with(token(2, 1, source, Scope::Everything));
        let outcome = world.outcome(rotate(2, 3, 1));
        world.settle();
        world.machine.undelivered(outcome, &mut world.effects);
        assert!(world.is_live(2, 1) && !world.is_live(3, 1));
        world.settle();
        world.crash();
        assert!(world.is_live(2, 1) && !world.is_live(3, 1));
    }
}

#[test]
fn a_token_nobody_heard_of_ends() {
    let mut world = World::new();
    let outcome = world.outcome(issue(1, asked(2, None, None), 1));
    assert!(world.is_live(2, 1));
    world.machine.undelivered(outcome, &mut world.effects);
    assert!(!world.is_live(2, 1));
    world.settle();
    let said: Vec<_> = world.audit.iter().map(|entry| entry.action).collect();
    let last = world.audit.last().unwrap();
    assert!(said.contains(&Action::TokenCreate));
    assert_eq!((last.action, last.outcome), (Action::TokenRevoke, AuditOutcome::Done));
}

#[test]
fn a_configured_token_stays_dead_and_others_leave_nothing_behind() {
    let mut world = World::new().with(token(2, 1, TokenSource::Issued, Scope::Everything));
    world.outcome(rotate(1, 3, 1));
    world.outcome(rotate(2, 4, 1));
    world.settle();
    world.crash();
    for dead in [1, 2] {
        assert!(!world.is_live(dead, 1));
    }
    assert!(world.remembers(1) && !world.remembers(2));
    assert_eq!(world.outcome(revoke(1, Scope::Everything, 1)), AccountOutcome::NotFound, "dead");
    world.effects.take_records();
    world.outcome(AccountCommand::Used { token: hash(1), at: wall(9) });
    assert!(world.effects.take_records().is_empty(), "nobody uses what is dead");
}

#[test]
fn every_end_of_a_token_is_in_the_audit_log() {
    let mut world = World::new();
    world.outcome(issue(1, asked(2, None, None), 1));
    world.outcome(rotate(2, 3, 1));
    world.outcome(revoke(1, Scope::Everything, 3));
    world.settle();
    let said: Vec<_> =
        world.audit.iter().map(|entry| (entry.action, entry.target.as_str())).collect();
    let (account, two, three) = (account(1).to_string(), id(2).to_string(), id(3).to_string());
    assert_eq!(
        said,
        [
            (Action::TokenCreate, account.as_str()),
            (Action::TokenRotate, two.as_str()),
            (Action::TokenRevoke, three.as_str()),
        ]
    );
}

#[test]
fn a_sign_in_that_a_newer_one_ends_is_in_the_audit_log() {
    let mut world = World::new();
    for number in 5..=7 {
        world.outcome(sign_in("1", "ann", 9, number, i64::from(number)));
    }
    world.settle();
    assert!(!world.is_live(5, 7) && world.is_live(6, 7) && world.is_live(7, 7));
    let said: Vec<_> = world.audit.iter().map(|entry| (entry.action, entry.by.who)).collect();
    let ann = Who::Account(account(9));
    let signed_in = (Action::SignIn, ann);
    assert_eq!(said, [signed_in, signed_in, (Action::TokenRevoke, ann), signed_in]);
    assert_eq!(world.audit[2].target.as_str(), id(5).to_string());
}

#[test]
fn what_no_machine_decides_is_in_the_audit_log_as_it_was_given() {
    let mut world = World::new();
    let refused = AuditEntry {
        by: by(1),
        action: Action::AdminAccess,
        target: AuditText::truncated("accounts"),
        outcome: AuditOutcome::Refused,
        detail: None,
    };
    assert_eq!(world.outcome(AccountCommand::Note(refused.clone())), AccountOutcome::Noted);
    world.settle();
    assert_eq!(world.audit, [refused]);
}

#[test]
fn tokens_are_listed_in_the_order_they_were_made() {
    let mut world = World::new();
    for (number, seconds) in [(30, 1), (20, 2), (25, 2)] {
        world.issued(issue(1, asked(number, None, None), seconds));
    }
    assert_eq!(world.listed(1, 3), [1, 30, 20, 25]);
}

#[test]
fn a_token_sees_and_ends_only_what_may_no_more_than_itself() {
    let narrow = token(2, 1, TokenSource::Issued, scope("locks:read:a/"));
    let wide = token(3, 1, TokenSource::Issued, scope("locks:write"));
    let mut world = World::new().with(narrow).with(wide);
    let ids = |tokens: Vec<Token>| tokens.iter().map(|token| token.id).collect::<Vec<_>>();
    assert_eq!(ids(listed(&mut world, "*", 1)), [id(1), id(2), id(3)]);
    assert_eq!(ids(listed(&mut world, "locks:write", 1)), [id(2), id(3)]);
    assert_eq!(ids(listed(&mut world, "locks:read:a/", 1)), [id(2)]);
    assert_eq!(world.outcome(revoke(1, scope("locks:read"), 3)), AccountOutcome::NotFound);
    assert_eq!(world.outcome(revoke(2, Scope::Everything, 3)), AccountOutcome::NotFound);
    assert!(matches!(world.outcome(revoke(1, scope("locks:read"), 2)), AccountOutcome::Revoked(_)));
    assert_eq!(world.outcome(revoke(1, Scope::Everything, 2)), AccountOutcome::NotFound, "gone");
    assert!(world.is_live(3, 1) && !world.is_live(2, 1));
}

#[test]
fn bounded_an_account_has_so_many_tokens_and_what_has_run_out_does_not_count() {
    let mut world = World::new();
    for number in 2..5 {
        world.issued(issue(1, asked(number, None, Some(10)), 1));
    }
    let full = issue(1, asked(5, None, None), 9);
    assert_eq!(world.outcome(full), AccountOutcome::OverQuota(Quota::new(3)));
    assert_eq!(listed(&mut world, "*", 10).len(), 1);
    world.issued(issue(1, asked(5, None, None), 10));
    world.settle();
    world.crash();
    assert_eq!(listed(&mut world, "*", 0).len(), 2, "what has run out is off the disk");
}

#[test]
fn a_use_is_noted_and_nobody_waits_for_it() {
    let mut world = World::new();
    let used = |at| AccountCommand::Used { token: hash(1), at: wall(at) };
    let (_, waits_for) = world.ask(used(5));
    assert_eq!(waits_for, octostore_actors::progress::Seq::NONE);
    world.outcome(used(4));
    world.outcome(used(5));
    assert_eq!(world.effects.take_records().len(), 1, "once");
    assert_eq!(listed(&mut world, "*", 6)[0].last_used_at, Some(wall(5)), "never backwards");
    world.outcome(AccountCommand::Used { token: hash(9), at: wall(5) });
    world.settle();
    assert!(world.audit.is_empty());
}
