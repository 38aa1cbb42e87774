//! Promises that were broken.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What the server promises, by the names of the invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Between a grant and its end nobody else is granted that lock.
    Exclusion,
    /// Tokens only rise.
    Fencing,
    /// What was acknowledged is there after a restart.
    Durability,
    /// No window admits more than its quota.
    Limits,
    /// Every request gets exactly one answer.
    OneOutcome,
    /// Everything that a caller can grow has a bound and a clear refusal.
    Bounded,
}

/// How many examples of one broken promise are kept.
const EXAMPLES: usize = 5;

/// How often which promise was broken, with examples.
#[derive(Debug, Default)]
pub struct Findings(Mutex<BTreeMap<Promise, Found>>);

#[derive(Debug, Default)]
struct Found {
    times: u64,
    examples: Vec<String>,
}

impl Findings {
    /// `promise` was broken.
    pub fn broken(&self, promise: Promise, how: String) {
        let mut all = self.lock();
        let found = all.entry(promise).or_default();
        found.times += 1;
        if found.examples.len() < EXAMPLES {
            eprintln!("BROKEN {promise:?}: {how}");
            found.examples.push(how);
        }
    }

    /// `promise` was broken unless `held`.
    pub fn check(&self, promise: Promise, held: bool, how: impl FnOnce() -> String) {
        if !held {
            self.broken(promise, how());
        }
    }

    /// How often `promise` was broken.
    pub fn times(&self, promise: Promise) -> u64 {
        self.lock().get(&promise).map_or(0, |found| found.times)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Promise, Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
