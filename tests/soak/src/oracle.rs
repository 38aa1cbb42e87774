//! What must hold between answers that different clients heard. Every instant is one of the
//! client's: when it began to send, and when it had the answer; what the server decided lies
//! between the two.

use crate::findings::{Findings, Promise};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// When a request was sent, and when its answer was there.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Before its first byte was sent.
    pub sent: Instant,
    /// After the last byte of the answer was read.
    pub received: Instant,
}

/// Everything that clients tell each other.
#[derive(Debug)]
pub struct Oracle {
    /// What is broken goes here.
    pub findings: Arc<Findings>,
    locks: Mutex<Locks>,
    limits: Mutex<HashMap<String, Window>>,
    flags: Mutex<HashMap<String, bool>>,
    config: Mutex<Config>,
}

#[derive(Debug, Default)]
struct Locks {
    /// Who holds what, until when at least.
    holders: HashMap<String, (String, Instant)>,
    /// The highest token that anybody has seen.
    highest: u64,
    grants: u64,
}

#[derive(Debug)]
struct Window {
    max: usize,
    length: Duration,
    admitted: VecDeque<Span>,
    checks: u64,
}

#[derive(Debug, Default)]
struct Config {
    /// The versions that somebody was told to have written.
    written: HashSet<u64>,
}

impl Oracle {
    /// Nothing was heard yet.
    pub fn new(findings: Arc<Findings>) -> Self {
        Self {
            findings,
            locks: Mutex::default(),
            limits: Mutex::default(),
            flags: Mutex::default(),
            config: Mutex::default(),
        }
    }

    /// The highest token that anybody has been granted: whatever is asked from now on must be
    /// granted with a higher one.
    pub fn highest_token(&self) -> u64 {
        lock(&self.locks).highest
    }

    /// `holder` was granted `name` for `ttl`, with a token that must be above `floor`.
    pub fn granted(
        &self,
        name: &str,
        holder: &str,
        token: u64,
        floor: u64,
        (span, ttl): (Span, Duration),
    ) {
        let mut locks = lock(&self.locks);
        locks.grants += 1;
        self.findings.check(Promise::Fencing, token > floor, || {
            format!("{name} was granted with token {token}, after {floor} was")
        });
        locks.highest = locks.highest.max(token);
        let until = span.sent + ttl;
        let before = locks.holders.insert(name.to_owned(), (holder.to_owned(), until));
        if let Some((other, until)) = before {
            self.findings.check(Promise::Exclusion, span.received >= until, || {
                format!("{name} was granted to {holder} while {other} held it")
            });
        }
    }

    /// The holder of `name` begins to give it up.
    pub fn leaves(&self, name: &str) {
        lock(&self.locks).holders.remove(name);
    }

    /// How many grants there were.
    pub fn grants(&self) -> u64 {
        lock(&self.locks).grants
    }

    /// A limiter was asked for one of `max` requests in `length`.
    pub fn checked(&self, name: &str, allowed: bool, span: Span, (max, length): (usize, Duration)) {
        let mut limits = lock(&self.limits);
        let window = limits.entry(name.to_owned()).or_insert_with(|| Window {
            max,
            length,
            admitted: VecDeque::new(),
            checks: 0,
        });
        window.checks += 1;
        if !allowed {
            return;
        }
        window.admitted.push_back(span);
        if window.admitted.len() <= window.max {
            return;
        }
        // One more than may be admitted in any interval as long as the window.
        let first = window.admitted.iter().map(|span| span.sent).min();
        let last = window.admitted.iter().map(|span| span.received).max();
        window.admitted.pop_front();
        if let (Some(first), Some(last)) = (first, last) {
            let apart = last - first;
            self.findings.check(Promise::Limits, apart >= window.length, || {
                format!("{name} admitted {} within {apart:?}", window.max + 1)
            });
        }
    }

    /// How many checks there were.
    pub fn checks(&self) -> u64 {
        lock(&self.limits).values().map(|window| window.checks).sum()
    }

    /// Whether a flag is on for a key. The answer never changes, while the flag does not.
    pub fn evaluated(&self, flag: &str, key: &str, enabled: bool) {
        let first = *lock(&self.flags).entry(format!("{flag} {key}")).or_insert(enabled);
        self.findings.check(Promise::OneOutcome, first == enabled, || {
            format!("{flag} was {first} for {key}, and is {enabled}")
        });
    }

    /// Somebody was told to have written this version over the one before it.
    pub fn wrote(&self, version: u64) {
        let first = lock(&self.config).written.insert(version);
        self.findings.check(Promise::OneOutcome, first, || {
            format!("version {version} of the counter was written twice: an update is lost")
        });
    }

    /// How many updates were acknowledged.
    pub fn writes(&self) -> u64 {
        lock(&self.config).written.len() as u64
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn oracle() -> Oracle {
        Oracle::new(Arc::default())
    }

    fn span(from: Instant, sent: u64, received: u64) -> Span {
        let at = |millis| from + Duration::from_millis(millis);
        Span { sent: at(sent), received: at(received) }
    }

    #[test]
    fn two_holders_are_noticed_and_one_after_the_other_is_fine() {
        let (oracle, t) = (oracle(), Instant::now());
        oracle.granted("a", "alice", 1, 0, (span(t, 0, 1), MINUTE));
        oracle.leaves("a");
        oracle.granted("a", "bob", 2, 1, (span(t, 2, 3), MINUTE));
        assert_eq!(oracle.findings.times(Promise::Exclusion), 0);
        oracle.granted("a", "alice", 3, 2, (span(t, 60_003, 60_004), MINUTE));
        assert_eq!(oracle.findings.times(Promise::Exclusion), 0, "it had expired");
        oracle.granted("a", "bob", 4, 3, (span(t, 60_005, 60_006), MINUTE));
        assert_eq!(oracle.findings.times(Promise::Exclusion), 1);
    }

    #[test]
    fn a_token_that_does_not_rise_is_noticed() {
        let (oracle, t) = (oracle(), Instant::now());
        oracle.granted("a", "alice", 7, 0, (span(t, 0, 1), MINUTE));
        assert_eq!(oracle.highest_token(), 7);
        oracle.granted("b", "alice", 7, 7, (span(t, 2, 3), MINUTE));
        assert_eq!(oracle.findings.times(Promise::Fencing), 1);
    }

    #[test]
    fn one_admitted_too_many_is_noticed_and_not_one_in_the_next_window() {
        let (oracle, t) = (oracle(), Instant::now());
        let policy = (2, Duration::from_secs(1));
        oracle.checked("a", true, span(t, 0, 10), policy);
        oracle.checked("a", true, span(t, 500, 510), policy);
        oracle.checked("a", false, span(t, 600, 610), policy);
        oracle.checked("a", true, span(t, 995, 1000), policy);
        assert_eq!(oracle.findings.times(Promise::Limits), 0, "it may have been a second apart");
        oracle.checked("a", true, span(t, 1001, 1400), policy);
        assert_eq!(oracle.findings.times(Promise::Limits), 1);
    }

    #[test]
    fn lost_updates_and_flags_that_waver_are_noticed() {
        let oracle = oracle();
        oracle.wrote(2);
        oracle.evaluated("f", "k", true);
        oracle.evaluated("f", "k", true);
        assert_eq!(oracle.findings.times(Promise::OneOutcome), 0);
        oracle.wrote(2);
        oracle.evaluated("f", "k", false);
        assert_eq!(oracle.findings.times(Promise::OneOutcome), 2);
    }
}
