//! One limiter: its policy, what it has admitted, and what it may still admit.

use super::{History, LimitName, Policy, RetryAfter, Standing, Window};
use crate::{progress::Seq, time::Instant};
use std::time::Duration;

/// One limiter as its machine knows it.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    pub(super) policy: Policy,
    pub(super) windows: Windows,
    pub(super) history: History,
    /// How long requests are remembered, as the latest row says; `None` if nobody knows what is on disk.
    pub(super) horizon_written: Option<Window>,
    /// The latest row that an answer had to wait for.
    pub(super) awaited: Seq,
    /// What may still be admitted on the row that is on disk.
    pub(super) credit: u32,
    /// The row on its way, and what may still be admitted on that one.
    pub(super) next: Option<Next>,
    /// What was admitted and waits for a row, in order.
    pub(super) unsure: Vec<Unsure>,
    /// Its place in `deadlines`.
    pub(super) deadline: Instant,
}

/// Something that was admitted, if that row comes to the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsure {
    pub(super) seq: Seq,
    pub(super) at: Instant,
    pub(super) cost: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub(super) seq: Seq,
    pub(super) credit: u32,
}

/// The windows that recent checks have asked about.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    /// Falling, and each used later than the one before it. Requests are remembered for the first.
    falling: Vec<(Window, Instant)>,
    /// The shortest, and when it was used last. Requests are told apart for its sake. When it has not been
    /// used for as long as they are remembered, whichever is used next takes its place.
    shortest: (Window, Instant),
}

impl Windows {
    /// How many are told apart. Beyond that the longest counts as used, which remembers more.
    const MOST: usize = 16;

    /// This one alone.
    pub(super) fn new(window: Window, now: Instant) -> Self {
        Self { falling: vec![(window, now)], shortest: (window, now) }
    }

    pub(super) fn used(&mut self, window: Window, now: Instant) {
        let falling = &mut self.falling;
        falling.retain(|&(known, used)| known > window && now.since(used) <= known.as_duration());
        falling.push((window, now));
        if falling.len() > Self::MOST {
            falling.truncate(1);
            falling[0].1 = now;
        }
        let (shortest, used) = self.shortest;
        if window <= shortest || now.since(used) > self.longest().as_duration() {
            self.shortest = (window, now);
        }
    }

    pub(super) fn longest(&self) -> Window {
        self.falling[0].0
    }

    pub(super) fn shortest(&self) -> Window {
        self.shortest.0
    }
}

impl Limiter {
    pub(super) fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            windows: Windows::new(policy.window, now),
            history: History::default(),
            horizon_written: None,
            awaited: Seq::NONE,
            credit: 0,
            next: None,
            unsure: Vec::new(),
            deadline: now,
        }
    }

    /// Takes over the policy of a check, and forgets what no recent policy asks about.
    pub(super) fn follow(&mut self, policy: Policy, now: Instant) {
        self.policy = policy;
        self.windows.used(policy.window, now);
        if let Some(forgotten) = self.history.forget(now, self.horizon()) {
            // What the history has forgotten cannot be taken out of it.
            self.unsure.retain(|unsure| unsure.at > forgotten);
        }
    }

    /// Takes back what waits for a row after `durable`.
    pub(super) fn withdraw_after(&mut self, durable: Seq) {
        for Unsure { at, cost, .. } in self.unsure.extract_if(.., |unsure| unsure.seq > durable) {
            self.history.withdraw(at, cost);
        }
    }

    /// How long requests are remembered.
    pub(super) fn horizon(&self) -> Duration {
        self.windows.longest().as_duration()
    }

    pub(super) fn count(&self, now: Instant) -> u64 {
        self.history.count(now, self.policy.window.as_duration())
    }

    /// When `cost` can be admitted, if nobody else asks.
    pub(super) fn admits_at(&self, cost: u32, now: Instant) -> Instant {
        let most = u64::from(self.policy.max_requests.get().saturating_sub(cost));
        self.history.falls_to(most, now, self.policy.window.as_duration())
    }

    /// Whether `cost` can be admitted on rows that are on disk or on their way, and that remember
    /// it for long enough.
    pub(super) fn covers(&self, cost: u32) -> bool {
        self.horizon_written == Some(self.windows.longest())
            && self.next.map_or(self.credit, |next| next.credit) >= cost
    }

    /// Whether a crash would make it forget requests that count for a recent policy.
    pub(super) fn is_to_be_remembered_longer(&self) -> bool {
        self.history.last().is_some() && self.horizon_written < Some(self.windows.longest())
    }

    /// Spends `cost`, which is covered; returns what must be on disk before anybody is told.
    pub(super) fn spend(&mut self, cost: u32) -> Seq {
        // The row on its way replaces the one on disk, so it must cover this as well.
        let after = self.next.as_mut().map(|next| {
            next.credit -= cost;
            next.seq
        });
        match after {
            Some(seq) if self.credit < cost => seq,
            Some(_) | None => {
                self.credit -= cost;
                Seq::NONE
            }
        }
    }

    pub(super) fn standing(&self, name: &LimitName, now: Instant) -> Standing {
        let window = self.policy.window.as_duration();
        let count = u32::try_from(self.count(now)).unwrap_or(u32::MAX);
        let remaining = self.policy.max_requests.get().saturating_sub(count);
        let reset_at = self.history.last().map_or(now, |last| (last + window).max(now));
        let until = || RetryAfter::from(now, self.admits_at(1, now));
        Standing {
            name: name.clone(),
            policy: self.policy,
            count,
            remaining,
            reset_at,
            retry_after: (remaining == 0).then(until),
        }
    }

    pub(super) fn idle_at(&self) -> Option<Instant> {
        self.history.last().map(|last| last + self.horizon())
    }
}
