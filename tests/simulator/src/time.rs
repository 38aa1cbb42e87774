//! Time in a scenario: the true time, which nobody in it can read, and the two clocks that the
//! server reads, which a reboot begins anew or a hand sets.

use octostore::clock::{BootId, TimeSource};
use octostore_actors::time::{Clock, Instant};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A point of the true time, in nanoseconds. It runs on through reboots and never jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Truth(pub u64);

impl Truth {
    /// So much later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// So much earlier.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

/// What the server reads: the lease clock and the wall clock.
#[derive(Debug, Default)]
pub struct Clocks {
    lease: AtomicU64,
    wall: AtomicU64,
}

impl Clock for Clocks {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.lease.load(Ordering::Relaxed))
    }
}

impl TimeSource for Clocks {
    fn wall_nanos(&self) -> i64 {
        i64::try_from(self.wall.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }
}

/// How the times stand to each other.
#[derive(Debug)]
pub struct Time {
    now: Truth,
    /// When the lease clock stood at zero.
    booted: Truth,
    boots: u32,
    wall: u64,
    clocks: Arc<Clocks>,
    /// A server whose lease clock is the wall clock: the wall clock at boot.
    wall_leases: Option<u64>,
}

/// The true time at which every scenario begins. Boots lie before it.
const BEGINNING: Truth = Truth(1_000_000_000_000_000);

/// The wall clock then: some day in 2026.
const WALL: u64 = 1_790_000_000_000_000_000;

impl Time {
    /// The time at the beginning of a scenario, so long after the first boot. With `wall_leases`
    /// the lease clock is a wall clock that was set at the boot.
    pub fn new(uptime: Duration, wall_leases: bool) -> Self {
        let time = Self {
            now: BEGINNING,
            booted: BEGINNING.minus(uptime),
            boots: 1,
            wall: WALL,
            clocks: Arc::default(),
            wall_leases: wall_leases.then(|| WALL - nanos(uptime)),
        };
        time.show();
        time
    }

    /// The clocks that the server reads.
    pub fn clocks(&self) -> Arc<Clocks> {
        Arc::clone(&self.clocks)
    }

    /// The true time.
    pub fn now(&self) -> Truth {
        self.now
    }

    /// The true time when the lease clock of the present boot stands at `instant`.
    pub fn truth_of(&self, instant: Instant) -> Truth {
        Truth(self.booted.0.saturating_add(instant.as_nanos()))
    }

    /// What the lease clock should say.
    pub fn lease(&self) -> Instant {
        Instant::from_nanos(self.now.0 - self.booted.0)
    }

    /// Which boot this is.
    pub fn boot(&self) -> BootId {
        BootId::named(&format!("boot {}", self.boots))
    }

    /// Which boot this is, counted.
    pub fn boots(&self) -> u32 {
        self.boots
    }

    /// Time passes.
    pub fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
        self.wall = self.wall.saturating_add(nanos(span));
        self.show();
    }

    /// The wall clock is set to another time, that much later or earlier.
    pub fn set_wall(&mut self, span: Duration, back: bool) {
        let span = nanos(span);
        self.wall =
            if back { self.wall.saturating_sub(span) } else { self.wall.saturating_add(span) };
        self.show();
    }

    /// The machine was off for so long, and has been up again for so long.
    pub fn reboot(&mut self, off: Duration, up: Duration) {
        self.pass(off);
        self.booted = self.now;
        self.boots += 1;
        if let Some(at_boot) = &mut self.wall_leases {
            *at_boot = self.wall;
        }
        self.pass(up);
    }

    fn show(&self) {
        let lease = match self.wall_leases {
            Some(at_boot) => self.wall.saturating_sub(at_boot),
            None => self.now.0 - self.booted.0,
        };
        self.clocks.lease.store(lease, Ordering::Relaxed);
        self.clocks.wall.store(self.wall, Ordering::Relaxed);
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_reboot_begins_the_lease_clock_anew_and_the_true_time_runs_on() {
        let mut time = Time::new(SECOND * 100, false);
        let (boot, before) = (time.boot(), time.now());
        time.pass(SECOND);
        assert_eq!(time.clocks().now(), Instant::from_nanos(101_000_000_000));
        assert_eq!(time.truth_of(time.lease()), time.now());
        time.reboot(SECOND * 60, SECOND * 2);
        assert_ne!(time.boot(), boot);
        assert_eq!(time.clocks().now(), Instant::from_nanos(2_000_000_000));
        assert_eq!(time.now(), before.plus(SECOND * 63));
        assert_eq!(time.truth_of(time.lease()), time.now());
    }

    #[test]
    fn a_set_wall_clock_moves_nothing_else() {
        let mut time = Time::new(SECOND, false);
        let (lease, wall) = (time.clocks().now(), time.clocks().wall_nanos());
        time.set_wall(SECOND * 3600, true);
        assert_eq!(time.clocks().now(), lease);
        assert_eq!(time.clocks().wall_nanos(), wall - 3_600_000_000_000);
    }
}
