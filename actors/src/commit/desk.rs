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
    /// So often have others committed since the store was tended.
    attended: u32,
}

/// After so many commits of others the thread looks what is to be tended: fewer than fill what a store
/// has set aside for one batch more than it wants.
const MOST_UNTENDED: u32 = 32;

enum Work<S> {
    GoesOn(Box<Persistence<S>>),
    Over,
    Failed(StoreFailure),
    /// The store panicked, with this, on whichever thread.
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
        let seat = Baton::new(Seat { work, looks: false, attended: 0 });
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
            let is_called = || self.called.load(Ordering::Acquire);
            if self.arrivals.wait_unless(is_called, patience) == Woken::TimedOut {
                self.seat.take().tend();
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
        // In this order: whoever calls has left the desk before that, so what he means is there.
        self.called.store(false, Ordering::Release);
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
            match persistence.next() {
                Next::Batch(first) => self.have(|it| it.commit_and_tend(first)),
                Next::Read => self.have(Persistence::read),
                Next::Nothing if self.attended > 0 => self.tend(),
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
        let pressure = if attended > 0 { Pressure::Busy } else { Pressure::Idle };
        self.have(|persistence| persistence.store.tend(pressure))
    }

    /// One commit, on a thread that has come for that alone, if there is anything to commit. Says
    /// whether there is something that the thread of the persistence actor has to do.
    fn commit_once(mut seat: BatonGuard<'_, Self>) -> bool {
        let Work::GoesOn(persistence) = &mut seat.work else { return false };
        // What follows an order to stop is not kept.
        if persistence.stopped {
            return true;
        }
        let Some(first) = persistence.journal.try_receive() else { return false };
        seat.attended += 1;
        seat.have(|persistence| persistence.commit(first));
        seat.has_more()
    }

    /// Has the actor do something. If the store fails or panics, whoever waits for it learns that, and
    /// the mailbox closes, which wakes the thread. A panic is a matter of that: whoever brought a change
    /// is not to blame.
    fn have<T>(
        &mut self,
        something: impl FnOnce(&mut Persistence<S>) -> Result<T, StoreFailure>,
    ) -> Option<T> {
        let Work::GoesOn(persistence) = &mut self.work else { return None };
        match catch_unwind(AssertUnwindSafe(|| something(persistence))) {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(failure)) => self.work = Work::Failed(failure),
            // Nothing of the actor is used after it.
            Err(panic) => self.work = Work::Panicked(panic),
        }
        None
    }

    /// Whether the thread has something to do that it does not know of.
    fn has_more(&self) -> bool {
        let Work::GoesOn(persistence) = &self.work else { return false };
        let has_to_look = persistence.store.patience().is_some() && !self.looks;
        has_to_look
            || self.attended >= MOST_UNTENDED
            || persistence.stopped
            || persistence.has_askers()
            || !persistence.journal.is_empty()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
