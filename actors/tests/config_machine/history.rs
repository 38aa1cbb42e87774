//! The versions of a key: which there are, which are kept, and going back.

use crate::{
    common::{account, by},
    world::{World, description, key, one_of, value, version},
};
use octostore_actors::domain::{
    config::{
        ConfigCommand, ConfigOutcome, ConfigQuota, ConfigRecord, Expected, Incarnation, Version,
    },
    values::Quota,
};

#[test]
fn versions_are_1_2_3_whoever_writes() {
    let mut world = World::new();
    for round in 1..=50 {
        for number in 1..4 {
            for name in ["a", "b"] {
                let put = world.put_of(number, name, "0", Expected::Anything);
                let ConfigOutcome::Written(entry) = world.outcome(put) else { panic!() };
                assert_eq!(entry.version.get(), round, "{number} {name}");
            }
        }
        if round % 7 == 0 {
            world.settle();
        }
        if round % 21 == 0 {
            world.crash();
        }
    }
}

#[test]
fn versions_that_never_were_on_disk_are_given_again() {
    let mut world = World::new();
    world.put("a", "1");
    world.settle();
    world.put("a", "2");
    world.put("a", "3");
    world.refuse();
    assert_eq!(world.put("a", "4").version.get(), 2);
    world.crash();
    assert_eq!(world.put("a", "5").version.get(), 2);
    world.settle();
    assert_eq!(world.history("a"), [(2, "5".into()), (1, "1".into())]);
}

#[test]
fn the_newest_versions_are_kept_and_the_oldest_goes_first() {
    let mut world = World::new();
    world.quota.history = Quota::new(3);
    for number in 1..=3 {
        world.put("a", &number.to_string());
    }
    world.settle();
    for number in 4..=9_u64 {
        let entry = world.put("a", &number.to_string());
        let gone = ConfigRecord::NoVersion(account(1), key("a"), version(number - 3));
        assert_eq!(world.on_its_way(), [&gone, &ConfigRecord::Version(entry)]);
        world.settle();
        let newest = [number, number - 1, number - 2].map(|number| (number, number.to_string()));
        assert_eq!(world.history("a"), newest);
        assert_eq!(world.rows(), 3);
        world.crash();
        assert_eq!(world.history("a"), newest);
    }
}

#[test]
fn a_smaller_quota_of_versions_drops_all_that_are_too_many() {
    let mut world = World::new();
    for number in 1..=10 {
        world.put("a", &number.to_string());
    }
    world.quota.history = Quota::new(2);
    world.put("a", "11");
    assert_eq!(world.history("a"), [(11, "11".into()), (10, "10".into())]);
    world.settle();
    assert_eq!(world.rows(), 2);
    world.quota.history = Quota::new(1);
    world.put("a", "12");
    world.settle();
    assert_eq!(world.history("a"), [(12, "12".into())]);
    world.quota.history = Quota::new(100);
    world.put("a", "13");
    assert_eq!(world.history("a"), [(13, "13".into()), (12, "12".into())]);
}

#[test]
fn a_version_is_found_while_it_is_kept() {
    let mut world = World::new();
    world.quota.history = Quota::new(3);
    for number in 1..=5 {
        world.put("a", &format!("\"{number}\""));
    }
    for number in 3..=5 {
        let entry = world.get_version("a", number).unwrap();
        assert_eq!((entry.version.get(), entry.value), (number, value(&format!("\"{number}\""))));
    }
    assert_eq!(world.get("a").unwrap().version.get(), 5);
    for gone_or_never in [1, 2, 6, 7, (1 << 53) - 1] {
        assert_eq!(world.get_version("a", gone_or_never), None, "{gone_or_never}");
    }
    assert_eq!(world.get_version("never", 1), None);
    world.delete("a");
    for number in 1..=6 {
        assert_eq!(world.get_version("a", number), None);
    }
}

#[test]
fn rolling_back_writes_the_old_value_as_the_next_version() {
    let mut world = World::new();
    for number in 1..=3 {
        world.outcome(ConfigCommand::Put {
            account: account(1),
            key: key("a"),
            value: value(&number.to_string()),
            description: Some(description(&format!("the {number}."))),
            expected: Expected::Anything,
            incarnation: Incarnation([number; 16]),
            quota: world.quota,
            by: by(1, i64::from(number)),
        });
    }
    world.wall = 40;
    let ConfigOutcome::Written(entry) = world.try_rollback("a", 2, Expected::Anything) else {
        panic!()
    };
    assert_eq!((entry.version.get(), &entry.value), (4, &value("2")));
    assert_eq!(entry.description, Some(description("the 2.")));
    assert_eq!(entry.incarnation, Incarnation([1; 16]));
    assert_eq!((entry.created_at.as_millis(), entry.updated_at.as_millis()), (1, 40));
    assert_eq!(world.get("a"), Some(entry));
    let history = world.history("a");
    assert_eq!(history, [4, 3, 2, 1].map(|n| (n, if n == 4 { 2 } else { n }.to_string())));
}

#[test]
fn rolling_back_to_the_present_version_is_a_version_too() {
    let mut world = World::new();
    world.put("a", "1");
    assert!(matches!(world.try_rollback("a", 1, Expected::Something), ConfigOutcome::Written(_)));
    assert_eq!(world.history("a"), [(2, "1".into()), (1, "1".into())]);
}

#[test]
fn there_is_no_rolling_back_to_what_is_gone_or_never_was() {
    let mut world = World::new();
    world.quota.history = Quota::new(2);
    for number in 1..=3 {
        world.put("a", &number.to_string());
    }
    world.settle();
    for version in [1, 4, 99] {
        let outcome = world.try_rollback("a", version, Expected::Anything);
        assert_eq!(outcome, ConfigOutcome::NotFound, "{version}");
    }
    assert_eq!(world.try_rollback("b", 1, Expected::Anything), ConfigOutcome::NotFound);
    assert!(world.on_its_way().is_empty());
}

#[test]
fn rolling_back_to_the_version_that_goes_by_it_works() {
    let mut world = World::new();
    world.quota = ConfigQuota { history: Quota::new(2), ..world.quota };
    world.put("a", "1");
    let second = world.put("a", "2");
    let outcome = world.try_rollback("a", 1, one_of(&second));
    assert!(matches!(outcome, ConfigOutcome::Written(_)));
    assert_eq!(world.history("a"), [(3, "1".into()), (2, "2".into())]);
}

#[test]
fn a_deletion_removes_every_version() {
    let mut world = World::new();
    for number in 1..=3 {
        world.put("a", &number.to_string());
    }
    world.put("b", "1");
    world.settle();
    world.delete("a");
    let gone = [1, 2, 3].map(|n| ConfigRecord::NoVersion(account(1), key("a"), version(n)));
    assert_eq!(world.on_its_way(), gone.iter().collect::<Vec<_>>());
    world.settle();
    assert_eq!(world.rows(), 1);
    assert_eq!(world.get("a"), None);
    assert!(world.history("a").is_empty());
    assert_eq!(world.put("a", "4").version, Version::FIRST);
    world.settle();
    world.crash();
    assert_eq!(world.history("a"), [(1, "4".into())]);
}

#[test]
fn a_key_deleted_and_made_anew_before_either_is_on_disk_is_whole() {
    let mut world = World::new();
    for number in 1..=3 {
        world.put("a", &number.to_string());
    }
    world.settle();
    world.delete("a");
    world.put("a", "4");
    world.put("a", "5");
    for commits in 0..=3 {
        // A crash after each of them.
        let mut world = World::new();
        for number in 1..=3 {
            world.put("a", &number.to_string());
        }
        world.settle();
        world.delete("a");
        world.put("a", "4");
        world.put("a", "5");
        world.commit(commits);
        world.crash();
        let values: Vec<_> = world.history("a").into_iter().map(|(_, json)| json).collect();
        let expected: &[&str] = [&["3", "2", "1"][..], &[], &["4"], &["5", "4"]][commits];
        assert_eq!(values, expected, "after {commits}");
    }
    assert_eq!(world.history("a"), [(2, "5".into()), (1, "4".into())]);
}
