//! The machine against a map, over refused commits and crashes.

use crate::world::{World, delete, flag, get, percent, set};
use octostore_actors::domain::flag::{Flag, FlagOutcome};
use proptest::{prelude::*, sample::select, test_runner::RngSeed};
use std::collections::BTreeMap;

const NAMES: [&str; 5] = ["a", "a-b", "b", "c", "d"];

#[derive(Clone, Debug)]
enum Step {
    Set(u8, &'static str, Option<u64>, i64),
    Delete(u8, &'static str),
    Get(u8, &'static str),
    Settle,
    Refuse,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let name = || select(NAMES.to_vec());
    prop_oneof![
        8 => (1..3u8, name(), prop::option::of(0..=100u64), 0..1_000i64)
            .prop_map(|(account, name, percentage, at)| Step::Set(account, name, percentage, at)),
        3 => (1..3u8, name()).prop_map(|(account, name)| Step::Delete(account, name)),
        5 => (1..3u8, name()).prop_map(|(account, name)| Step::Get(account, name)),
        3 => Just(Step::Settle),
        1 => Just(Step::Refuse),
        1 => Just(Step::Crash),
    ]
}

type Flags = BTreeMap<(u8, &'static str), (Option<u64>, i64, i64)>;

fn agrees(found: Option<&Flag>, expected: Option<&(Option<u64>, i64, i64)>) -> bool {
    let words = |flag: &Flag| {
        let percentage = flag.percentage.map(|percentage| u64::from(percentage.get()));
        (percentage, flag.created_at.as_millis(), flag.updated_at.as_millis())
    };
    found.map(words) == expected.copied()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x000f_1a65),
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_is_a_map_with_a_quota(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        let mut flags = Flags::new();
        let mut durable = Flags::new();
        for step in steps {
            match step {
                Step::Set(account, name, percentage, at) => {
                    let outcome = world.outcome(set(account, name, percentage, at));
                    let key = (account, name);
                    let having = flags.keys().filter(|(of, _)| *of == account).count();
                    if having >= 3 && !flags.contains_key(&key) {
                        prop_assert!(matches!(outcome, FlagOutcome::OverQuota(_)));
                        continue;
                    }
                    let (_, created, updated) = flags.get(&key).copied().unwrap_or((None, at, at));
                    flags.insert(key, (percentage, created, updated.max(at)));
                    let FlagOutcome::Set(set) = outcome else { panic!("{outcome:?}") };
                    prop_assert!(agrees(Some(&set), flags.get(&key)), "{:?}", set);
                    prop_assert_eq!(set.name, flag(name));
                    prop_assert_eq!(set.percentage, percentage.map(percent));
                }
                Step::Delete(account, name) => {
                    let was_there = flags.remove(&(account, name)).is_some();
                    let deleted = world.outcome(delete(account, name)) == FlagOutcome::Deleted;
                    prop_assert_eq!(deleted, was_there);
                }
                Step::Get(account, name) => {
                    let key = (account, name);
                    let dirty = world.waits(get(account, name));
                    prop_assert!(dirty || flags.get(&key) == durable.get(&key), "told too early");
                    let found = world.get(account, name);
                    prop_assert!(agrees(found.as_ref(), flags.get(&key)), "{:?}", found);
                }
                Step::Settle => {
                    world.settle();
                    durable.clone_from(&flags);
                }
                Step::Refuse => {
                    world.refuse();
                    flags.clone_from(&durable);
                }
                Step::Crash => {
                    world.crash();
                    flags.clone_from(&durable);
                }
            }
            for account in 1..3 {
                let expected: Vec<_> =
                    flags.keys().filter(|(of, _)| *of == account).map(|(_, name)| *name).collect();
                prop_assert_eq!(world.names(account), expected);
            }
        }
    }
}
