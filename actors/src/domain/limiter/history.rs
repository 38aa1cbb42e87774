//! What a limiter remembers of the requests it admitted.
//!
//! Exact sliding windows would keep every timestamp. Here a few hundred are kept as they are. If there
//! are more, requests that come close together are kept as one, at the time of the last of them: they
//! leave the window together, late by at most a thousandth of it and never early. So memory is bounded
//! by the resolution, 1,500 entries of 8 bytes, whatever the quota; and rounding can only refuse.

use super::policy::Window;
use crate::time::Instant;
use std::{collections::VecDeque, time::Duration};

/// The unit in which times are kept: about a quarter of a millisecond.
pub const TICK: Duration = Duration::from_nanos(TICK_NANOS);

const TICK_NANOS: u64 = 1 << 18;

/// So many are kept as they are, to the tick.
const EXACT_ENTRIES: usize = 256;

/// More entries than any one window needs. Only a caller that mixes short and long windows gets
/// there; old entries are then joined, which can only refuse.
const MOST_ENTRIES: usize = 4096;

/// What is joined then lies no further apart than this part of its age: for every window that it can
/// still be in, that is no larger a part of the window. Some 2,000 entries are left of a day.
const PART_OF_AGE: u32 = 64;

/// Admitted requests, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    origin: Instant,
    entries: VecDeque<Entry>,
    /// When the first request of the last entry came; `None` if the entry takes no more.
    last_began: Option<u32>,
    /// The sum of all counts.
    total: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Ticks since the origin, rounded up: when the last request of the entry came.
    at: u32,
    count: u32,
}

/// Some requests, all counted as if they came at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// When the last of them came, rounded up.
    pub at: Instant,
    /// How many.
    pub count: u32,
}

impl History {
    /// A history of these, which are in the order of their times.
    pub fn of(admitted: impl IntoIterator<Item = Admitted>) -> Self {
        let mut history = Self::default();
        for Admitted { at, count } in admitted {
            let tick = history.tick(at);
            history.append(tick, count);
        }
        // Nobody knows any more when its first request came, and rounding must not add up.
        history.last_began = None;
        history
    }

    /// What it remembers, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Admitted> + ExactSizeIterator + '_ {
        self.entries.iter().map(|&entry| self.admitted(entry))
    }

    /// Remembers `count` requests admitted `now`. `window` is the shortest that anybody has asked about of
    /// late.
    pub fn admit(&mut self, now: Instant, count: u32, window: Window) {
        let tick = self.tick(now);
        let within = if self.entries.len() < EXACT_ENTRIES { 0 } else { resolution(window) };
        let began = self.last_began;
        match self.entries.back_mut() {
            Some(last) if began.is_some_and(|began| tick.saturating_sub(began) <= within) => {
                last.at = last.at.max(tick);
                last.count = last.count.saturating_add(count);
                self.total += u64::from(count);
            }
            Some(_) | None => self.append(tick, count),
        }
        if self.entries.len() > MOST_ENTRIES {
            self.join_old(tick);
        }
    }

    /// Forgets what came longer than `horizon` ago, and says when the last of that came, rounded up.
    pub fn forget(&mut self, now: Instant, horizon: Duration) -> Option<Instant> {
        let mut forgotten = None;
        while let Some(&first) = self.entries.front() {
            let at = self.admitted(first).at;
            if at + horizon > now {
                break;
            }
            forgotten = Some(at);
            self.total -= u64::from(first.count);
            self.entries.pop_front();
        }
        forgotten
    }

    /// Takes back `count` requests that were admitted at `at`, and are not forgotten yet.
    ///
    /// They are in the first entry that is no older than they are, or in one after it at the very same tick. It
    /// keeps its time: that may be later than that of what is left of it, which can only refuse.
    pub fn withdraw(&mut self, at: Instant, count: u32) {
        let is_older = |entry: &Entry| self.admitted(*entry).at < at;
        let first = self.entries.partition_point(is_older);
        let mut left = count;
        for entry in self.entries.range_mut(first..) {
            let taken = entry.count.min(left);
            entry.count -= taken;
            left -= taken;
            if left == 0 {
                break;
            }
        }
        debug_assert_eq!(left, 0, "what was admitted is there until it is forgotten");
        self.total -= u64::from(count - left);
        self.entries.retain(|entry| entry.count > 0);
        // The last entry may be another now.
        self.last_began = None;
    }

    /// How many requests lie in the window that ends `now`.
    pub fn count(&self, now: Instant, window: Duration) -> u64 {
        let oldest_counts = self.iter().next().is_none_or(|first| first.at + window > now);
        if oldest_counts {
            return self.total;
        }
        let within = self.iter().rev().take_while(|admitted| admitted.at + window > now);
        within.map(|admitted| u64::from(admitted.count)).sum()
    }

    /// When enough will have left the window that at most `most` lie in it, if no more come.
    pub fn falls_to(&self, most: u64, now: Instant, window: Duration) -> Instant {
        let mut count = self.count(now, window);
        for admitted in self.iter().filter(|admitted| admitted.at + window > now) {
            if count <= most {
                break;
            }
            count -= u64::from(admitted.count);
            if count <= most {
                return admitted.at + window;
            }
        }
        now
    }

    /// When the last request came.
    pub fn last(&self) -> Option<Instant> {
        self.entries.back().map(|&entry| self.admitted(entry).at)
    }

    fn admitted(&self, entry: Entry) -> Admitted {
        let since_origin = Duration::from_nanos(u64::from(entry.at) * TICK_NANOS);
        Admitted { at: self.origin + since_origin, count: entry.count }
    }

    /// `at` in ticks, rounded up. Moves the origin when the count of ticks would overflow.
    fn tick(&mut self, at: Instant) -> u32 {
        if self.entries.is_empty() {
            self.origin = at;
        }
        let ticks = |origin| {
            let nanos = u64::try_from(at.since(origin).as_nanos()).unwrap_or(u64::MAX);
            u32::try_from(nanos.div_ceil(TICK_NANOS)).unwrap_or(u32::MAX)
        };
        if ticks(self.origin) > u32::MAX / 2 {
            // Nothing older than a day is kept, and half the range is six days.
            *self = Self::of(self.iter().collect::<Vec<_>>());
        }
        ticks(self.origin)
    }

    fn append(&mut self, tick: u32, count: u32) {
        let tick = tick.max(self.entries.back().map_or(0, |last| last.at));
        self.entries.push_back(Entry { at: tick, count });
        self.last_began = Some(tick);
        self.total += u64::from(count);
    }

    /// Joins what lies closer together than [`PART_OF_AGE`]: whatever is in one cell of a grid that is the
    /// coarser the older it is. Each line of it is one of the finer ones too, so that what is joined again
    /// and again is late by one cell, and no more.
    fn join_old(&mut self, now: u32) {
        let mut joined: VecDeque<Entry> = VecDeque::new();
        for entry in std::mem::take(&mut self.entries) {
            let width = (now.saturating_sub(entry.at) / PART_OF_AGE).max(1).ilog2();
            match joined.back_mut() {
                Some(last) if last.at >> width == entry.at >> width => {
                    last.at = entry.at;
                    last.count = last.count.saturating_add(entry.count);
                }
                Some(_) | None => joined.push_back(entry),
            }
        }
        self.entries = joined;
    }
}

/// How many ticks after its first request an entry takes more: with the rounding of a tick, less
/// than a thousandth of the window.
fn resolution(window: Window) -> u32 {
    let thousandth = u64::try_from(window.as_duration().as_nanos() / 1000).unwrap_or(u64::MAX);
    u32::try_from(thousandth / TICK_NANOS).unwrap_or(u32::MAX).saturating_sub(1)
}
