//! Many scenarios, on several threads, each twice.
#![expect(
    clippy::disallowed_methods,
    reason = "how long a campaign takes is no part of a scenario"
)]

use crate::{
    breaks::Break,
    oracle::{Promise, Violation},
    scenario::{Report, Tally, run},
};
use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What is run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The scenarios.
    pub seeds: Range<u64>,
    /// No new ones are begun after this.
    pub at_most: Option<Duration>,
    /// On how many threads.
    pub threads: usize,
    /// What is broken on purpose.
    pub broken: Option<Break>,
    /// It ends after so many failures.
    pub failures: usize,
}

/// A scenario in which a promise was broken.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which.
    pub seed: u64,
    /// The promise.
    pub violation: Violation,
    /// What had happened by then.
    pub tally: Tally,
}

/// What came of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How often what happened. Of the two runs of a seed one counts.
    pub tally: Tally,
    /// In the order of their seeds.
    pub failures: Vec<Failure>,
    /// How long it took.
    pub took: Duration,
}

/// Runs `campaign`, and tells of each failure as it is found.
pub fn fight(campaign: &Campaign, found: impl Fn(&Failure) + Sync) -> Outcome {
    let begun = Instant::now();
    let next = AtomicU64::new(campaign.seeds.start);
    let outcome = Mutex::new(Outcome::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let late = campaign.at_most.is_some_and(|most| begun.elapsed() >= most);
            if seed >= campaign.seeds.end || late {
                return;
            }
            let Report { tally, violation, .. } = twice(seed, campaign.broken, false);
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            if outcome.failures.len() >= campaign.failures {
                return;
            }
            outcome.tally += tally;
            if let Some(violation) = violation {
                let failure = Failure { seed, violation, tally };
                found(&failure);
                outcome.failures.push(failure);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..campaign.threads {
            scope.spawn(work);
        }
        work();
    });
    let mut outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome.failures.sort_by_key(|failure| failure.seed);
    outcome.took = begun.elapsed();
    outcome
}

/// Runs the scenario of `seed` twice: the two must agree to the step, unless the first has broken
/// a promise anyhow. Returns the first.
pub fn twice(seed: u64, broken: Option<Break>, readable: bool) -> Report {
    let (mut first, second) = (run(seed, broken, readable), run(seed, broken, false));
    if first.violation.is_none() && first.hash != second.hash {
        let what = format!("two runs of it differ: {:x} and {:x}", first.hash, second.hash);
        first.violation = Some(Violation::new(Promise::Determinism, what));
    }
    first
}
