//! On whose thread the event loop turns.
//!
//! An actor has a thread. It sleeps until there is mail or a deadline is due, and waits for whatever
//! has to be waited for. But to wake it takes longer than most turns do, and on few cores it waits
//! for one first. So whoever brings commands also takes the turn, if nobody is at the loop: the
//! loop is handed from thread to thread, and is never on two. Only if somebody else is at it, or
//! there is something to wait for, is the thread woken.
//!
//! Nothing is left behind:
//! - Commands are in the mailbox before anybody looks whether the loop is free. Whoever finds it
//!   taken rings; the thread looks into the mailbox before it sleeps.
//! - Whoever has the loop, and asks for an answer at once, looks into the mailbox first: only if it is
//!   empty does that command not need to be there.
//! - After a turn by which the loop is due earlier than the thread looks by itself, the thread is called,
//!   which it hears also if it is only about to sleep.
//! - A loop that has to wait for something is left to the thread, which was told when that began.

use super::{
    Actor, Asked, Flow, Handle, LONGEST_SLEEP, NotTaken, Patience,
    handle::{Message, refuse},
};
use crate::{
    domain::Machine,
    mailbox::Arrivals,
    reply::Waiting,
    sync::{Arc, Baton, BatonGuard},
    time::{Clock, Instant},
    work::Work,
};
use std::{fmt, ops::ControlFlow, time::Duration};

/// Where the event loop of one actor turns: shared by its thread and by all who bring commands.
pub struct Station<M: Machine> {
    handle: Handle<M>,
    arrivals: Arrivals<Message<M>>,
    clock: Arc<dyn Clock>,
    seat: Baton<Seat<M>>,
}

/// For whoever is at the loop.
struct Seat<M: Machine> {
    work: Work<Actor<M>>,
    /// When the thread looks by itself, whether mail comes or not; `None` is never.
    looks: Option<Instant>,
}

/// What becomes of what a turn has left in the journal's mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The journal's thread is woken for it.
    WakeTheJournal,
    /// Whoever takes the turn sees to it that it is committed.
    LeaveIt,
}

/// What comes of a command that was asked for an answer at once.
#[derive(Debug)]
pub enum Told<T> {
    /// The answer, which depends on nothing that is not on disk. It was picked up with this.
    Now(T),
    /// There is something to wait for first.
    Later(Waiting<T>),
}

impl<M: Machine> fmt::Debug for Station<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Station")
    }
}

impl<M: Machine> Station<M> {
    /// The station of `actor`, which `handle` reaches.
    pub fn new(actor: Actor<M>, handle: Handle<M>) -> Self {
        let (arrivals, clock) = (actor.mailbox.arrivals(), Arc::clone(&actor.clock));
        let seat = Baton::new(Seat { work: Work::new(actor), looks: None });
        Self { handle, arrivals, clock, seat }
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
        // The seat is free before a panic goes on from here.
        let work = self.seat.take().work.take();
        work.end();
    }

    /// As [`Handle::ask`], in this very moment if nobody is at the loop. For models and tests.
    ///
    /// # Errors
    /// As there.
    pub fn ask(&self, command: M::Command) -> Result<Waiting<M::Outcome>, NotTaken> {
        let (asked, waiting) = self.handle.prepare(command);
        self.handle.leave(vec![asked]).map_err(|(_, why)| why)?;
        self.attend(Then::WakeTheJournal);
        Ok(waiting)
    }

    /// As [`Handle::ask_all`], in this very moment if nobody is at the loop. Says whether there is
    /// something to do now for another thread, or for whoever is to commit.
    pub fn ask_all(&self, asked: Vec<Asked<M>>, then: Then) -> bool {
        if asked.is_empty() {
            return false;
        }
        match self.handle.leave(asked) {
            Ok(()) => self.attend(then),
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
            Some(mut seat) => match seat.turn_with(command) {
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
        self.ask_all(vec![asked], Then::WakeTheJournal);
        Told::Later(waiting)
    }

    /// Takes a turn, if nobody is at the loop; otherwise has the thread look for what is in the
    /// mailbox. Says what [`Station::ask_all`] does.
    pub fn attend(&self, then: Then) -> bool {
        let Some(mut seat) = self.seat.try_take().filter(|seat| !seat.waits()) else {
            self.handle.address.wake();
            return true;
        };
        seat.turn(Patience::None);
        self.get_up(seat, then)
    }

    /// Leaves the loop after a turn. Says what [`Station::ask_all`] does.
    fn get_up(&self, mut seat: BatonGuard<'_, Seat<M>>, then: Then) -> bool {
        let looks = seat.looks;
        let is_due_before_the_thread_looks =
            seat.due().is_some_and(|due| looks.is_none_or(|looks| due < looks));
        let handed_on = seat.hand_on(then);
        drop(seat);
        if is_due_before_the_thread_looks {
            self.handle.address.call();
        }
        handed_on || is_due_before_the_thread_looks
    }

    /// A turn on the actor's own thread, and how long to wait for mail then; `None` is for ever.
    fn turn(&self) -> ControlFlow<(), Option<Duration>> {
        let mut seat = self.seat.take();
        if seat.turn(Patience::Unlimited) == Flow::Stopped {
            return ControlFlow::Break(());
        }
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

impl<M: Machine> Seat<M> {
    fn turn(&mut self, patience: Patience) -> Flow {
        self.have(|actor| (actor.turn(patience), ())).map_or(Flow::Stopped, |(flow, ())| flow)
    }

    /// A turn with this command alone, or the command back; `None` if the loop is over.
    fn turn_with(&mut self, command: M::Command) -> Option<Result<Told<M::Outcome>, M::Command>> {
        self.have(|actor| actor.turn_with(command)).map(|(_, told)| told)
    }

    /// Has the actor do something; `None` if the loop was over already, or ends with this.
    fn have<T>(&mut self, something: impl FnOnce(&mut Actor<M>) -> (Flow, T)) -> Option<(Flow, T)> {
        let done = self.work.have(something)?;
        if done.0 == Flow::Stopped {
            // With the actor goes its mailbox: that wakes the thread, and whoever waits.
            self.work = Work::Over;
        }
        Some(done)
    }

    /// Whether the loop has to wait for something, as only the thread does.
    fn waits(&self) -> bool {
        self.work.get().is_some_and(|actor| actor.waits())
    }

    /// Wakes the journal for what it was given since this was last asked, unless that is left to somebody
    /// else. Says whether it was given anything.
    fn hand_on(&mut self, then: Then) -> bool {
        let Some(actor) = self.work.get_mut() else { return false };
        let handed_on = std::mem::take(&mut actor.handed_on);
        if handed_on && then == Then::WakeTheJournal {
            actor.journal.wake();
        }
        handed_on
    }

    fn due(&self) -> Option<Instant> {
        self.work.get()?.due()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
