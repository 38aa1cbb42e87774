//! What a rate limit says: how many requests in how long.

use std::time::Duration;

/// How many requests a window may hold: 1 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxRequests(u16);

/// How long a window is: 1 to 86,400 whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window(u32);

/// How many requests a check admits at once: from 1 to what the window may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(u16);

/// What a check asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// How many requests a window may hold.
    pub max_requests: MaxRequests,
    /// How long a window is.
    pub window: Window,
}

/// Not a possible policy or cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// Out of bounds.
    #[error("max_requests must be a whole number between 1 and 10000")]
    MaxRequests,
    /// Out of bounds.
    #[error("window_seconds must be a whole number between 1 and 86400")]
    Window,
    /// Out of bounds.
    #[error("cost must be a whole number between 1 and max_requests")]
    Cost,
}

impl MaxRequests {
    /// Checks the bounds.
    pub fn new(requests: u64) -> Result<Self, InvalidPolicy> {
        let bounded = u16::try_from(requests).ok().filter(|n| (1..=10_000).contains(n));
        bounded.map(Self).ok_or(InvalidPolicy::MaxRequests)
    }

    /// As a number.
    pub fn get(self) -> u32 {
        self.0.into()
    }
}

impl Window {
    /// Checks the bounds.
    pub fn from_seconds(seconds: u64) -> Result<Self, InvalidPolicy> {
        let bounded = u32::try_from(seconds).ok().filter(|n| (1..=86_400).contains(n));
        bounded.map(Self).ok_or(InvalidPolicy::Window)
    }

    /// Whole seconds.
    pub const fn as_seconds(self) -> u32 {
        self.0
    }

    /// As a span of time.
    pub fn as_duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl Policy {
    /// Checks `cost` against the policy.
    pub fn cost(self, cost: u64) -> Result<Cost, InvalidPolicy> {
        let bounded = u16::try_from(cost).ok().filter(|n| (1..=self.max_requests.0).contains(n));
        bounded.map(Cost).ok_or(InvalidPolicy::Cost)
    }

    /// How many requests are reserved on disk ahead of those that are made: an eighth of the
    /// quota, at least 8 and at most 1,000. A crash costs at most this many, for one window.
    pub fn ahead(self) -> u32 {
        (self.max_requests.get() / 8).clamp(8, 1000).min(self.max_requests.get())
    }
}

impl Cost {
    /// As a number.
    pub fn get(self) -> u32 {
        self.0.into()
    }
}
