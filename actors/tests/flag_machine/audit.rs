//! What the audit log says of flags. That every change leaves one entry, and nothing else any, is
//! checked with every command: see `World::ask`.

use crate::{
    common::{account, by, text},
    world::{World, delete, flag, get, list, set},
};
use octostore_actors::domain::{
    Record, Room,
    audit::{Action, AuditEntry, AuditOutcome},
    flag::{FlagCommand, FlagOutcome},
    page::Selection,
    values::Quota,
};

fn entry(action: Action, target: &str, detail: Option<&str>, millis: i64) -> AuditEntry {
    AuditEntry {
        by: by(1, millis),
        action,
        target: text(target),
        outcome: AuditOutcome::Done,
        detail: detail.map(text),
    }
}

#[test]
fn an_entry_says_who_set_what_and_how() {
    let mut world = World::new();
    world.set("a", None, 1);
    world.set("a", Some(25), 2);
    let off = FlagCommand::Set {
        account: account(1),
        name: flag("b"),
        enabled: false,
        percentage: None,
        quota: Quota::new(3),
        by: by(1, 3),
    };
    world.outcome(off);
    assert_eq!(world.outcome(delete(1, "a")), FlagOutcome::Deleted);
    world.settle();
    assert_eq!(
        world.log,
        [
            entry(Action::FlagSet, "a", Some("enabled"), 1),
            entry(Action::FlagSet, "a", Some("enabled, 25 %"), 2),
            entry(Action::FlagSet, "b", Some("disabled"), 3),
            entry(Action::FlagDelete, "a", None, 0),
        ]
    );
}

#[test]
fn what_is_refused_and_what_is_read_leaves_no_entry() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.set(name, None, 1);
    }
    world.settle();
    world.records();
    assert!(matches!(world.outcome(set(1, "d", None, 1)), FlagOutcome::OverQuota(_)));
    assert_eq!(world.outcome(delete(1, "d")), FlagOutcome::NotFound);
    world.outcome(get(1, "a"));
    world.outcome(list(1, Selection::default()));
    world.outcome(FlagCommand::Use { accounts: vec![account(1)] });
    world.room = Room::Exhausted;
    assert_eq!(world.outcome(set(1, "a", Some(2), 2)), FlagOutcome::NoRoom);
    assert!(world.records().is_empty());
    assert_eq!(world.log.len(), 3);
}

#[test]
fn an_entry_is_wanted_in_one_go_with_its_change() {
    let mut world = World::new();
    world.set("a", None, 1);
    let records = world.records();
    assert!(matches!(records[..], [Record::Flag(_), Record::Audit(_)]), "{records:?}");
}

#[test]
fn a_change_that_was_undone_leaves_no_entry() {
    let mut world = World::new();
    world.set("kept", None, 1);
    world.settle();
    world.set("undone", None, 2);
    world.outcome(delete(1, "kept"));
    world.refuse();
    world.set("next", None, 3);
    world.settle();
    let targets: Vec<_> = world.log.iter().map(|entry| entry.target.as_str()).collect();
    assert_eq!(targets, ["kept", "next"]);
}

#[test]
fn use_counts_the_flags_of_each_account_that_is_asked_for() {
    let mut world = World::new();
    world.set("a", None, 1);
    world.set("b", None, 1);
    world.outcome(set(2, "a", None, 1));
    let used = |accounts: &[u8]| FlagCommand::Use {
        accounts: accounts.iter().copied().map(account).collect(),
    };
    assert_eq!(world.outcome(used(&[2, 3, 1])), FlagOutcome::Use(vec![1, 0, 2]));
    assert_eq!(world.outcome(used(&[])), FlagOutcome::Use(vec![]));
    assert!(world.waits(used(&[1])), "it saw what is on its way");
    world.settle();
    assert!(!world.waits(used(&[1])));
    world.outcome(delete(1, "a"));
    assert_eq!(world.outcome(used(&[1])), FlagOutcome::Use(vec![1]));
    world.refuse();
    assert_eq!(world.outcome(used(&[1])), FlagOutcome::Use(vec![2]));
}
