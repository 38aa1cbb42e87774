//! What is kept of a flag, for whom, and how many there may be.

use crate::{
    common::{account, by},
    world::{World, delete, flag, get, percent, set},
};
use octostore_actors::domain::{
    Room,
    flag::{Flag, FlagCommand, FlagOutcome, FlagRecord},
    page::{PageLimit, Selection},
    values::{Quota, WallTime},
};

#[test]
fn a_flag_is_stored_as_it_was_set() {
    let mut world = World::new();
    let at = WallTime::from_millis(1_000);
    for (enabled, percentage) in [(true, None), (false, Some(0)), (true, Some(100)), (false, None)]
    {
        let expected = Flag {
            account: account(1),
            name: flag("a"),
            enabled,
            percentage: percentage.map(percent),
            created_at: at,
            updated_at: at,
        };
        let command = FlagCommand::Set {
            account: account(1),
            name: flag("a"),
            enabled,
            percentage: percentage.map(percent),
            quota: Quota::new(1),
            by: by(1, 1_000),
        };
        assert_eq!(world.outcome(command), FlagOutcome::Set(expected.clone()));
        assert_eq!(world.flag_records(), [FlagRecord::Set(expected.clone())]);
        assert_eq!(world.get(1, "a"), Some(expected));
    }
}

#[test]
fn created_at_stays_and_updated_at_moves() {
    let mut world = World::new();
    let times = |flag: &Flag| (flag.created_at.as_millis(), flag.updated_at.as_millis());
    assert_eq!(times(&world.set("a", None, 100)), (100, 100));
    assert_eq!(times(&world.set("a", Some(1), 250)), (100, 250));
    assert_eq!(times(&world.set("a", Some(1), 300)), (100, 300));
    world.settle();
    world.crash();
    assert_eq!(times(&world.set("a", Some(2), 400)), (100, 400));
    assert_eq!(times(&world.get(1, "a").unwrap()), (100, 400));
}

#[test]
fn times_never_go_back_although_the_wall_clock_may() {
    let mut world = World::new();
    let times = |flag: &Flag| (flag.created_at.as_millis(), flag.updated_at.as_millis());
    world.set("a", None, 1_000);
    world.set("a", None, 5_000);
    assert_eq!(times(&world.set("a", Some(7), 10)), (1_000, 5_000));
    assert_eq!(times(&world.set("a", Some(8), -10)), (1_000, 5_000));
    assert_eq!(world.get(1, "a").unwrap().percentage, Some(percent(8)), "it is set all the same");
    assert_eq!(times(&world.set("a", None, 5_001)), (1_000, 5_001));
}

#[test]
fn a_flag_made_anew_is_a_new_one() {
    let mut world = World::new();
    world.set("a", Some(5), 1_000);
    assert_eq!(world.outcome(delete(1, "a")), FlagOutcome::Deleted);
    assert_eq!(world.get(1, "a"), None);
    assert_eq!(world.outcome(delete(1, "a")), FlagOutcome::NotFound);
    let anew = world.set("a", None, 2_000);
    assert_eq!(anew.created_at, WallTime::from_millis(2_000));
    assert_eq!(anew.percentage, None);
}

#[test]
fn getting_and_deleting_what_is_not_there_writes_nothing() {
    let mut world = World::new();
    assert_eq!(world.outcome(get(1, "a")), FlagOutcome::Status(None));
    assert_eq!(world.outcome(delete(1, "a")), FlagOutcome::NotFound);
    assert!(world.names(1).is_empty());
    assert!(world.records().is_empty());
}

#[test]
fn bounded_an_account_has_so_many_flags_and_no_more() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.set(name, None, 1);
    }
    let over = world.outcome(set(1, "d", None, 1));
    assert_eq!(over, FlagOutcome::OverQuota(Quota::new(3)));
    assert_eq!(world.get(1, "d"), None);
    world.set("b", Some(3), 2);
    assert!(matches!(world.outcome(set(2, "d", None, 1)), FlagOutcome::Set(_)));
    world.outcome(delete(1, "a"));
    world.set("d", None, 3);
    assert_eq!(world.names(1), ["b", "c", "d"]);
    world.settle();
    world.crash();
    assert!(matches!(world.outcome(set(1, "e", None, 1)), FlagOutcome::OverQuota(_)));
}

#[test]
fn accounts_do_not_see_each_other() {
    let mut world = World::new();
    world.outcome(set(1, "a", Some(1), 1));
    world.outcome(set(2, "a", Some(2), 1));
    assert_eq!(world.get(1, "a").unwrap().percentage, Some(percent(1)));
    assert_eq!(world.get(2, "a").unwrap().percentage, Some(percent(2)));
    assert_eq!(world.get(3, "a"), None);
    assert_eq!(world.outcome(delete(3, "a")), FlagOutcome::NotFound);
    assert_eq!(world.outcome(delete(2, "a")), FlagOutcome::Deleted);
    assert_eq!(world.names(1), ["a"]);
    assert!(world.names(2).is_empty());
    let page = world.page(1, Selection::default());
    assert!(page.items.iter().all(|flag| flag.account == account(1)));
}

#[test]
fn a_list_is_sorted_and_comes_in_pages() {
    let mut world = World::new();
    for name in ["b", "a-2", "a-1"] {
        world.set(name, None, 1);
    }
    assert_eq!(world.names(1), ["a-1", "a-2", "b"]);
    let select = |prefix: &str, after: Option<&str>, limit| Selection {
        prefix: prefix.into(),
        after: after.map(Into::into),
        limit: PageLimit::new(limit).unwrap(),
    };
    for (selection, names, total, more) in [
        (select("", None, 2), vec!["a-1", "a-2"], 3, true),
        (select("", Some("a-2"), 2), vec!["b"], 3, false),
        (select("a", None, 1), vec!["a-1"], 2, true),
        (select("c", None, 1), vec![], 0, false),
    ] {
        let page = world.page(1, selection);
        let found: Vec<_> = page.items.iter().map(|flag| flag.name.as_str()).collect();
        assert_eq!((found, page.total, page.more), (names, total, more));
    }
}

#[test]
fn without_room_nothing_is_set_and_everything_else_goes_on() {
    let mut world = World::new();
    world.set("a", Some(1), 1);
    world.settle();
    world.room = Room::Exhausted;
    assert_eq!(world.outcome(set(1, "a", Some(2), 2)), FlagOutcome::NoRoom);
    assert_eq!(world.outcome(set(1, "b", None, 2)), FlagOutcome::NoRoom);
    assert!(world.records().is_empty());
    assert_eq!(world.get(1, "a").unwrap().percentage, Some(percent(1)));
    assert_eq!(world.names(1), ["a"]);
    assert_eq!(world.outcome(delete(1, "a")), FlagOutcome::Deleted);
    assert_eq!(world.flag_records(), [FlagRecord::Gone(account(1), flag("a"))]);
}
