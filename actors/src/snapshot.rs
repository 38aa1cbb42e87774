//! A moment of the store that stays to be copied while commits go on.
//!
//! The store writes ahead: as long as nothing is moved from its journal to its main file, the main
//! file is one consistent moment, whatever is committed. So a backup asks for a [`Snapshot`], copies
//! the main file on a thread of its own, and then looks whether the snapshot held: the store may
//! give it up at any time, and nobody who waits for a commit ever waits for a copy.

use crate::{
    commit::{JournalMessage, ask_store},
    mailbox::Address,
    reply::{Reply, Waiting},
    sync::{Arc, AtomicBool, Ordering},
};
use std::fmt;

/// A moment of the store, with everything that was acknowledged before. It is let go by dropping it.
#[derive(Debug)]
pub struct Snapshot(Arc<AtomicBool>);

impl Snapshot {
    /// Whether the main file was left as it is until now. What was copied before a yes is good.
    pub fn held(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The store's side of the snapshot that is out, if any is.
#[derive(Debug, Default)]
pub struct SnapshotHold(Option<Arc<AtomicBool>>);

impl SnapshotHold {
    /// Gives one out, of the main file as it is. One that was out before is still good.
    pub fn give_out(&mut self) -> Snapshot {
        let holds = match self.0.take() {
            Some(holds) if holds.load(Ordering::SeqCst) => holds,
            Some(_) | None => Arc::new(AtomicBool::new(true)),
        };
        self.0 = Some(Arc::clone(&holds));
        Snapshot(holds)
    }

    /// Whether somebody relies on the main file to stay as it is.
    pub fn is_out(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|holds| Arc::strong_count(holds) > 1 && holds.load(Ordering::SeqCst))
    }

    /// Says that the main file is about to change.
    pub fn give_up(&mut self) {
        if let Some(holds) = self.0.take() {
            holds.store(false, Ordering::SeqCst);
        }
    }
}

/// How to ask for a snapshot. Clones ask the same store.
#[derive(Clone)]
pub struct Snapshots(Address<JournalMessage>);

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshots")
    }
}

impl Snapshots {
    /// Those of the store whose journal this is.
    pub fn new(journal: Address<JournalMessage>) -> Self {
        Self(journal)
    }

    /// Asks for one; `None` if the store has none to give now. If too much waits for the store
    /// already, the answer is [`Lost::Overloaded`](crate::reply::Lost::Overloaded); if the store has failed or the
    /// process ends,
    /// [`Lost::OutcomeUnknown`](crate::reply::Lost::OutcomeUnknown).
    pub fn take(&self) -> Waiting<Option<Snapshot>> {
        ask_store(&self.0, |reply| JournalMessage::Snapshot(SnapshotRequest(reply)))
    }
}

/// Somebody who asks for a snapshot.
#[derive(Debug)]
pub struct SnapshotRequest(pub(crate) Reply<Option<Snapshot>>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_holds_until_the_store_gives_it_up() {
        let mut hold = SnapshotHold::default();
        assert!(!hold.is_out());
        let snapshot = hold.give_out();
        assert!(hold.is_out() && snapshot.held());
        hold.give_up();
        assert!(!hold.is_out() && !snapshot.held());
        let next = hold.give_out();
        assert!(next.held() && !snapshot.held(), "what was given up stays so");
    }

    #[test]
    fn all_snapshots_that_are_out_are_given_up_together() {
        let mut hold = SnapshotHold::default();
        let (one, other) = (hold.give_out(), hold.give_out());
        assert!(one.held() && other.held());
        hold.give_up();
        assert!(!one.held() && !other.held(), "both copy what is about to change");
    }

    #[test]
    fn a_snapshot_that_is_dropped_is_in_nobodys_way() {
        let mut hold = SnapshotHold::default();
        let (one, other) = (hold.give_out(), hold.give_out());
        drop(one);
        assert!(hold.is_out() && other.held(), "of two the second still relies on it");
        drop(other);
        assert!(!hold.is_out());
    }
}
