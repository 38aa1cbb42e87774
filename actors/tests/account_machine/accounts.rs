//! Accounts: who they are, and what an administrator changes of them.

use crate::{
    common::account,
    world::{World, asked, change, change_by, issue, sign_in, wall},
};
use octostore_actors::domain::{
    Record,
    account::{
        Account, AccountCommand, AccountOutcome, AccountRecord, Allowance, Change, Role, Standing,
        TokenSource,
    },
    audit::{Action, Who},
    page::Selection,
    values::Quota,
};
use octostore_actors::progress::Seq;

fn admitted(world: &mut World, command: AccountCommand) -> Account {
    match world.outcome(command) {
        AccountOutcome::Issued(account, token) => {
            assert_eq!((token.account, token.source), (account.id, TokenSource::SignIn));
            account
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_is_renamed_keeps_its_account_and_whoever_takes_the_name_gets_another() {
    let mut world = World::new();
    let first = admitted(&mut world, sign_in("583231", "octocat", 5, 10, 1));
    let renamed = admitted(&mut world, sign_in("583231", "monalisa", 6, 11, 2));
    assert_eq!((renamed.id, renamed.name.as_str()), (first.id, "monalisa"));
    let other = admitted(&mut world, sign_in("99", "octocat", 7, 12, 3));
    assert_ne!(other.id, first.id);
    world.settle();
    world.crash();
    assert_eq!(world.account(5).name.as_str(), "monalisa", "the new name is on disk");
    let again = admitted(&mut world, sign_in("583231", "monalisa", 8, 13, 4));
    assert_eq!((again.id, again.created_at), (first.id, wall(1)));
    let names: Vec<_> = world.accounts().iter().map(|account| account.name.to_string()).collect();
    assert_eq!(names, ["monalisa", "octocat", "person-1"], "each is listed once");
}

#[test]
fn whoever_is_new_is_no_administrator_and_may_what_everybody_may() {
    let mut world = World::new();
    let octocat = admitted(&mut world, sign_in("1", "octocat", 5, 10, 1));
    assert_eq!((octocat.role, octocat.standing), (Role::Member, Standing::Enabled));
    assert_eq!(octocat.allowance, Allowance::default());
    world.settle();
    world.crash();
    assert_eq!(world.account(5), octocat);
}

#[test]
fn whoever_comes_again_unchanged_is_not_written_again() {
    let mut world = World::new();
    admitted(&mut world, sign_in("1", "octocat", 5, 10, 1));
    world.settle();
    admitted(&mut world, sign_in("1", "octocat", 6, 11, 2));
    let records = world.effects.take_records();
    let accounts = records
        .iter()
        .filter(|record| matches!(record, Record::Account(AccountRecord::Account(_))));
    assert_eq!(accounts.count(), 0);
}

#[test]
fn whoever_signs_in_does_so_on_its_own_behalf() {
    let mut world = World::new();
    for number in [10, 11] {
        admitted(&mut world, sign_in("1", "octocat", 5, number, 1));
    }
    world.settle();
    let who: Vec<_> = world.audit.iter().map(|entry| (entry.action, entry.by.who)).collect();
    assert_eq!(who, [(Action::SignIn, Who::Account(account(5))); 2]);
}

#[test]
fn the_oldest_sign_in_makes_room_for_the_newest() {
    let mut world = World::new();
    for (number, seconds) in [(10, 1), (11, 2), (12, 3)] {
        admitted(&mut world, sign_in("1", "octocat", 5, number, seconds));
    }
    assert!(!world.is_live(10, 3) && world.is_live(11, 3) && world.is_live(12, 3));
    // What it made on request is not touched.
    world.issued(issue(12, asked(20, None, None), 4));
    admitted(&mut world, sign_in("1", "octocat", 5, 13, 5));
    assert!(world.is_live(20, 5) && world.is_live(13, 5));
}

#[test]
fn the_oldest_is_the_one_that_was_made_first_whatever_its_id() {
    let mut world = World::new();
    for (number, seconds) in [(30, 1), (20, 2), (25, 3)] {
        admitted(&mut world, sign_in("1", "octocat", 5, number, seconds));
    }
    assert_eq!(world.listed(5, 3), [20, 25]);
}

#[test]
fn a_quota_of_no_sign_in_lets_nobody_in() {
    let mut world = World::new();
    let mut nothing = sign_in("1", "octocat", 5, 10, 1);
    if let AccountCommand::Admit { quota, .. } = &mut nothing {
        *quota = Quota::new(0);
    }
    assert_eq!(world.outcome(nothing), AccountOutcome::OverQuota(Quota::new(0)));
    assert!(world.effects.take_records().is_empty());
}

#[test]
fn a_disabled_account_is_not_let_in() {
    let mut world = World::new();
    let octocat = admitted(&mut world, sign_in("1", "octocat", 5, 10, 1));
    let (outcome, _) = world.ask(change(5, Change::Standing(Standing::Disabled)));
    assert!(matches!(outcome, AccountOutcome::Account(a) if a.standing == Standing::Disabled));
    let (refused, waits_for) = world.ask(sign_in("1", "octocat", 6, 11, 2));
    assert_eq!(refused, AccountOutcome::Disabled(octocat.id));
    assert!(waits_for > Seq::NONE, "the refusal waits for the change");
    world.outcome(change(5, Change::Standing(Standing::Enabled)));
    assert_eq!(admitted(&mut world, sign_in("1", "octocat", 6, 11, 3)).id, octocat.id);
}

#[test]
fn of_administrators_who_act_against_each_other_at_once_one_is_left() {
    for against in [Change::Role(Role::Member), Change::Standing(Standing::Disabled)] {
        let mut world = World::new();
        for number in [5, 6] {
            admitted(&mut world, sign_in(&number.to_string(), "octocat", number, number, 1));
            world.outcome(change(number, Change::Role(Role::Admin)));
        }
        world.settle();
        let (first, _) = world.ask(change_by(5, 6, against.clone()));
        assert!(matches!(first, AccountOutcome::Account(_)));
        let (second, waits_for) = world.ask(change_by(6, 5, against));
        assert_eq!(second, AccountOutcome::NotAdmin);
        assert!(waits_for > Seq::NONE, "the refusal waits for the change");
        let outcome = world.outcome(AccountCommand::Account(account(5)));
        let AccountOutcome::Account(left) = outcome else { panic!("{outcome:?}") };
        assert_eq!((left.role, left.standing), (Role::Admin, Standing::Enabled));
    }
}

#[test]
fn every_change_is_on_disk_with_its_entry_in_the_audit_log() {
    let mut world = World::new();
    let allowance = Allowance { locks: Some(Quota::new(7)), ..Allowance::default() };
    for step in [
        Change::Standing(Standing::Disabled),
        Change::Standing(Standing::Enabled),
        Change::Role(Role::Admin),
        Change::Quotas(allowance),
    ] {
        world.outcome(change(1, step));
    }
    assert_eq!(world.outcome(change(9, Change::Role(Role::Admin))), AccountOutcome::NotFound);
    world.settle();
    let said: Vec<_> = world.audit.iter().map(|entry| entry.action).collect();
    assert_eq!(
        said,
        [Action::AccountDisable, Action::AccountEnable, Action::AccountRole, Action::AccountQuotas]
    );
    assert!(world.audit.iter().all(|entry| entry.by.who == Who::AdminKey));
    assert_eq!(world.audit[3].detail.as_ref().unwrap().as_str(), "locks 7");
    world.crash();
    let AccountOutcome::Account(kept) = world.outcome(AccountCommand::Account(account(1))) else {
        panic!()
    };
    assert_eq!((kept.role, kept.allowance), (Role::Admin, allowance));
}

#[test]
fn accounts_are_listed_by_name_and_one_name_may_stand_for_several() {
    let mut world = World::new();
    for (subject, name, number) in [("1", "zoe", 5), ("2", "anna", 6), ("3", "anna", 7)] {
        admitted(&mut world, sign_in(subject, name, number, number + 10, 1));
    }
    let mut list = |after: Option<&str>, limit| {
        let selection = Selection {
            after: after.map(Into::into),
            limit: octostore_actors::domain::page::PageLimit::new(limit).unwrap(),
            ..Selection::default()
        };
        match world.outcome(AccountCommand::Accounts(selection)) {
            AccountOutcome::Accounts(page) => page,
            other => panic!("{other:?}"),
        }
    };
    let first = list(None, 1);
    let rest = list(Some(&first.items[0].list_key()), 10);
    assert_eq!((first.total, first.more, rest.items.len()), (4, true, 3));
    let names: Vec<_> = rest.items.iter().map(|account| account.name.as_str()).collect();
    assert_eq!((first.items[0].name.as_str(), names), ("anna", vec!["anna", "person-1", "zoe"]));
}
