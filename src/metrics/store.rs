//! What the store does, and how long that takes.

use super::cells::{Counter, DURATIONS, Gauge, Histogram, SIZES};
use octostore_actors::time::{Clock, Instant};
use std::{fmt, sync::Arc};

/// Commits and checkpoints. One thread counts here.
#[derive(Debug)]
pub struct StoreCounts {
    /// How many records a commit wrote.
    pub records: Histogram,
    /// How long it took, from its first statement to the word that it is on disk. In nanoseconds.
    pub commits: Histogram,
    /// How long of that the end took: the journal is written and synced then. In nanoseconds.
    pub syncs: Histogram,
    /// Commits for which there was no room.
    pub no_room: Counter,
    /// Commits of which nobody can say. One is the end of the process.
    pub unknown: Counter,
    /// How long checkpoints took. In nanoseconds.
    pub checkpoints: Histogram,
    /// How many pages they wrote.
    pub checkpointed: Counter,
    /// How many pages are in the journal and not in the main file.
    pub journal_pages: Gauge,
}

impl Default for StoreCounts {
    fn default() -> Self {
        Self {
            records: Histogram::new(SIZES),
            commits: Histogram::new(DURATIONS),
            syncs: Histogram::new(DURATIONS),
            no_room: Counter::default(),
            unknown: Counter::default(),
            checkpoints: Histogram::new(DURATIONS),
            checkpointed: Counter::default(),
            journal_pages: Gauge::default(),
        }
    }
}

/// Counts what a store does, by a clock.
pub struct StoreWatch {
    counts: Arc<StoreCounts>,
    clock: Arc<dyn Clock>,
}

impl StoreWatch {
    /// Counts in `counts`, by `clock`.
    pub fn new(counts: Arc<StoreCounts>, clock: Arc<dyn Clock>) -> Self {
        Self { counts, clock }
    }

    /// Now.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Where it counts.
    pub fn counts(&self) -> &StoreCounts {
        &self.counts
    }
}

impl fmt::Debug for StoreWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreWatch")
    }
}
