//! What is broken on purpose is noticed, and named by the promise that it breaks; and over the same
//! seeds nothing is said of what is not broken.

use clap::ValueEnum;
use octostore_simulator::{breaks::Break, campaign::twice, oracle::Promise, scenario::run};
use std::collections::BTreeMap;

/// So many scenarios are looked at, from the first.
const SEEDS: u64 = 400;

/// In which scenario each promise was named first, up to the one in which that of `broken` was.
fn noticed(broken: Break) -> BTreeMap<Promise, u64> {
    let mut named = BTreeMap::new();
    for seed in 0..SEEDS {
        if let Some(violation) = run(seed, Some(broken), false).violation {
            named.entry(violation.promise).or_insert(seed);
        }
        if named.contains_key(&broken.promise()) {
            break;
        }
    }
    named
}

#[test]
fn whatever_is_broken_is_noticed_and_named() {
    let named: Vec<_> = Break::value_variants().iter().map(|&b| (b, noticed(b))).collect();
    let missed: Vec<_> =
        named.iter().filter(|(broken, named)| !named.contains_key(&broken.promise())).collect();
    assert!(missed.is_empty(), "not noticed within {SEEDS} scenarios: {missed:#?}");
}

#[test]
fn nothing_is_said_of_what_is_not_broken() {
    for seed in 0..SEEDS {
        let report = twice(seed, None, false);
        assert!(report.violation.is_none(), "seed {seed}: {:?}", report.violation);
    }
}

#[test]
fn a_scenario_has_a_crash_and_a_recovery() {
    let recovered: u64 = (0..100).map(|seed| run(seed, None, false).tally.recovered).sum();
    assert!(recovered >= 95, "{recovered} of 100");
}
