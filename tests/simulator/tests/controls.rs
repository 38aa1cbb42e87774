//! What is broken on purpose is noticed, and named by the promise that it breaks; and over the same
//! seeds nothing is said of what is not broken.

use clap::ValueEnum;
use octostore_simulator::{
    breaks::Break,
    campaign::{Campaign, fight},
    scenario::run,
};
use std::{
    collections::BTreeMap,
    sync::Mutex,
    thread::{self, available_parallelism},
};

/// So many scenarios are looked at, from the first.
const SEEDS: u64 = 400;

/// In which scenario each promise was named first, up to the one in which that of `broken` was.
fn noticed(broken: Break) -> BTreeMap<&'static str, u64> {
    let mut named = BTreeMap::new();
    for seed in 0..SEEDS {
        if let Some(violation) = run(seed, Some(broken), false).violation {
            named.entry(violation.promise.invariant()).or_insert(seed);
        }
        if named.contains_key(broken.promise().invariant()) {
            break;
        }
    }
    named
}

#[test]
fn whatever_is_broken_is_noticed_and_named() {
    let left = Mutex::new(Break::value_variants().iter());
    let missed = Mutex::new(Vec::new());
    let threads = available_parallelism().map_or(1, usize::from);
    let next = || left.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&broken) = next() {
                    let named = noticed(broken);
                    if !named.contains_key(broken.promise().invariant()) {
                        missed.lock().unwrap().push((broken, named));
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not named within {SEEDS} scenarios: {missed:#?}");
}

#[test]
fn nothing_is_said_of_what_is_not_broken() {
    let threads = available_parallelism().map_or(1, usize::from);
    let campaign = Campaign { seeds: 0..SEEDS, at_most: None, threads, broken: None, failures: 1 };
    let outcome = fight(&campaign, |_| {});
    assert!(outcome.failures.is_empty(), "{:#?}", outcome.failures);
    assert_eq!(outcome.tally.scenarios, SEEDS);
    assert!(outcome.has_tried(), "scenarios have a crash and a recovery: {outcome}");
}

#[test]
fn a_broken_scenario_is_the_same_scenario_every_time() {
    let hash = |seed| run(seed, Some(Break::MarkForgotten), false).hash;
    (0..20).for_each(|seed| assert_eq!(hash(seed), hash(seed), "seed {seed}"));
}
