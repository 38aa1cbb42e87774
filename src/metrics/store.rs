//! What the store does, and how long that takes.

use super::cells::{Counter, DURATIONS, Gauge, Histogram, SIZES};
use crate::traces::Commits;
use octostore_actors::{
    commit::Verdict,
    time::{Clock, Instant},
};
use std::{fmt, sync::Arc};

/// Commits and checkpoints. One thread at a time counts here.
#[derive(Debug)]
pub struct StoreCounts {
    /// How long the latest commit took, with all that had to be done with it, in nanoseconds; `u64::MAX` before
    /// the first one, and after one that failed. [`Alone`](crate::alone::Alone) goes by it.
    pub latest: Gauge,
    /// How many records a commit wrote.
    pub records: Histogram,
    /// How long it took, from its first statement to the word that it is on disk; where it raises the
    /// mark of tokens, in the main file. In nanoseconds.
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
        let latest = Gauge::default();
        latest.set(u64::MAX);
        Self {
            latest,
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
    commits: Commits,
    clock: Arc<dyn Clock>,
}

impl StoreWatch {
    /// Counts in `counts`, and tells `commits`, by `clock`.
    pub fn new(counts: Arc<StoreCounts>, commits: Commits, clock: Arc<dyn Clock>) -> Self {
        Self { counts, commits, clock }
    }

    /// Now.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Where it counts.
    pub fn counts(&self) -> &StoreCounts {
        &self.counts
    }

    /// A commit of so many records, which began then, has come to this, with all that had to be done
    /// with it; and the journal has so many pages now.
    pub fn ended(&self, begun: Instant, verdict: &Verdict, records: usize, journal_pages: u32) {
        let now = self.now();
        let took = now.since(begun);
        self.counts.latest.set(match verdict {
            Verdict::Committed => u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            Verdict::NoRoom | Verdict::Unknown(_) => u64::MAX,
        });
        match verdict {
            Verdict::Committed => {
                self.counts.commits.observe_span(took);
                self.counts.records.observe(records as u64);
                self.counts.journal_pages.set(journal_pages.into());
                self.commits.note(begun, now, records);
            }
            Verdict::NoRoom => self.counts.no_room.add_one(),
            Verdict::Unknown(_) => self.counts.unknown.add_one(),
        }
    }
}

impl fmt::Debug for StoreWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreWatch")
    }
}
