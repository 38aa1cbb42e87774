//! The journal of an open store: how much of it is not in the main file yet, and when that is to be moved.

use super::{Leftover, NotRefused};
use crate::store::files::{JournalSize, ReadAt};
use octostore_actors::commit::Pressure;
use rusqlite::{Connection, hooks::Wal};
use std::{
    ffi::c_int,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// How long nothing must have come for it to count as idle.
const IDLE_AFTER: Duration = Duration::from_millis(50);

/// What SQLite has in its journal, as it says itself after each commit.
pub struct OpenJournal {
    /// How many frames are not in the main file yet. SQLite counts them in this thread, during a commit.
    frames: Arc<AtomicU32>,
    size: JournalSize,
    leftover: Leftover,
}

impl OpenJournal {
    /// The journal that `connection` writes, read beside it as `file`. There is nothing in it yet that is not
    /// in the main file, or all of it is moved before the next commit.
    ///
    /// # Errors
    /// Another counts already.
    pub fn of(
        connection: &mut Connection,
        size: JournalSize,
        file: Box<dyn ReadAt>,
    ) -> rusqlite::Result<Self> {
        let frames = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&frames);
        connection.wal_hook(Some(move |_: &mut Wal, pages: c_int| {
            seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { frames, size, leftover: Leftover::of(file) })
    }

    /// How many frames are not in the main file yet.
    pub fn frames(&self) -> u32 {
        self.frames.load(Ordering::Relaxed)
    }

    /// How long nothing must come before it is worth moving what there is; `None` if it is not worth it.
    pub fn patience(&self) -> Option<Duration> {
        (self.frames() >= self.size.idle).then_some(IDLE_AFTER)
    }

    /// Whether what there is should be moved now. While a snapshot `is_held` that would be lost by it, it may
    /// grow longer.
    pub fn is_worth_moving(&self, pressure: Pressure, is_held: bool) -> bool {
        let worth = match pressure {
            Pressure::Idle => self.size.idle,
            Pressure::Busy => self.size.busy,
        };
        let may_grow = is_held && self.frames() < self.size.held();
        self.frames() >= worth && !may_grow
    }

    /// All that there was is in the main file now.
    pub fn all_moved(&mut self) {
        if self.frames.swap(0, Ordering::Relaxed) > 0 {
            self.leftover.all_moved();
        }
    }

    /// Refuses a commit that was refused and is whole all the same, behind those that count.
    ///
    /// # Errors
    /// See [`NotRefused`].
    pub fn require_none_behind(&self) -> Result<(), NotRefused> {
        self.leftover.require_none_behind(self.frames())
    }

    /// The count is wrong: for tests of what follows from that.
    #[cfg(test)]
    pub fn miscount(&self, frames: u32) {
        self.frames.store(frames, Ordering::Relaxed);
    }
}
