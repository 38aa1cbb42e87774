//! What the store has to do when nobody waits for it.

use octostore_actors::{
    commit::{
        Desk, JournalMessage, Persistence, Pressure, Store, StoreFailure, Unreadable, Verdict,
    },
    domain::{
        Record,
        audit::{AuditPage, AuditQuery},
    },
    mailbox::{Address, Mailbox, mailbox},
    snapshot::Snapshot,
    sync::{Arc, Mutex, lock},
};
use std::{num::NonZeroUsize, time::Duration};

/// A store that has something to do once, and lets go of its own journal after that.
struct Dozing {
    journal: Mutex<Option<Address<JournalMessage>>>,
    tended: Arc<Mutex<Vec<Pressure>>>,
}

impl Store for Dozing {
    fn commit(&mut self, _: &[Record]) -> Verdict {
        panic!("nothing was sent")
    }

    fn audit(&mut self, _: &AuditQuery) -> Result<Result<AuditPage, Unreadable>, StoreFailure> {
        panic!("nobody asked")
    }

    fn snapshot(&mut self) -> Result<Option<Snapshot>, StoreFailure> {
        panic!("nobody asked")
    }

    fn patience(&self) -> Option<Duration> {
        if lock(&self.tended).is_empty() {
            return Some(Duration::ZERO);
        }
        *lock(&self.journal) = None;
        None
    }

    fn is_pressed(&self) -> bool {
        false
    }

    fn tend(&mut self, pressure: Pressure) -> Result<(), StoreFailure> {
        lock(&self.tended).push(pressure);
        Ok(())
    }
}

fn dozing() -> (Dozing, Mailbox<JournalMessage>, Arc<Mutex<Vec<Pressure>>>) {
    let (journal, turns) = mailbox(NonZeroUsize::MIN);
    let tended = Arc::default();
    let store = Dozing { journal: Mutex::new(Some(journal)), tended: Arc::clone(&tended) };
    (store, turns, tended)
}

#[test]
fn a_store_is_tended_when_nothing_came_for_as_long_as_its_patience() {
    let (store, turns, tended) = dozing();
    Desk::new(Persistence::new(store, turns)).run().map(drop).unwrap();
    assert_eq!(*lock(&tended), [Pressure::Idle]);
}

#[test]
fn whoever_steps_it_by_hand_says_when_it_is_idle() {
    let (store, turns, tended) = dozing();
    let mut persistence = Persistence::new(store, turns);
    persistence.step().unwrap();
    assert!(lock(&tended).is_empty());
    persistence.rest().unwrap();
    assert_eq!(*lock(&tended), [Pressure::Idle]);
}
