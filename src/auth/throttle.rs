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
    /// Until when what an address did counts against it.
    until: HashMap<Network, Instant>,
    /// The same for all that there was no room for.
    others: Instant,
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
        let failures = self.lock();
        let known = failures.until.get(&address.network()).copied();
        let full = failures.until.len() >= MOST_ADDRESSES;
        let until = known.unwrap_or(if full { failures.others } else { Instant::default() });
        let wait = (until + self.apart).since(now).saturating_sub(WINDOW);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// `address` has failed at `now`.
    pub fn failed(&self, address: &Address, now: Instant) {
        let mut failures = self.lock();
        let network = address.network();
        if failures.until.len() >= MOST_ADDRESSES && !failures.until.contains_key(&network) {
            failures.until.retain(|_, until| *until > now);
        }
        let apart = self.apart;
        let later = |until: Instant| (until.max(now) + apart).min(now + WINDOW);
        if failures.until.len() >= MOST_ADDRESSES && !failures.until.contains_key(&network) {
            failures.others = later(failures.others);
        } else {
            let until = failures.until.entry(network).or_default();
            *until = later(*until);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(throttle.lock().until.len(), MOST_ADDRESSES);
        assert!(throttle.check(&ip("203.0.113.9"), at(0)).is_err(), "the rest is one");
        throttle.failed(&ip("203.0.113.9"), at(61));
        assert_eq!(throttle.lock().until.len(), 1, "what is over is forgotten");
    }
}
