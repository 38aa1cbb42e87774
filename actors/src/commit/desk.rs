//! On whose thread the journal is worked off.
//!
//! The persistence actor has a thread, which sleeps until there is something to commit, and has all the
//! time that a disk takes. To wake it, and to be woken by it, takes longer than anything else that is
//! done for one change alone. So whoever brought that, and has nothing else to do meanwhile, may commit
//! it himself. The store is handed from thread to thread, and is never with two.
//!
//! Nothing is left behind: what is to be committed is in the mailbox before anybody looks whether the
//! desk is free, and whoever finds it taken rings. If something is left on the desk that is not in the
//! mailbox any more, the thread is called, which it hears also if it is only about to sleep.

use super::{Next, Persistence, Pressure, Store, StoreFailure};
use crate::{
    bell::Woken,
    commit::JournalMessage,
    mailbox::Arrivals,
    sync::{AtomicBool, Baton, BatonGuard, Ordering},
};
use std::{
    any::Any,
    fmt,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

/// Where the journal is worked off: shared by the thread of the persistence actor and by whoever may
/// take its place for one commit.
pub struct Desk<S> {
    arrivals: Arrivals<JournalMessage>,
    /// The thread is to look at the desk, whether there is mail or not.
    called: AtomicBool,
    seat: Baton<Seat<S>>,
}

/// For whoever is at the desk.
struct Seat<S> {
    work: Work<S>,
    /// The thread looks by itself after a while, whether anything comes or not.
    looks: bool,
    /// Others have committed since the thread looked.
    attended: bool,
}

enum Work<S> {
    GoesOn(Box<Persistence<S>>),
    Over,
    Failed(StoreFailure),
    /// The store panicked, with this, on the thread of somebody else.
    Panicked(Box<dyn Any + Send>),
}

impl<S> fmt::Debug for Desk<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

impl<S: Store> Desk<S> {
    /// The desk of `persistence`.
    pub fn new(persistence: Persistence<S>) -> Self {
        let arrivals = persistence.journal.arrivals();
        let work = Work::GoesOn(Box::new(persistence));
        let seat = Baton::new(Seat { work, looks: false, attended: false });
        Self { arrivals, called: AtomicBool::new(false), seat }
    }

    /// The thread of the persistence actor: runs until that is told to stop or everybody who could
    /// send is gone, and gives the store back.
    ///
    /// # Errors
    /// The store failed, on whichever thread. Whoever waited for an answer was told that the outcome is
    /// unknown; nothing is acknowledged any more.
    ///
    /// # Panics
    /// If the store did, on whichever thread.
    pub fn run(&self) -> Result<S, StoreFailure> {
        while let ControlFlow::Continue(patience) = self.turn() {
            let is_called = || self.called.swap(false, Ordering::AcqRel);
            if self.arrivals.wait_unless(is_called, patience) == Woken::TimedOut {
                self.seat.take().rest();
            }
        }
        let ended = std::mem::replace(&mut self.seat.take().work, Work::Over);
        match ended {
            Work::GoesOn(persistence) => Ok(persistence.into_store()),
            Work::Failed(failure) => Err(failure),
            Work::Panicked(panic) => resume_unwind(panic),
            Work::Over => unreachable!("it ends once"),
        }
    }

    /// All there is to do, by the thread of the actor; nobody is at the desk after it.
    fn turn(&self) -> ControlFlow<(), Option<Duration>> {
        self.seat.take().work_off()
    }

    /// Commits what is queued on the thread of whoever asks, who then waits for the disk; if somebody
    /// is at the desk, has the thread look. What was queued before this is answered in any case.
    pub fn attend(&self) {
        let is_thread_wanted = self.seat.try_take().is_none_or(Seat::commit_once);
        if is_thread_wanted {
            self.called.store(true, Ordering::Release);
            self.arrivals.wake();
        }
    }
}

impl<S: Store> Seat<S> {
    /// Does everything there is to do, on the thread of the persistence actor, and says how long to
    /// wait for more: `None` is for ever.
    fn work_off(&mut self) -> ControlFlow<(), Option<Duration>> {
        loop {
            let Work::GoesOn(persistence) = &mut self.work else { return ControlFlow::Break(()) };
            let done = match persistence.next() {
                Next::Batch(first) => persistence.commit_and_tend(first),
                Next::Read => persistence.read(),
                Next::Nothing => {
                    let patience = persistence.store.patience();
                    self.looks = patience.is_some();
                    return ControlFlow::Continue(patience);
                }
                Next::End => return ControlFlow::Break(()),
            };
            self.note(done);
        }
    }

    /// Nothing came for a while, to this thread.
    fn rest(&mut self) {
        let Work::GoesOn(persistence) = &mut self.work else { return };
        let attended = std::mem::take(&mut self.attended);
        let pressure = if attended { Pressure::Busy } else { Pressure::Idle };
        let done = persistence.store.tend(pressure);
        self.note(done);
    }

    /// One commit, on a thread that has come for that alone, if there is anything to commit. Says
    /// whether there is something that the thread of the persistence actor has to do.
    fn commit_once(mut seat: BatonGuard<'_, Self>) -> bool {
        let Work::GoesOn(persistence) = &mut seat.work else { return false };
        let Some(first) = persistence.journal.try_receive() else { return false };
        // After a panic of the store nothing goes on, on whichever thread. Whoever brought the change is
        // not to blame: what is to be done, the thread of the persistence actor knows.
        match catch_unwind(AssertUnwindSafe(|| persistence.commit(first))) {
            Ok(done) => {
                seat.attended = true;
                seat.note(done);
                seat.has_more()
            }
            Err(panic) => {
                // With the actor goes its mailbox, which wakes the thread.
                seat.work = Work::Panicked(panic);
                false
            }
        }
    }

    /// A store that failed goes, and with it whoever waits for it, and the mailbox.
    fn note(&mut self, done: Result<(), StoreFailure>) {
        if let Err(failure) = done {
            self.work = Work::Failed(failure);
        }
    }

    /// Whether the thread has something to do that it does not know of.
    fn has_more(&self) -> bool {
        let Work::GoesOn(persistence) = &self.work else { return false };
        let has_to_look = persistence.store.patience().is_some() && !self.looks;
        has_to_look || persistence.stopped || persistence.has_askers()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
