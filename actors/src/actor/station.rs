//! On whose thread the event loop turns.
//!
//! An actor has a thread. It sleeps until there is mail or a deadline is due, and waits for whatever
//! has to be waited for. But to wake it takes longer than most turns do, and on few cores it waits
//! for one first. So whoever brings commands takes the turn himself, if nobody is at the loop: the
//! loop is handed from thread to thread, and is never on two. Only if somebody else is at it, or
//! there is something to wait for, is the thread woken.
//!
//! Nothing is left behind:
//! - Commands are in the mailbox before anybody looks whether the loop is free. Whoever finds it
//!   taken rings; the thread looks into the mailbox before it sleeps.
//! - Whoever has the loop, and asks for an answer at once, looks into the mailbox first: only if it is
//!   empty does his command not need to be there.
//! - A turn after which the loop is due earlier than the thread looks by itself ends with a nudge,
//!   which is a message, so that the thread hears of it even if it is only about to sleep. If the
//!   mailbox has no room for it, a ring is as good: there is mail, and the thread does not sleep then.
//! - A loop that has to wait for something is left to the thread, which was told when that began.

use super::{Actor, Asked, Flow, Handle, Message, NotTaken, Patience, Told, refuse};
use crate::{
    domain::Machine,
    mailbox::Arrivals,
    reply::Waiting,
    sync::{Arc, Baton, BatonGuard},
    time::{Clock, Instant},
};
use std::{
    any::Any,
    fmt,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

/// The longest sleep while a deadline is set: timers of the OS stand still in a suspend, the
/// lease clock does not.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// Where the event loop of one actor turns: shared by its thread and by all who bring commands.
pub struct Station<M: Machine> {
    handle: Handle<M>,
    arrivals: Arrivals<Message<M>>,
    clock: Arc<dyn Clock>,
    seat: Baton<Seat<M>>,
}

/// For whoever is at the loop.
struct Seat<M: Machine> {
    work: Work<M>,
    /// When the thread looks by itself, whether mail comes or not; `None` is never.
    looks: Option<Instant>,
}

/// What becomes of what a turn has left in the journal's mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    WakeTheJournal,
    /// Somebody knows of it.
    LeaveIt,
}

enum Work<M: Machine> {
    GoesOn(Box<Actor<M>>),
    Over,
    /// The machine panicked, with this.
    Panicked(Box<dyn Any + Send>),
}

impl<M: Machine> fmt::Debug for Station<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Station")
    }
}

impl<M> Station<M>
where
    M: Machine,
    M::Command: Send + 'static,
    M::Outcome: Send + 'static,
{
    /// The station of `actor`, which `handle` reaches.
    pub fn new(actor: Actor<M>, handle: Handle<M>) -> Self {
        let (arrivals, clock) = (actor.mailbox.arrivals(), Arc::clone(&actor.clock));
        let work = Work::GoesOn(Box::new(actor));
        Self { handle, arrivals, clock, seat: Baton::new(Seat { work, looks: None }) }
    }

    /// How to reach the actor without taking a turn.
    pub fn handle(&self) -> &Handle<M> {
        &self.handle
    }

    /// The actor's thread: runs until the actor is told to stop, or the persistence actor is gone.
    ///
    /// # Panics
    /// If the machine did, on whichever thread.
    pub fn run(&self) {
        while let ControlFlow::Continue(sleep) = self.turn() {
            self.arrivals.wait(sleep);
        }
        let end = std::mem::replace(&mut self.seat.take().work, Work::Over);
        if let Work::Panicked(panic) = end {
            resume_unwind(panic);
        }
    }

    /// As [`Handle::ask`], in this very moment if nobody is at the loop.
    ///
    /// # Errors
    /// As there.
    pub fn ask(&self, command: M::Command) -> Result<Waiting<M::Outcome>, NotTaken> {
        let (asked, waiting) = self.handle.prepare(command);
        self.handle.leave(vec![asked]).map_err(|(_, why)| why)?;
        self.attend();
        Ok(waiting)
    }

    /// As [`Handle::ask_all`], in this very moment if nobody is at the loop. Says whether another
    /// thread has something to do now.
    pub fn ask_all(&self, asked: Vec<Asked<M>>) -> bool {
        self.bring(asked, Then::WakeTheJournal)
    }

    /// As [`Station::ask_all`], but nobody is woken to commit what comes of it: whoever asks so sees to
    /// that, if this says that there may be something to commit.
    #[must_use]
    pub fn ask_quietly(&self, asked: Vec<Asked<M>>) -> bool {
        self.bring(asked, Then::LeaveIt)
    }

    fn bring(&self, asked: Vec<Asked<M>>, then: Then) -> bool {
        if asked.is_empty() {
            return false;
        }
        match self.handle.leave(asked) {
            Ok(()) => self.attend_and(then),
            Err((asked, why)) => {
                refuse(asked, why);
                false
            }
        }
    }

    /// As [`Station::ask`], but without the way through the mailbox if nobody is at the loop, and
    /// there is nothing else to do.
    pub fn ask_at_once(&self, command: M::Command) -> Told<M::Outcome> {
        let command = match self.seat.try_take() {
            Some(mut seat) => match seat.turn_with(command, &self.handle) {
                Some(Ok(told)) => {
                    self.get_up(seat, Then::WakeTheJournal);
                    return told;
                }
                Some(Err(command)) => command,
                None => return Told::Later(self.handle.unanswered()),
            },
            None => command,
        };
        let (asked, waiting) = self.handle.prepare(command);
        self.ask_all(vec![asked]);
        Told::Later(waiting)
    }

    /// Takes a turn, if nobody is at the loop; otherwise has the thread look for what is in the
    /// mailbox. Says whether another thread has something to do now.
    pub fn attend(&self) -> bool {
        self.attend_and(Then::WakeTheJournal)
    }

    fn attend_and(&self, then: Then) -> bool {
        let Some(mut seat) = self.seat.try_take().filter(|seat| !seat.waits()) else {
            self.handle.address.wake();
            return true;
        };
        seat.turn(Patience::None);
        self.get_up(seat, then)
    }

    /// Leaves the loop after a turn. Says whether another thread has something to do now.
    fn get_up(&self, mut seat: BatonGuard<'_, Seat<M>>, then: Then) -> bool {
        let is_due_before_the_thread_looks = match (seat.due(), seat.looks) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(due), Some(looks)) => due < looks,
        };
        let handed_on = seat.has_handed_on(then);
        drop(seat);
        if is_due_before_the_thread_looks && self.handle.address.try_send(Message::Nudge).is_err() {
            self.handle.address.wake();
        }
        handed_on || is_due_before_the_thread_looks
    }

    /// A turn on the actor's own thread, and how long to wait for mail then; `None` is for ever.
    fn turn(&self) -> ControlFlow<(), Option<Duration>> {
        let mut seat = self.seat.take();
        if seat.turn(Patience::Unlimited) == Flow::Stopped {
            return ControlFlow::Break(());
        }
        // That has woken whom it had to.
        seat.has_handed_on(Then::LeaveIt);
        let Some(due) = seat.due() else {
            seat.looks = None;
            return ControlFlow::Continue(None);
        };
        let now = self.clock.now();
        let sleep = due.since(now).min(LONGEST_SLEEP);
        seat.looks = Some(now + sleep);
        ControlFlow::Continue(Some(sleep))
    }
}

impl<M> Seat<M>
where
    M: Machine,
    M::Command: Send + 'static,
    M::Outcome: Send + 'static,
{
    fn turn(&mut self, patience: Patience) -> Flow {
        self.with_actor(|actor| (actor.turn(patience), ())).map_or(Flow::Stopped, |(flow, ())| flow)
    }

    /// A turn with this command alone, or the command back; nothing if the loop is over.
    fn turn_with(
        &mut self,
        command: M::Command,
        handle: &Handle<M>,
    ) -> Option<Result<Told<M::Outcome>, M::Command>> {
        self.with_actor(|actor| actor.turn_with(command, handle)).map(|(_, told)| told)
    }

    /// Has the actor do something; nothing if the loop is over, or is so by this.
    fn with_actor<T>(
        &mut self,
        something: impl FnOnce(&mut Actor<M>) -> (Flow, T),
    ) -> Option<(Flow, T)> {
        let Work::GoesOn(actor) = &mut self.work else { return None };
        // After a panic of the machine the actor is in no state to go on, on whichever thread. Whoever
        // brought the commands is not to blame: what is to be done, the actor's own thread knows.
        match catch_unwind(AssertUnwindSafe(|| something(actor))) {
            Ok(done) => {
                if done.0 == Flow::Stopped {
                    // With the actor goes its mailbox: that wakes the thread, and whoever waits.
                    self.work = Work::Over;
                }
                Some(done)
            }
            Err(panic) => {
                // The same.
                self.work = Work::Panicked(panic);
                None
            }
        }
    }

    /// Whether the loop has to wait for something, as only the thread does.
    fn waits(&self) -> bool {
        match &self.work {
            Work::GoesOn(actor) => actor.waits(),
            Work::Over | Work::Panicked(_) => false,
        }
    }

    /// Whether the journal was given something since this was asked.
    fn has_handed_on(&mut self, then: Then) -> bool {
        let Work::GoesOn(actor) = &mut self.work else { return false };
        let handed_on = std::mem::take(&mut actor.handed_on);
        if handed_on && then == Then::WakeTheJournal {
            actor.journal.wake();
        }
        handed_on
    }

    fn due(&self) -> Option<Instant> {
        match &self.work {
            Work::GoesOn(actor) => actor.due(),
            Work::Over | Work::Panicked(_) => None,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
