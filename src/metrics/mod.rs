//! What the server counts of itself, and how that is written down for a scraper.
//!
//! Whoever works counts: requests in `http`, commits in `store`, each actor in its own loop. A
//! count is one relaxed addition to a cell whose place is known beforehand: no lock, no look-up, no
//! allocation. Whoever scrapes reads the cells and makes the text, on a thread where nobody waits.
//!
//! What always holds: no label takes a value that a caller can make up, so the page has a bound.
//!
//! - [`cells`]: a counter, a histogram;
//! - [`requests`], [`outcomes`], [`store`], [`actors`]: what is counted, by whoever counts it;
//! - [`process`]: what the system knows of the process;
//! - [`exposition`]: the page, in both formats of Prometheus.

pub mod actors;
pub mod cells;
pub mod exposition;
mod families;
pub mod outcomes;
pub mod process;
pub mod requests;
pub mod store;

use cells::Counter;
use outcomes::{LimitDecisions, LockOutcomes, Unavailable};
use requests::Requests;
use std::sync::Arc;
use store::StoreCounts;

/// Everything that is counted, except what the actors count themselves.
#[derive(Debug)]
pub struct Counts {
    /// HTTP requests.
    pub requests: Requests,
    /// HTTP connections.
    pub connections: Connections,
    /// What became of what locks were asked.
    pub locks: LockOutcomes,
    /// What became of checks of limits.
    pub limits: LimitDecisions,
    /// Why requests were answered 503.
    pub unavailable: Unavailable,
    /// Commits and checkpoints.
    pub store: Arc<StoreCounts>,
}

impl Counts {
    /// Nothing has happened yet to any of these routes.
    pub fn new(routes: &'static [&'static str]) -> Self {
        Self {
            requests: Requests::new(routes),
            connections: Connections::default(),
            locks: LockOutcomes::default(),
            limits: LimitDecisions::default(),
            unavailable: Unavailable::default(),
            store: Arc::default(),
        }
    }
}

/// Connections, from the moment they are taken.
#[derive(Debug, Default)]
pub struct Connections {
    /// Taken, and served.
    pub accepted: Counter,
    /// Of these, the ones that are over.
    pub closed: Counter,
    /// Come to rest: waiting for a first request, or for another one.
    pub rested: Counter,
    /// Gone on after that, or over.
    pub woken: Counter,
    /// Turned away, because there are as many as there may be.
    pub refused: Counter,
    /// Not taken, because the system could not: most often it has no file descriptors left.
    pub failed: Counter,
}

impl Connections {
    /// How many are open.
    pub fn open(&self) -> u64 {
        // In this order: each was taken before it was over.
        let closed = self.closed.get();
        self.accepted.get().saturating_sub(closed)
    }
}
