//! What an event loop shows of itself to whoever watches.
//!
//! A loop counts in plain numbers of its own and shows them once for many commands, so that being
//! watched costs a command nothing. The numbers are for people: nothing is decided by them.

/// Somebody who watches one event loop.
pub trait Watch: Send + Sync {
    /// This is how it stands. Called by whoever is at the loop, before the answers that belong to it
    /// are let go: must not block.
    fn see(&self, seen: Seen);
}

/// How an event loop stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many commands it has handled since it started.
    pub commands: u64,
    /// What its machine has.
    pub census: Census,
}

/// What a machine has, as far as that can be said without looking for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// How many entries there are: locks held, limiters that count something.
    pub entries: u64,
    /// How many have ended since the start because their time was over.
    pub expired: u64,
}

/// Watches nothing.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn see(&self, _: Seen) {}
}
