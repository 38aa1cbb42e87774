//! What is kept of a value, and for whom.

use crate::{
    common::{account, by},
    world::{World, delete, description, get, history, key, value},
};
use octostore_actors::domain::{
    config::{
        ConfigCommand, ConfigKey, ConfigMachine, ConfigOutcome, ConfigRecord, Description, Entry,
        Expected, Incarnation, Version,
    },
    page::{PageLimit, Selection},
    values::WallTime,
};

#[test]
fn a_value_is_stored_byte_for_byte() {
    let mut world = World::new();
    for json in ["1.0", "1", "1e400", "{\"b\":1,\"a\":2}", " [ 1 ] ", "\"ä\\u0000\"", "null"] {
        let entry = world.put("a", json);
        assert_eq!(entry.value.as_json(), json);
        assert_eq!(world.get("a").unwrap(), entry);
        world.settle();
        world.crash();
        assert_eq!(world.get("a").unwrap(), entry);
    }
}

#[test]
fn an_entry_says_everything_that_was_given() {
    let mut world = World::new();
    let expected = Entry {
        account: account(1),
        key: key("a"),
        incarnation: Incarnation([9; 16]),
        version: Version::FIRST,
        value: value("{}"),
        description: Some(description("what it is for")),
        created_at: WallTime::from_millis(7),
        updated_at: WallTime::from_millis(7),
    };
    let outcome = world.outcome(ConfigCommand::Put {
        account: account(1),
        key: key("a"),
        value: value("{}"),
        description: Some(description("what it is for")),
        expected: Expected::Nothing,
        incarnation: Incarnation([9; 16]),
        quota: world.quota,
        by: by(1, 7),
    });
    assert_eq!(outcome, ConfigOutcome::Written(expected.clone()));
    assert_eq!(world.on_its_way(), [&ConfigRecord::Version(expected.clone())]);
    assert_eq!(world.get("a"), Some(expected.clone()));
    world.settle();
    world.crash();
    assert_eq!(world.get("a"), Some(expected));
    assert_eq!(world.put("a", "1").description, None, "each version has its own");
}

#[test]
fn created_at_stays_and_updated_at_never_goes_back() {
    let mut world = World::new();
    let times = |entry: &Entry| (entry.created_at.as_millis(), entry.updated_at.as_millis());
    for (wall, expected) in [(100, 100), (200, 200), (50, 200), (-5, 200), (201, 201)] {
        world.wall = wall;
        assert_eq!(times(&world.put("a", "1")), (100, expected));
    }
    world.wall = 3;
    let ConfigOutcome::Written(entry) = world.try_rollback("a", 1, Expected::Anything) else {
        panic!()
    };
    assert_eq!(times(&entry), (100, 201));
    world.delete("a");
    assert_eq!(times(&world.put("a", "1")), (3, 3), "it is another one");
}

#[test]
fn nothing_leaks_to_other_accounts() {
    let mut world = World::new();
    let mine = world.put("a", "\"mine\"");
    let theirs = world.put_of(2, "a", "\"theirs\"", Expected::Nothing);
    assert!(matches!(world.outcome(theirs), ConfigOutcome::Written(_)), "theirs is another key");
    world.put("b", "1");
    assert_eq!(world.outcome(get(2, "b")), ConfigOutcome::NotFound);
    assert_eq!(world.outcome(history(2, "b")), ConfigOutcome::NotFound);
    let rollback = world.rollback_of(2, "b", 1, Expected::Anything);
    assert_eq!(world.outcome(rollback), ConfigOutcome::NotFound);
    assert_eq!(world.outcome(delete(2, "b", Expected::Anything)), ConfigOutcome::NotFound);
    assert_eq!(world.names(2), ["a"]);
    let mut page = world.page(2, Selection::default());
    assert_eq!(page.items.remove(0).value, value("\"theirs\""));
    assert_eq!(world.outcome(delete(2, "a", Expected::Anything)), ConfigOutcome::Deleted);
    assert_eq!(world.get("a"), Some(mine));
    assert!(world.names(2).is_empty());
    world.settle();
    world.crash();
    assert_eq!(world.names(1), ["a", "b"]);
    assert!(world.names(2).is_empty());
}

#[test]
fn a_list_is_sorted_and_shows_the_present_versions() {
    let mut world = World::new();
    for name in ["b", "a.2", "a.1", "a.1"] {
        world.put(name, &format!("\"{name}\""));
    }
    let select = |prefix: &str, after: Option<&str>, limit| Selection {
        prefix: prefix.into(),
        after: after.map(Into::into),
        limit: PageLimit::new(limit).unwrap(),
    };
    for (selection, names, total, more) in [
        (select("", None, 1_000), vec![("a.1", 2), ("a.2", 1), ("b", 1)], 3, false),
        (select("", None, 2), vec![("a.1", 2), ("a.2", 1)], 3, true),
        (select("", Some("a.2"), 2), vec![("b", 1)], 3, false),
        (select("a.", Some("a.1"), 2), vec![("a.2", 1)], 2, false),
        (select("c", None, 1), vec![], 0, false),
    ] {
        let page = world.page(1, selection);
        let words = |entry: &Entry| (entry.key.to_string(), entry.version.get());
        let found: Vec<_> = page.items.iter().map(words).collect();
        let names: Vec<_> = names.iter().map(|(name, v)| ((*name).to_owned(), *v)).collect();
        assert_eq!((found, page.total, page.more), (names, total, more));
    }
}

#[test]
fn keys_descriptions_and_versions_have_bounds() {
    let long = "x".repeat(100);
    for good in ["a", "A-b_9.c", "..", &long] {
        assert_eq!(ConfigKey::new(good).unwrap().as_str(), good);
    }
    let too_long = "x".repeat(101);
    for bad in ["", "a b", "a/b", "ä", "a\0", "a:b", &too_long] {
        ConfigKey::new(bad).unwrap_err();
    }
    assert!(Description::new("").is_ok());
    assert!(Description::new(&"ä".repeat(500)).is_ok());
    Description::new(&"ä".repeat(501)).unwrap_err();
    assert_eq!(Version::new(0), None);
    assert_eq!(Version::new(1), Some(Version::FIRST));
    assert_eq!(Version::new((1 << 53) - 1).unwrap().get(), (1 << 53) - 1);
    assert_eq!(Version::new(1 << 53), None);
}

#[test]
fn a_value_does_not_print_itself() {
    let secret = value("\"hunter2\"");
    assert!(!format!("{secret:?}").contains("hunter2"));
    let mut world = World::new();
    assert!(!format!("{:?}", world.put("a", "\"hunter2\"")).contains("hunter2"));
}

#[test]
#[should_panic(expected = "a history has a gap")]
fn a_file_with_a_gap_in_a_history_is_not_believed() {
    let mut world = World::new();
    let (first, _, third) = (world.put("a", "1"), world.put("a", "2"), world.put("a", "3"));
    ConfigMachine::new([first, third]);
}
