//! Whether whoever brings the commands stands still.

use super::expiry::{EXPIRY_PAUSE, GRACE, STALL};
use crate::{
    sync::{AtomicU64, Ordering},
    time::{Clock, Instant},
};

/// Those who bring commands to actors, and may stand still: one that commits what it has brought
/// waits for the disk, and reads nothing meanwhile. A renewal that came in time is not in a mailbox then,
/// although its actor is as awake as ever. So nothing expires before they go on and have had a moment to
/// bring what has come; after a standstill as long as a stall, as much as after a stall.
#[derive(Debug)]
pub struct Standstill {
    /// How many stand still.
    standing: AtomicU64,
    /// Nothing expires before this, in nanoseconds of the lease clock.
    quiet_until: AtomicU64,
}

impl Default for Standstill {
    /// Nobody stands still.
    fn default() -> Self {
        Self { standing: AtomicU64::new(0), quiet_until: AtomicU64::new(0) }
    }
}

impl Standstill {
    /// Does `something` on the thread of somebody who brings commands, which stands still for it.
    pub fn during<T>(&self, clock: &dyn Clock, something: impl FnOnce() -> T) -> T {
        self.standing.fetch_add(1, Ordering::SeqCst);
        let begun = clock.now();
        let done = something();
        let ended = clock.now();
        // Also after a short one: what has come waits to be read, and what was read to be brought.
        let grace = if ended.since(begun) > STALL { GRACE } else { EXPIRY_PAUSE };
        self.quiet_until.fetch_max((ended + grace).as_nanos(), Ordering::SeqCst);
        // Last: whoever sees that nobody stands still sees how long to wait.
        self.standing.fetch_sub(1, Ordering::SeqCst);
        done
    }

    /// Nothing expires before this.
    pub(super) fn quiet_until(&self, now: Instant) -> Instant {
        if self.standing.load(Ordering::SeqCst) > 0 {
            return now + EXPIRY_PAUSE;
        }
        Instant::from_nanos(self.quiet_until.load(Ordering::SeqCst))
    }
}
