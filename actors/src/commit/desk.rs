//! On whose thread the journal is worked off.
//!
//! The persistence actor has a thread, which sleeps until there is something to commit, and has all the
//! time that a disk takes. To wake it, and to be woken by it, takes longer than anything else that is
//! done for one change alone. So whoever brought that, and has nothing else to do meanwhile, may also
//! commit it. The store is handed from thread to thread, and is never with two.
//!
//! Nothing is left behind: what is to be committed is in the mailbox before anybody looks whether the
//! desk is free, and whoever finds it taken, or leaves something there that is not in the mailbox any more, calls
//! the thread, which it hears also if it is only about to sleep.

use super::{JournalMessage, Next, Persistence, Pressure, Store, StoreFailure};
use crate::{
    bell::Woken,
    mailbox::Arrivals,
    sync::{Baton, BatonGuard},
    work::Work,
};
use std::{fmt, ops::ControlFlow, time::Duration};

/// Where the journal is worked off: shared by the thread of the persistence actor and by whoever may
/// take its place for one commit.
pub struct Desk<S> {
    arrivals: Arrivals<JournalMessage>,
    seat: Baton<Seat<S>>,
}

/// For whoever is at the desk.
struct Seat<S> {
    work: Work<Persistence<S>>,
    /// Why it is over, if the store has failed.
    failure: Option<StoreFailure>,
    /// The thread looks by itself after a while, whether anything comes or not.
    looks: bool,
    /// Others have committed since the store was tended.
    attended: bool,
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
        let work = Work::new(persistence);
        Self {
            arrivals,
            seat: Baton::new(Seat { work, failure: None, looks: false, attended: false }),
        }
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
            if self.arrivals.wait(patience) == Woken::TimedOut {
                self.seat.take().tend();
            }
        }
        // The seat is free before a panic goes on from here.
        let (work, failure) = self.seat.take().leave();
        match (failure, work.end()) {
            (Some(failure), _) => Err(failure),
            (None, Some(persistence)) => Ok(persistence.into_store()),
            (None, None) => unreachable!("it ends once"),
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
            self.arrivals.call();
        }
    }
}

impl<S: Store> Seat<S> {
    /// What is left at the end; nobody goes on here after that.
    fn leave(&mut self) -> (Work<Persistence<S>>, Option<StoreFailure>) {
        (self.work.take(), self.failure.take())
    }

    /// Does everything there is to do, on the thread of the persistence actor, and says how long to
    /// wait for more: `None` is for ever.
    fn work_off(&mut self) -> ControlFlow<(), Option<Duration>> {
        loop {
            let Some(persistence) = self.work.get() else { return ControlFlow::Break(()) };
            match persistence.next() {
                Next::Batch(first) => self.have(|it| it.commit_and_tend(first)),
                Next::Read => self.have(Persistence::read),
                Next::Nothing if self.attended => self.tend(),
                Next::Nothing => {
                    let patience = persistence.store.patience();
                    self.looks = patience.is_some();
                    return ControlFlow::Continue(patience);
                }
                Next::End => return ControlFlow::Break(()),
            };
        }
    }

    /// Nothing came to the thread for a while. To others something may have come.
    fn tend(&mut self) -> Option<()> {
        let attended = std::mem::take(&mut self.attended);
        let pressure = if attended { Pressure::Busy } else { Pressure::Idle };
        self.have(|persistence| persistence.store.tend(pressure))
    }

    /// One commit, on a thread that has come for that alone, if there is anything to commit. Says
    /// whether there is something that the thread of the persistence actor has to do.
    fn commit_once(mut seat: BatonGuard<'_, Self>) -> bool {
        let Some(persistence) = seat.work.get() else { return false };
        // What follows an order to stop is not kept.
        if persistence.stopped {
            return true;
        }
        let Some(first) = persistence.journal.try_receive() else { return false };
        seat.attended = true;
        seat.have(|persistence| persistence.commit(first));
        seat.has_more()
    }

    /// Has the actor do something. If the store fails, whoever waits for it learns that, and the
    /// mailbox closes, which wakes the thread.
    fn have<T>(
        &mut self,
        something: impl FnOnce(&mut Persistence<S>) -> Result<T, StoreFailure>,
    ) -> Option<T> {
        match self.work.have(something)? {
            Ok(done) => Some(done),
            Err(failure) => {
                self.failure = Some(failure);
                self.work = Work::Over;
                None
            }
        }
    }

    /// Whether the thread has something to do that it does not know of.
    fn has_more(&self) -> bool {
        let Some(persistence) = self.work.get() else { return false };
        let has_to_look = persistence.store.patience().is_some() && !self.looks;
        has_to_look
            || persistence.store.is_pressed()
            || persistence.stopped
            || persistence.has_askers()
            || !persistence.journal.is_empty()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
