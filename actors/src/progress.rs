//! How far one domain's changes have come on their way to the disk.

use crate::sync::{AtomicU64, Ordering};
use std::fmt;

/// The place of one change in its domain's stream of changes. Zero is before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(u64);

impl Seq {
    /// Before every change: what depends on this depends on nothing.
    pub const NONE: Self = Self(0);

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Counts the commits of a domain that were refused. A turn that was computed before the
/// actor noticed a refusal stands on state that no longer is; its epoch gives it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Epoch(u64);

/// Shared by one domain's actor, which reads it, and the persistence actor, which writes it.
pub struct Progress {
    durable: AtomicU64,
    epoch: AtomicU64,
    /// Wakes the actor. Must not block.
    nudge: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("durable", &self.durable())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}

impl Default for Progress {
    /// Of a domain that nobody needs to wake: its loop is stepped by hand.
    fn default() -> Self {
        Self::new(Box::new(|| {}))
    }
}

impl Progress {
    /// Of a domain that has changed nothing yet, and whose actor `nudge` wakes without blocking.
    pub fn new(nudge: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { durable: AtomicU64::new(0), epoch: AtomicU64::new(0), nudge }
    }

    /// Every change up to and including this one is on disk.
    pub fn durable(&self) -> Seq {
        Seq(self.durable.load(Ordering::Acquire))
    }

    /// The present epoch.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Everything up to `seq` is on disk now. Only the persistence actor calls this.
    pub(crate) fn advance(&self, seq: Seq) {
        debug_assert!(self.durable() <= seq, "durability never goes back");
        self.durable.store(seq.0, Ordering::Release);
    }

    /// What was computed in the present epoch and is not durable never will be: the actor must
    /// undo it, also if nobody asks it anything. Only the persistence actor calls this.
    pub(crate) fn refuse(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        (self.nudge)();
    }
}
