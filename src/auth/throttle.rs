//! Failed attempts to get in, counted by where they come from.

use super::address::{Address, Network};
use octostore_actors::time::Instant;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Counts failures by address: each address may fail so often in a minute. One that has used that
/// up regains it evenly. What counts as one address is said by [`Network`].
#[derive(Debug)]
pub struct Throttle {
    /// How much of an allowance one failure takes: a minute divided by the allowance.
    apart: Duration,
    failures: Mutex<Failures>,
}

/// A minute's worth of failures may come at once.
const WINDOW: Duration = Duration::from_secs(60);

/// How many addresses are told apart. Those that come when so many have just failed are counted
/// together.
const MOST_ADDRESSES: usize = 65_536;

#[derive(Debug, Default)]
struct Failures {
    by_address: HashMap<Network, Record>,
    /// All that there was no room for.
    others: Record,
}

/// What counts against an address.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Until when its failures do.
    until: Instant,
    /// How many of its tries go on, and count as failed for as long.
    open: u32,
}

/// A try that goes on. Whoever has begun it says how it has ended.
#[derive(Debug)]
#[must_use = "it counts as failed until it has ended"]
pub struct Open {
    /// `None` is with all that there was no room for.
    network: Option<Network>,
}

impl Throttle {
    /// Each address may fail `allowance` times a minute; zero is as good as one.
    pub fn new(allowance: u32) -> Self {
        Self { apart: WINDOW / allowance.max(1), failures: Mutex::default() }
    }

    /// Whether `address` may try at `now`.
    ///
    /// # Errors
    /// It has failed too often: how long it should wait.
    pub fn check(&self, address: &Address, now: Instant) -> Result<(), Duration> {
        self.lock().record(address.network()).check(self.apart, now)
    }

    /// `address` has failed at `now`.
    pub fn failed(&self, address: &Address, now: Instant) {
        self.lock().record_to_change(address.network(), now).1.fail(self.apart, now);
    }

    /// `address` begins to try at `now`, which counts as failed until it has ended: of tries at once no
    /// more go on than may fail.
    ///
    /// # Errors
    /// As [`Throttle::check`].
    pub fn begin(&self, address: &Address, now: Instant) -> Result<Open, Duration> {
        let mut failures = self.lock();
        failures.record(address.network()).check(self.apart, now)?;
        let (network, record) = failures.record_to_change(address.network(), now);
        record.open += 1;
        Ok(Open { network })
    }

    /// A try has ended: it has failed at some time, or not, and then counts no more.
    pub fn end(&self, open: &Open, failed_at: Option<Instant>) {
        let mut failures = self.lock();
        let record = match open.network {
            // It is there: what is open is not forgotten.
            Some(network) => failures.by_address.entry(network).or_default(),
            None => &mut failures.others,
        };
        record.open = record.open.saturating_sub(1);
        if let Some(now) = failed_at {
            record.fail(self.apart, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    fn record(&self, network: Network) -> Record {
        let full = self.by_address.len() >= MOST_ADDRESSES;
        let unknown = if full { self.others } else { Record::default() };
        self.by_address.get(&network).copied().unwrap_or(unknown)
    }

    /// The record of `network`, made at `now` if there is room; or else that of all others.
    fn record_to_change(
        &mut self,
        network: Network,
        now: Instant,
    ) -> (Option<Network>, &mut Record) {
        let is_full = |known: &HashMap<Network, Record>| {
            known.len() >= MOST_ADDRESSES && !known.contains_key(&network)
        };
        if is_full(&self.by_address) {
            self.by_address.retain(|_, record| record.until > now || record.open > 0);
        }
        if is_full(&self.by_address) {
            (None, &mut self.others)
        } else {
            (Some(network), self.by_address.entry(network).or_default())
        }
    }
}

impl Record {
    fn check(&self, apart: Duration, now: Instant) -> Result<(), Duration> {
        let counts = self.until.since(now) + apart * self.open;
        let wait = (counts + apart).saturating_sub(WINDOW);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    fn fail(&mut self, apart: Duration, now: Instant) {
        self.until = (self.until.max(now) + apart).min(now + WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos((1000 + seconds) * 1_000_000_000)
    }

    fn ip(text: &str) -> Address {
        Address::Ip(text.parse().unwrap())
    }

    #[test]
    fn an_address_that_fails_too_often_waits() {
        let throttle = Throttle::new(6);
        for _ in 0..6 {
            assert_eq!(throttle.check(&ip("192.0.2.1"), at(0)), Ok(()));
            throttle.failed(&ip("192.0.2.1"), at(0));
        }
        assert_eq!(throttle.check(&ip("192.0.2.1"), at(0)), Err(Duration::from_secs(10)));
        assert_eq!(throttle.check(&ip("192.0.2.2"), at(0)), Ok(()), "others do not");
        assert!(throttle.check(&ip("192.0.2.1"), at(9)).is_err());
        assert_eq!(throttle.check(&ip("192.0.2.1"), at(10)), Ok(()));
        throttle.failed(&ip("192.0.2.1"), at(10));
        assert!(throttle.check(&ip("192.0.2.1"), at(10)).is_err());
    }

    #[test]
    fn however_often_an_address_has_failed_it_regains_all_of_it_within_a_minute() {
        let throttle = Throttle::new(6);
        for _ in 0..100 {
            throttle.failed(&ip("192.0.2.1"), at(0));
        }
        assert_eq!(throttle.check(&ip("192.0.2.1"), at(0)), Err(Duration::from_secs(10)));
        assert_eq!(throttle.check(&ip("192.0.2.1"), at(10)), Ok(()));
    }

    #[test]
    fn a_try_counts_as_failed_for_as_long_as_it_goes_on() {
        let throttle = Throttle::new(3);
        let here = ip("192.0.2.1");
        let mut open: Vec<_> = (0..3).map(|_| throttle.begin(&here, at(0)).unwrap()).collect();
        assert!(throttle.begin(&here, at(0)).is_err() && throttle.check(&here, at(0)).is_err());
        assert!(throttle.begin(&here, at(1000)).is_err(), "however long that is");
        assert_eq!(throttle.check(&ip("192.0.2.2"), at(0)), Ok(()));
        // One that has succeeded is forgotten, and forgives no other.
        throttle.failed(&here, at(1000));
        throttle.end(&open.pop().unwrap(), None);
        assert!(throttle.begin(&here, at(1000)).is_err());
        throttle.end(&open.pop().unwrap(), Some(at(1000)));
        throttle.end(&open.pop().unwrap(), None);
        assert_eq!(throttle.check(&here, at(1000)), Ok(()));
        throttle.failed(&here, at(1000));
        assert_eq!(throttle.check(&here, at(1000)), Err(Duration::from_secs(20)));
    }

    #[test]
    fn a_network_of_one_customer_counts_as_one() {
        let throttle = Throttle::new(1);
        throttle.failed(&ip("2001:db8:1:2::1"), at(0));
        assert!(throttle.check(&ip("2001:db8:1:2:ffff::9"), at(0)).is_err());
        assert_eq!(throttle.check(&ip("2001:db8:1:3::1"), at(0)), Ok(()));
        throttle.failed(&ip("192.0.2.1"), at(0));
        assert!(throttle.check(&ip("::ffff:192.0.2.1"), at(0)).is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::new(1);
        for n in 0..MOST_ADDRESSES as u32 + 10 {
            throttle.failed(&Address::Ip(IpAddr::V4(n.into())), at(0));
        }
        assert_eq!(throttle.lock().by_address.len(), MOST_ADDRESSES);
        assert!(throttle.check(&ip("203.0.113.9"), at(0)).is_err(), "the rest is one");
        let open = throttle.begin(&ip("0.0.0.1"), at(61)).unwrap();
        throttle.failed(&ip("203.0.113.9"), at(61));
        assert_eq!(throttle.lock().by_address.len(), 2, "what is over is forgotten");
        throttle.end(&open, None);
    }

    #[test]
    fn tries_of_whom_there_is_no_room_for_count_together_until_they_have_ended() {
        let throttle = Throttle::new(1);
        for n in 0..MOST_ADDRESSES as u32 {
            throttle.failed(&Address::Ip(IpAddr::V4(n.into())), at(0));
        }
        let open = throttle.begin(&ip("203.0.113.9"), at(0)).unwrap();
        assert!(throttle.check(&ip("203.0.113.10"), at(0)).is_err());
        throttle.end(&open, None);
        assert_eq!(throttle.check(&ip("203.0.113.10"), at(0)), Ok(()));
    }
}
