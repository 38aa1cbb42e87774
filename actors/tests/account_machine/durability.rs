//! What an answer waits for, and what the store refused was never there.

use crate::{
    common::{account, seq},
    world::{
        World, asked, by, change, hash, id, issue, person, revoke, rotate, scope, sign_in, token,
        wall,
    },
};
use octostore_actors::{
    domain::{
        Machine, Room,
        account::{
            Account, AccountCommand, AccountOutcome, Change, NewToken, Role, Standing, TokenSource,
            scope::Scope,
        },
        audit::{Action, AuditEntry, AuditOutcome, AuditText},
        page::Selection,
        values::Quota,
    },
    progress::Seq,
};

fn tokens() -> AccountCommand {
    AccountCommand::Tokens { account: account(1), scope: Scope::Everything, at: wall(1) }
}

fn disable(number: u8) -> AccountCommand {
    change(number, Change::Standing(Standing::Disabled))
}

#[test]
fn durability_a_change_waits_for_all_of_itself() {
    let mut world = World::new();
    for command in [
        issue(1, asked(2, None, None), 1),
        rotate(2, 3, 1),
        revoke(1, scope("*"), 3),
        sign_in("1", "octocat", 5, 10, 1),
        change(5, Change::Role(Role::Admin)),
        AccountCommand::Note(entry()),
    ] {
        let before = world.effects.last();
        let depends_on = world.depends_on(command.clone());
        assert!(depends_on > before, "{command:?}");
        assert_eq!(depends_on, world.effects.last(), "{command:?}");
    }
}

fn entry() -> AuditEntry {
    AuditEntry {
        by: by(1),
        action: Action::AdminAccess,
        target: AuditText::truncated("accounts"),
        outcome: AuditOutcome::Refused,
        detail: None,
    }
}

#[test]
fn durability_whatever_saw_a_change_waits_for_it() {
    let narrow = token(2, 1, TokenSource::Issued, scope("locks:read"));
    let mut world = World::new().with(narrow).with(token(3, 1, TokenSource::Issued, scope("*")));
    world.outcome(rotate(3, 4, 1));
    let rotated = seq(3);
    world.outcome(sign_in("1", "octocat", 5, 10, 1));
    world.outcome(disable(5));
    let disabled = seq(7);
    let newest = world.effects.last();
    for (command, seen) in [
        (rotate(3, 5, 1), seq(1)),
        (issue(3, asked(5, None, None), 1), seq(1)),
        (issue(4, asked(5, None, None), 0), seq(2)),
        (sign_in("1", "octocat", 5, 11, 1), disabled),
        (AccountCommand::Account(account(5)), disabled),
        (AccountCommand::Account(account(1)), Seq::NONE),
        (issue(2, asked(5, Some("locks:write"), None), 1), Seq::NONE),
        (rotate(9, 5, 1), Seq::NONE),
        (revoke(1, scope("*"), 3), newest),
        (change(9, Change::Role(Role::Admin)), newest),
        (tokens(), newest),
        (AccountCommand::Accounts(Selection::default()), newest),
    ] {
        let depends_on = world.depends_on(command.clone());
        // What makes something waits for more than what it saw.
        assert!(depends_on == seen || depends_on > newest, "{command:?} waits for {depends_on:?}");
    }
    assert!(rotated < newest);
}

#[test]
fn durability_a_full_quota_and_a_scope_exceeded_wait_for_what_they_saw() {
    let mut world = World::new();
    for number in 2..5 {
        world.issued(issue(1, asked(number, Some("locks:read"), None), 1));
    }
    let (outcome, depends_on) = world.ask(issue(1, asked(5, None, None), 1));
    assert_eq!(outcome, AccountOutcome::OverQuota(Quota::new(3)));
    assert_eq!(depends_on, world.effects.last());
    let (outcome, depends_on) = world.ask(issue(4, asked(5, Some("locks:write"), None), 1));
    assert_eq!(outcome, AccountOutcome::Exceeds);
    assert_eq!(depends_on, seq(5), "the token that asks is not on disk");
}

#[test]
fn durability_what_the_store_refused_never_was() {
    let mut world = World::new();
    world.issued(issue(1, asked(2, None, None), 1));
    let rotated = world.outcome(rotate(1, 3, 1));
    world.outcome(sign_in("1", "octocat", 5, 10, 1));
    world.refuse();
    // The answers that were refused come back.
    world.machine.undelivered(rotated, &mut world.effects);
    assert!(world.effects.take_records().is_empty(), "there is nothing left to end");
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
fn a_change_of_an_account_that_the_store_refused_leaves_it_as_it_was() {
    let mut world = World::new();
    world.outcome(sign_in("1", "octocat", 5, 10, 1));
    world.settle();
    let (before, listed) = (world.account(5), world.accounts());
    world.outcome(disable(5));
    world.outcome(change(5, Change::Role(Role::Admin)));
    world.refuse();
    world.outcome(sign_in("1", "monalisa", 6, 11, 2));
    world.refuse();
    assert_eq!(world.account(5), before);
    assert_eq!(world.accounts(), listed);
    assert_eq!(world.depends_on(AccountCommand::Account(account(5))), Seq::NONE);
    let known = world.outcome(sign_in("1", "octocat", 6, 11, 2));
    assert!(matches!(known, AccountOutcome::Issued(known, _) if known.id == account(5)));
}

#[test]
fn a_full_disk_refuses_new_tokens_and_nothing_else() {
    let mut world = World::new();
    world.room = Room::Exhausted;
    assert_eq!(world.outcome(issue(1, asked(2, None, None), 1)), AccountOutcome::NoRoom);
    assert_eq!(world.outcome(rotate(1, 2, 1)), AccountOutcome::NoRoom);
    assert_eq!(world.outcome(sign_in("1", "octocat", 5, 10, 1)), AccountOutcome::NoRoom);
    assert_eq!(
        world.outcome(AccountCommand::Used { token: hash(1), at: wall(1) }),
        AccountOutcome::Noted
    );
    assert!(world.effects.take_records().is_empty(), "a use is not worth the last room");
    let revoke = revoke(1, scope("*"), 1);
    assert!(matches!(world.outcome(revoke), AccountOutcome::Revoked(_)));
}

#[test]
fn bounded_what_has_ended_leaves_nothing_behind() {
    // Accounts stay; so do configured tokens, dead.
    let mut world = World::new();
    world.outcome(sign_in("1", "octocat", 5, 10, 1));
    world.outcome(revoke(5, scope("*"), 10));
    world.settle();
    let before = format!("{:?}", world.machine);
    for (first, second) in [(11, 12), (21, 22)] {
        let unheard = world.outcome(issue(1, asked(first, None, None), 1));
        world.outcome(sign_in("1", "octocat", 5, first + 2, 1));
        world.settle();
        world.machine.undelivered(unheard, &mut world.effects);
        world.outcome(rotate(first + 2, second, 1));
        world.outcome(sign_in("2", "refused", 6, second + 3, 1));
        world.refuse();
        let (first, second) = (first + 2, second + 2);
        world.outcome(revoke(1, scope("*"), first - 2));
        world.outcome(rotate(first, second, 2));
        world.outcome(revoke(5, scope("*"), second));
        world.settle();
    }
    assert_eq!(format!("{:?}", world.machine), before);
}

#[test]
#[should_panic(expected = "known by one subject")]
fn a_file_with_two_accounts_of_one_subject_is_not_believed() {
    let twin = Account { id: account(2), ..person(1) };
    octostore_actors::domain::account::AccountMachine::new([person(1), twin], []);
}

#[test]
#[should_panic(expected = "unlike any other")]
fn a_token_that_is_there_already_is_not_made() {
    let asked = NewToken { id: id(9), ..asked(1, None, None) };
    World::new().outcome(issue(1, asked, 1));
}
