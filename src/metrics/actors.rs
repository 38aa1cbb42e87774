//! What the actors show: written by their threads, read by whoever scrapes.

use super::cells::Gauge;
use octostore_actors::watch::{Seen, Watch};
use std::{fmt, sync::Arc};

/// How one actor stands, as it showed it last. On a cache line of its own, so that no actor waits
/// for another one's numbers.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Board {
    /// How many commands it has handled.
    pub commands: Gauge,
    /// How many entries its machine has.
    pub entries: Gauge,
    /// How many have ended because their time was over.
    pub expired: Gauge,
}

impl Watch for Board {
    fn see(&self, seen: Seen) {
        self.commands.set(seen.commands);
        self.entries.set(seen.census.entries);
        self.expired.set(seen.census.expired);
    }
}

/// An actor that is watched.
pub struct WatchedActor {
    /// What its thread is called.
    pub name: &'static str,
    /// What it shows; the persistence actor shows nothing here.
    pub board: Option<Arc<Board>>,
    /// How many messages its mailbox has room for.
    pub capacity: usize,
    /// How many wait in it.
    pub queued: Box<dyn Fn() -> usize + Send + Sync>,
}

impl fmt::Debug for WatchedActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedActor").field("name", &self.name).finish_non_exhaustive()
    }
}
