//! A client that is alone: whether it is, and the commit of what it changes.
//!
//! A change goes to the journal's thread, and the answer comes back from there: two threads that sleep
//! are woken, which takes longer than everything else but the disk. If one connection is open, there is
//! nobody else for the thread that serves it to look after: it may as well wait for the disk itself.
//! Whoever connects in that moment waits with it, and so does everything else that this thread sees to,
//! signals included: so it does that only while the disk is quick. That a disk is quick no more shows by one
//! commit that takes long, and the next is made elsewhere; and what a renewal that waited as well was to save
//! does not expire meanwhile ([`Standstill`]).

use crate::metrics::Counts;
use octostore_actors::{
    actor::Standstill,
    commit::{Desk, Store},
    time::Clock,
};
use std::{fmt, sync::Arc, time::Duration};

/// After a commit that took longer than this, the next is waited for elsewhere.
const QUICK: Duration = Duration::from_millis(1);

/// Whether a client is alone, and the desk to commit at then.
pub struct Alone {
    commit: Box<dyn Fn() + Send + Sync>,
    counts: Arc<Counts>,
    clock: Arc<dyn Clock>,
    standstill: Arc<Standstill>,
}

impl fmt::Debug for Alone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alone")
    }
}

impl Alone {
    /// By what is counted of connections and commits; the latter at `desk`, and on `clock`.
    pub fn new<S: Store + Send + 'static>(
        desk: Arc<Desk<S>>,
        counts: Arc<Counts>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { commit: Box::new(move || desk.attend()), counts, clock, standstill: Arc::default() }
    }

    /// Whether whoever serves stands still for a commit.
    pub fn standstill(&self) -> &Arc<Standstill> {
        &self.standstill
    }

    /// Whether one connection is open, and the latest commit was a quick one.
    pub fn is_alone_and_quick(&self) -> bool {
        let latest = Duration::from_nanos(self.counts.store.latest.get());
        latest < QUICK && self.counts.connections.open() == 1
    }

    /// Nobody ever is, as no commit is counted.
    #[cfg(test)]
    pub fn nobody() -> Arc<Self> {
        Arc::new(Self {
            commit: Box::new(|| unreachable!("nobody is alone")),
            counts: Arc::new(Counts::new(&[])),
            clock: Arc::new(crate::clock::SystemClock),
            standstill: Arc::default(),
        })
    }

    /// Commits what was left for the journal, and waits for the disk.
    pub fn commit(&self) {
        self.standstill.during(&*self.clock, &self.commit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_alone_while_no_other_is_connected_and_the_disk_is_quick() {
        let alone = Alone::nobody();
        let Counts { connections, store, .. } = &*alone.counts;
        let after = |took: Duration| {
            store.latest.set(u64::try_from(took.as_nanos()).unwrap());
            alone.is_alone_and_quick()
        };
        connections.accepted.add_one();
        assert!(!alone.is_alone_and_quick(), "nobody knows how quick the disk is");
        assert!(after(QUICK / 2));
        assert!(!after(QUICK));
        assert!(!after(Duration::from_secs(30)));
        assert!(after(QUICK / 2), "it is quick again");
        connections.accepted.add_one();
        assert!(!alone.is_alone_and_quick(), "there are two");
        connections.closed.add_one();
        assert!(alone.is_alone_and_quick());
        connections.closed.add_one();
        assert!(!alone.is_alone_and_quick(), "there is none");
    }
}
