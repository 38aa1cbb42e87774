//! A sliding window that is too simple to be wrong: it keeps every timestamp.

use octostore_actors::domain::limiter::Window;

pub const SECOND: i128 = 1_000_000_000;

pub fn nanos(window: Window) -> i128 {
    i128::from(window.as_seconds()) * SECOND
}

/// How much later than it was made a request may count: a thousandth of the window.
pub fn late(window: Window) -> i128 {
    nanos(window) / 1_000
}

/// Every admitted request, in order.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    admitted: Vec<Admitted>,
}

#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    /// Its place among all questions.
    pub order: u64,
    pub at: i128,
    pub count: u32,
}

impl Oracle {
    pub fn admit(&mut self, order: u64, at: i128, count: u32) {
        self.admitted.push(Admitted { order, at, count });
    }

    /// Forgets what was asked before the question of this order.
    pub fn forget_before(&mut self, order: u64) {
        self.admitted.retain(|admitted| admitted.order > order);
    }

    /// Forgets what is not in `other` too.
    pub fn keep_what_is_in(&mut self, other: &Self) {
        self.admitted
            .retain(|one| other.admitted.iter().any(|admitted| admitted.order == one.order));
    }

    /// Nothing counts as made before this.
    pub fn not_before(&mut self, at: i128) {
        for admitted in &mut self.admitted {
            admitted.at = admitted.at.max(at);
        }
    }

    pub fn last(&self) -> Option<i128> {
        self.admitted.iter().map(|admitted| admitted.at).max()
    }

    /// How many lie in the window that ends `now`, if each was made `late` later.
    pub fn count(&self, now: i128, window: Window, late: i128) -> u64 {
        self.count_if(now, window, late, |_| true)
    }

    /// How many of those that `keep` wants lie in the window that ends `now`.
    pub fn count_if(
        &self,
        now: i128,
        window: Window,
        late: i128,
        keep: impl Fn(i128) -> bool,
    ) -> u64 {
        let within = self.admitted.iter().filter(|admitted| {
            keep(admitted.at) && admitted.at <= now && admitted.at + late + nanos(window) > now
        });
        within.map(|admitted| u64::from(admitted.count)).sum()
    }

    /// The most that any window holds.
    pub fn busiest(&self, window: Window) -> u64 {
        // A fullest window ends with a request.
        let ends = self.admitted.iter().map(|admitted| admitted.at);
        ends.map(|end| self.count(end, window, 0)).max().unwrap_or(0)
    }
}
