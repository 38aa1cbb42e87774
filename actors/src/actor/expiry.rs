//! When what is due may end: not after a stall, nor while those who bring commands stand still, and no
//! faster than the disk takes it.

use super::{LONGEST_SLEEP, Standstill};
use crate::{progress::Seq, sync::Arc, time::Instant};
use std::time::Duration;

/// A turn that comes later than it was due by this was slept through.
pub const STALL: Duration = Duration::from_millis(200);

/// How long nothing expires after a stall.
pub const GRACE: Duration = Duration::from_millis(100);

/// How long expiry waits while what expired last is on its way to the disk.
pub(super) const EXPIRY_PAUSE: Duration = Duration::from_millis(1);

/// When deadlines of one actor may be acted upon.
pub(super) struct Expiry {
    standstill: Arc<Standstill>,
    /// When the actor was last awake: what a deadline was overslept by counts from here.
    pub(super) awake: Instant,
    /// Nothing expires before this.
    pub(super) quiet_until: Instant,
    /// The last change by which something expired.
    ended: Seq,
    /// What came up to here is on disk, or was undone.
    undone: Seq,
}

impl Expiry {
    /// What ran out while nothing ran has no grace: a restart is no stall.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            standstill: Arc::default(),
            awake: now,
            quiet_until: Instant::default(),
            ended: Seq::NONE,
            undone: Seq::NONE,
        }
    }

    /// Nothing ends while `standstill` says so.
    pub(super) fn wait_for(&mut self, standstill: Arc<Standstill>) {
        self.standstill = standstill;
    }

    /// When something with this deadline may end, as far as is known.
    pub(super) fn due(&self, deadline: Instant) -> Instant {
        deadline.max(self.quiet_until)
    }

    /// The actor has taken a turn.
    pub(super) fn was_awake(&mut self, now: Instant) {
        self.awake = now;
    }

    /// Nothing ends before that.
    pub(super) fn pause_until(&mut self, then: Instant) {
        self.quiet_until = self.quiet_until.max(then);
    }

    /// All changes up to `upto` that are not on disk were undone.
    pub(super) fn were_undone(&mut self, upto: Seq) {
        self.undone = upto;
    }

    /// Whether what was due at `deadline`, which is over, may end now.
    pub(super) fn may_end(&mut self, deadline: Instant, now: Instant, durable: Seq) -> bool {
        // Somebody looks by then, whatever the deadline.
        let looks = self.awake + LONGEST_SLEEP;
        let planned = self.due(deadline).min(looks).max(self.awake);
        if now.since(planned) > STALL {
            self.pause_until(now + GRACE);
        }
        self.pause_until(self.standstill.quiet_until(now));
        if now < self.quiet_until {
            return false;
        }
        // If very many end in one instant, each commit has room for others.
        if self.ended > durable.max(self.undone) {
            self.pause_until(now + EXPIRY_PAUSE);
            return false;
        }
        true
    }

    /// The last change by which something has ended.
    pub(super) fn has_ended(&mut self, by: Seq) {
        self.ended = by;
    }
}
