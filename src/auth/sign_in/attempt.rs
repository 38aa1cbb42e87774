//! What a browser keeps while somebody signs in, and that it comes back once.
//!
//! The server remembers nothing of a sign-in that has begun: what it must know again is sealed
//! into a cookie. It remembers those that have come back, for as long as they could again.

use super::{ProviderId, Secrets};
use crate::auth::{
    address::{Address, Network, PerNetwork},
    device::DeviceId,
    seal::Seal,
};
use octostore_actors::time::Instant;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What a seal over an attempt is for.
const SEALED_FOR: &str = "sign-in attempt";

/// A sign-in that somebody has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Where they went.
    pub provider: ProviderId,
    /// What for.
    pub purpose: Purpose,
    /// What binds its end to its beginning.
    pub secrets: Secrets,
    /// When, in nanoseconds of the lease clock: the seal does not live longer than that either.
    begun: u64,
}

/// What somebody signs in for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// To be given a token.
    Token,
    /// To use the dashboard.
    Dashboard,
    /// To decide whether this terminal may act as whoever signs in.
    Device(DeviceId),
}

impl Attempt {
    /// One that begins now.
    pub fn new(provider: ProviderId, purpose: Purpose, secrets: Secrets, now: Instant) -> Self {
        Self { provider, purpose, secrets, begun: now.as_nanos() }
    }
}

/// Seals attempts, and takes each back once.
#[derive(Debug, Default)]
pub struct Attempts {
    seal: Seal,
    used: Mutex<Used>,
}

/// Why an attempt is not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is not the browser that began, it is too late, or it came back before.
    #[error("the state is not that of a sign-in that this browser has begun and not ended")]
    InvalidState,
    /// More have come back lately than can be remembered, from everywhere or from one site.
    #[error("too many sign-ins have ended lately")]
    TooMany,
}

/// The states that have come back, by their hashes.
#[derive(Debug, Default)]
struct Used {
    states: HashSet<[u8; 32]>,
    /// Each with when it came back, in that order, and from which site.
    order: VecDeque<(Instant, [u8; 32], Network)>,
    /// How many of them came from each site.
    of_site: PerNetwork,
}

impl Attempts {
    /// How long somebody may take to sign in.
    pub const LIFE: Duration = Duration::from_secs(600);

    /// How many may come back within that time.
    pub const MOST: usize = 65_536;

    /// How many of them from one site, so that none takes the room of everybody. Those that fail are far
    /// fewer: they are throttled.
    pub const MOST_OF_SITE: usize = 8_192;

    /// `attempt` as text for the browser to keep: base64url.
    pub fn seal(&self, attempt: &Attempt) -> String {
        #[expect(clippy::expect_used, reason = "texts and a number can be written as JSON")]
        let plain = serde_json::to_vec(attempt).expect("an attempt can be written");
        self.seal.seal(SEALED_FOR, &plain)
    }

    /// The attempt that `kept` is of, if the browser comes back from `provider`, in time, with
    /// the `state` that went with it, and for the first time. After this call it has come back, `from`
    /// there.
    ///
    /// # Errors
    /// See [`NotTaken`].
    pub fn take_back(
        &self,
        provider: &ProviderId,
        kept: &str,
        state: &str,
        from: &Address,
        now: Instant,
    ) -> Result<Attempt, NotTaken> {
        let plain = self.seal.open(SEALED_FOR, kept).ok_or(NotTaken::InvalidState)?;
        let attempt: Attempt =
            serde_json::from_slice(&plain).map_err(|_| NotTaken::InvalidState)?;
        // Hashes are compared, so that how long it takes says nothing about the state.
        let hash: [u8; 32] = Sha256::digest(state).into();
        let same = Sha256::digest(&attempt.secrets.state)[..] == hash;
        let in_time = now.since(Instant::from_nanos(attempt.begun)) < Self::LIFE;
        if !(same && in_time && attempt.provider == *provider) {
            return Err(NotTaken::InvalidState);
        }
        self.used.lock().unwrap_or_else(PoisonError::into_inner).mark(hash, from.site(), now)?;
        Ok(attempt)
    }
}

impl Used {
    fn mark(&mut self, state: [u8; 32], site: Network, now: Instant) -> Result<(), NotTaken> {
        while let Some((_, old, from)) =
            self.order.pop_front_if(|(at, ..)| now.since(*at) >= Attempts::LIFE)
        {
            self.states.remove(&old);
            self.of_site.one_less(from);
        }
        if self.states.contains(&state) {
            return Err(NotTaken::InvalidState);
        }
        if self.states.len() >= Attempts::MOST || self.of_site.of(site) >= Attempts::MOST_OF_SITE {
            return Err(NotTaken::TooMany);
        }
        self.states.insert(state);
        self.order.push_back((now, state, site));
        self.of_site.one_more(site);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_nanos(1_000_000_000_000_000);

    fn attempt() -> Attempt {
        Attempt::new(ProviderId::GitHub, Purpose::Token, Secrets::generate(), NOW)
    }

    #[test]
    fn an_attempt_comes_back_once_in_time_and_with_its_state() {
        let attempts = Attempts::default();
        let attempt = attempt();
        let kept = attempts.seal(&attempt);
        assert!(!kept.contains(&attempt.secrets.state));
        let state = &attempt.secrets.state;
        let take = |provider: &ProviderId, kept: &str, state: &str, now| {
            attempts.take_back(provider, kept, state, &Address::Local, now)
        };
        let invalid = Err(NotTaken::InvalidState);
        let gitlab = ProviderId::OpenId("gitlab".to_owned());
        assert_eq!(take(&gitlab, &kept, state, NOW), invalid);
        assert_eq!(take(&ProviderId::GitHub, &kept, "", NOW), invalid);
        assert_eq!(take(&ProviderId::GitHub, &kept, &state[1..], NOW), invalid);
        assert_eq!(take(&ProviderId::GitHub, "", state, NOW), invalid);
        assert_eq!(take(&ProviderId::GitHub, &kept, state, NOW + Attempts::LIFE), invalid);
        let late = (NOW + Attempts::LIFE).minus(Duration::from_nanos(1));
        assert_eq!(take(&ProviderId::GitHub, &kept, state, late), Ok(attempt.clone()));
        assert_eq!(take(&ProviderId::GitHub, &kept, state, late), invalid, "used");
        let foreign = Attempts::default();
        let taken = foreign.take_back(&ProviderId::GitHub, &kept, state, &Address::Local, NOW);
        assert_eq!(taken, invalid);
    }

    fn hash(number: usize) -> [u8; 32] {
        Sha256::digest(number.to_le_bytes()).into()
    }

    fn site(number: usize) -> Network {
        Address::Ip([192, 0, 2, number as u8].into()).site()
    }

    #[test]
    fn what_has_come_back_is_remembered_as_long_as_it_could_again() {
        let mut used = Used::default();
        for number in 0..Attempts::MOST {
            used.mark(hash(number), site(number % 250), NOW).unwrap();
        }
        assert_eq!(used.mark(hash(0), site(0), NOW), Err(NotTaken::InvalidState));
        assert_eq!(used.mark(hash(Attempts::MOST), site(251), NOW), Err(NotTaken::TooMany));
        used.mark(hash(Attempts::MOST), site(251), NOW + Attempts::LIFE).unwrap();
        assert_eq!((used.states.len(), used.order.len()), (1, 1));
        assert_eq!(used.of_site.counts(), [1]);
    }

    #[test]
    fn no_site_takes_the_room_of_everybody() {
        let mut used = Used::default();
        for number in 0..Attempts::MOST_OF_SITE {
            used.mark(hash(number), site(1), NOW).unwrap();
        }
        let next = hash(Attempts::MOST_OF_SITE);
        assert_eq!(used.mark(next, site(1), NOW), Err(NotTaken::TooMany));
        used.mark(next, site(2), NOW).unwrap();
        used.mark(hash(0), site(1), NOW + Attempts::LIFE).unwrap();
    }
}
