//! Instants of the lease clock, and the clock as something that is handed in.

use std::{fmt, ops::Add, time::Duration};

/// A point on the lease clock: nanoseconds since this machine booted, suspend included
/// (`CLOCK_BOOTTIME`). It says nothing about the wall clock and never jumps with it.
///
/// Good for 584 years of uptime; arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The instant `nanos` nanoseconds after boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The instant `span` before this one, or boot.
    #[must_use]
    pub const fn minus(self, span: Duration) -> Self {
        let nanos = span.as_nanos();
        Self(if nanos < self.0 as u128 { self.0 - nanos as u64 } else { 0 })
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot+{:?}", Duration::from_nanos(self.0))
    }
}

/// Tells the time leases run on. A turn has things expire by its first reading, and decides by a later one if
/// anything was queued.
pub trait Clock: Send + Sync {
    /// The present instant; never before one returned earlier in the same boot.
    fn now(&self) -> Instant;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Instant::from_nanos(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Instant::from_nanos(0) + Duration::MAX, end);
        let (early, late) = (Instant::from_nanos(3), Instant::from_nanos(5));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late.since(early), Duration::from_nanos(2));
        assert_eq!(late.minus(Duration::from_nanos(2)), early);
        assert_eq!(late.minus(Duration::from_nanos(5)), Instant::default());
        assert_eq!(late.minus(Duration::MAX), Instant::default());
    }
}
