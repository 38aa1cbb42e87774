//! What the audit log says of configuration. That every change leaves one entry, and nothing else
//! any, is checked with every command: see `World::ask`.

use crate::{
    common::{account, by, text},
    world::{World, delete, get, history, list},
};
use octostore_actors::domain::{
    Room,
    audit::{Action, AuditEntry, AuditOutcome},
    config::{ConfigCommand, ConfigOutcome, ConfigUse, Expected},
    page::Selection,
    values::Quota,
};

fn entry(action: Action, target: &str, detail: &str, millis: i64) -> AuditEntry {
    AuditEntry {
        by: by(1, millis),
        action,
        target: text(target),
        outcome: AuditOutcome::Done,
        detail: Some(text(detail)),
    }
}

#[test]
fn an_entry_says_who_wrote_which_version_of_what() {
    let mut world = World::new();
    world.wall = 1;
    world.put("a", "1");
    world.wall = 2;
    world.put("a", "2");
    world.wall = 3;
    world.try_rollback("a", 1, Expected::Anything);
    world.delete("a");
    world.put("a", "\"secret\"");
    world.settle();
    assert_eq!(
        world.log,
        [
            entry(Action::ConfigSet, "a", "version 1", 1),
            entry(Action::ConfigSet, "a", "version 2", 2),
            entry(Action::ConfigRollback, "a", "version 3, as version 1", 3),
            entry(Action::ConfigDelete, "a", "version 3 was the last", 0),
            entry(Action::ConfigSet, "a", "version 1", 3),
        ]
    );
    assert!(!format!("{:?}", world.log).contains("secret"), "no value is in the log");
}

#[test]
fn what_is_refused_and_what_is_read_leaves_no_entry() {
    let mut world = World::new();
    world.quota.keys = Quota::new(1);
    world.put("a", "1");
    world.settle();
    assert_eq!(world.try_put("a", "2", Expected::Nothing), ConfigOutcome::Unexpected);
    assert!(matches!(world.try_put("b", "1", Expected::Anything), ConfigOutcome::OverQuota(_)));
    assert_eq!(world.try_rollback("a", 9, Expected::Anything), ConfigOutcome::NotFound);
    assert_eq!(world.try_rollback("a", 1, Expected::Nothing), ConfigOutcome::Unexpected);
    assert_eq!(world.outcome(delete(1, "a", Expected::Nothing)), ConfigOutcome::Unexpected);
    assert_eq!(world.outcome(delete(1, "b", Expected::Anything)), ConfigOutcome::NotFound);
    world.outcome(get(1, "a"));
    world.outcome(history(1, "a"));
    world.outcome(list(1, Selection::default()));
    world.room = Room::Exhausted;
    assert_eq!(world.try_put("a", "2", Expected::Anything), ConfigOutcome::NoRoom);
    world.settle();
    assert_eq!(world.log.len(), 1);
}

#[test]
fn a_change_that_was_undone_leaves_no_entry() {
    let mut world = World::new();
    world.put("kept", "1");
    world.settle();
    world.put("undone", "1");
    world.delete("kept");
    world.refuse();
    world.put("next", "1");
    world.settle();
    let targets: Vec<_> = world.log.iter().map(|entry| entry.target.as_str()).collect();
    assert_eq!(targets, ["kept", "next"]);
}

#[test]
fn use_counts_the_keys_and_bytes_of_each_account_that_is_asked_for() {
    let mut world = World::new();
    world.put("a", "1");
    world.put("a", "22");
    world.put("b", "333");
    let other = world.put_of(2, "a", "4444", Expected::Anything);
    world.outcome(other);
    let used = |accounts: &[u8]| ConfigCommand::Use {
        accounts: accounts.iter().copied().map(account).collect(),
    };
    let (one, two) = (ConfigUse { keys: 2, bytes: 6 }, ConfigUse { keys: 1, bytes: 4 });
    let none = ConfigUse::default();
    assert_eq!(world.outcome(used(&[2, 3, 1])), ConfigOutcome::Use(vec![two, none, one]));
    assert!(world.waits(used(&[1])), "it saw what is on its way");
    world.settle();
    assert!(!world.waits(used(&[1])));
    world.delete("a");
    let left = ConfigUse { keys: 1, bytes: 3 };
    assert_eq!(world.outcome(used(&[1])), ConfigOutcome::Use(vec![left]));
    world.refuse();
    assert_eq!(world.outcome(used(&[1])), ConfigOutcome::Use(vec![one]));
}
