//! What one client, or all of them, asked and were told.

use crate::{
    client::Account,
    history::{
        Event, Moment, Partitions, Verdict, check,
        config::{self, Config},
        flag::{self, Flag},
        limit,
        lock::{self, Holder, Lock},
        token::Tokens,
    },
};
use std::collections::HashSet;

/// The moment of an answer that has not come. It comes to be the death of the server.
pub const NEVER: Moment = Moment { place: i64::MAX, millis: i64::MAX };

/// Everything that was asked and told.
#[derive(Debug, Default)]
pub struct Log {
    /// Of each lock.
    pub locks: Partitions<String, lock::Operation>,
    /// Of each account's config keys.
    pub configs: Partitions<(Account, String), config::Operation>,
    /// Of each account's flags.
    pub flags: Partitions<(Account, String), flag::Operation>,
    /// Of each account's limiters, with its quota.
    pub limits: Partitions<(Account, String, u64), limit::Told>,
    /// Leases that somebody was told of, by the present server.
    pub sightings: Vec<Sighting>,
    /// How much was asked and how it was answered.
    pub counts: Counts,
    /// Answers that cannot be, whatever happened before.
    pub broken: Vec<String>,
}

/// Somebody was told of a lease.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// When the answer had come.
    pub at: Moment,
    /// When it was asked for, if it was by an acquire.
    pub acquired: Option<Moment>,
    /// Of which lock.
    pub name: String,
    /// Who asked.
    pub holder: Holder,
    /// The lease.
    pub lease: u128,
    /// Its fencing token.
    pub token: u64,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that may have been executed.
    pub unknown: u64,
    /// Requests that were not executed because the disk was full.
    pub full: u64,
    /// Releases.
    pub released: u64,
}

impl Counts {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.unknown += other.unknown;
        self.full += other.full;
        self.released += other.released;
    }
}

impl Log {
    /// Adds what another client has seen of the same server.
    pub fn add(&mut self, other: Self) {
        merge(&mut self.locks, other.locks);
        merge(&mut self.configs, other.configs);
        merge(&mut self.flags, other.flags);
        merge(&mut self.limits, other.limits);
        self.sightings.extend(other.sightings);
        self.counts.add(other.counts);
        self.broken.extend(other.broken);
    }

    /// The server is gone, and with it everything that might still have happened. What it granted is
    /// judged by `tokens`.
    pub fn close(&mut self, death: Moment, tokens: &mut Tokens) {
        let mut sightings = std::mem::take(&mut self.sightings);
        sightings.sort_by_key(|sighting| sighting.at);
        let mut acquired = HashSet::new();
        for Sighting { at, acquired: from, name, holder, lease, token } in sightings {
            let known = tokens.knows(token) || !from.is_some_and(|_| acquired.insert(lease));
            if let Some(from) = from
                && !known
                && !self.may_be_granted_before(&name, holder, at)
            {
                tokens.granted(from, token);
            }
            if let Err(broken) = tokens.told(at, token, lease) {
                self.broken.push(broken);
            }
        }
        if let Err(broken) = tokens.settle() {
            self.broken.push(broken);
        }
        close(&mut self.locks, death);
        close(&mut self.configs, death);
        close(&mut self.flags, death);
        close(&mut self.limits, death);
    }

    /// Whether a request of `holder` that nobody was told of may have granted what it was told `at`.
    fn may_be_granted_before(&self, name: &str, holder: Holder, at: Moment) -> bool {
        self.locks.get(name).into_iter().flatten().any(|event| {
            let asks = matches!(event.what.ask, lock::Ask::Acquire(by, _) if by == holder);
            asks && event.to == NEVER && event.from < at
        })
    }

    /// A server has started in that time, in another boot or not.
    pub fn start(&mut self, from: Moment, rebooted: bool) {
        let what =
            lock::Operation { ask: lock::Ask::Start { rebooted }, told: lock::Told::Nothing };
        for events in self.locks.values_mut() {
            events.push(Event { client: 0, from, to: Moment::now(), what });
        }
    }

    /// Looks for an explanation of everything, over so many crashes.
    pub fn check(&self, crashes: u64) -> Verdict {
        let mut verdict = check::<_, Lock>("lock", &self.locks);
        verdict.add(check::<_, Config>("config key", &self.configs));
        verdict.add(check::<_, Flag>("flag", &self.flags));
        for (name, checks) in &self.limits {
            verdict.operations += checks.len() as u64;
            match limit::broken(checks, limit::Quota::new(name.2), crashes) {
                Some(broken) => verdict.broken.push(format!("the limiter {name:?}: {broken}")),
                None => verdict.explained += 1,
            }
        }
        verdict.broken.extend(self.broken.iter().cloned());
        verdict
    }
}

fn merge<K: Ord, O>(all: &mut Partitions<K, O>, new: Partitions<K, O>) {
    for (key, events) in new {
        all.entry(key).or_default().extend(events);
    }
}

fn close<K, O>(all: &mut Partitions<K, O>, death: Moment) {
    for event in all.values_mut().flatten() {
        if event.to == NEVER {
            event.to = death;
        }
    }
}
