//! The event loop: one machine, one turn after the other.
//!
//! A turn takes what is queued, lets the machine decide, and sends what must be written on its
//! way together with the answers that depend on it. It never waits for the disk: memory runs
//! ahead, answers do not. On whose thread it is, and when, is the matter of the [`Station`].
//!
//! The order within a turn is a promise: the clock is read first, then everything that was queued by then
//! is handled, by a second reading, and only then does anything expire, by the first. After a stall (a stopped
//! or suspended process) expiry waits a little longer still, because what was sent to us meanwhile may not even
//! be in the mailbox yet ([`expiry`]).

mod expiry;
mod handle;
mod standstill;
mod station;
#[cfg(all(test, not(loom)))]
mod tests;

pub use expiry::{GRACE, STALL};
pub use handle::{Asked, Handle, NotTaken};
pub use standstill::Standstill;
pub use station::{Station, Then, Told};

use crate::{
    commit::{JournalMessage, Turn},
    domain::{Answer, Effects, Machine, Moment, Record, Room, Table, Ticket},
    mailbox::{Address, Mailbox, Refused, mailbox},
    progress::{Epoch, Progress, Seq},
    reply::{Alarm, Held, Home, Nowhere, Reply, Waiting, WakeHere, reply},
    sync::{Arc, block_on},
    time::{Clock, Instant},
    watch::{Seen, Unwatched, Watch},
};
use expiry::Expiry;
use handle::{Message, Returns};
use std::{
    collections::VecDeque,
    fmt,
    num::NonZeroUsize,
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

/// The longest sleep while a deadline is set: timers of the OS stand still in a suspend, the
/// lease clock does not; and whoever wakes late from it knows that it stood still.
const LONGEST_SLEEP: Duration = Duration::from_millis(250);

/// How long after the store refused a row the next one is tried.
pub const ROOM_RETRY: Duration = Duration::from_secs(1);

/// About how many commands are handled before their effects are sent on.
const COMMANDS_AT_ONCE: usize = 128;

/// Whether there is another turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// There is.
    Continue,
    /// That was the last.
    Stopped,
}

/// How long a turn waits for the persistence actor: for room in its mailbox, and in the end for the
/// last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as it takes: for the thread of the actor.
    Unlimited,
    /// Not at all: for whoever has other things to do. The persistence actor is not woken for what the turn
    /// leaves in its mailbox: whoever takes the turn wakes it, or commits.
    None,
}

/// One domain's event loop.
pub struct Actor<M: Machine> {
    machine: M,
    effects: Effects<M::Outcome>,
    mailbox: Mailbox<Message<M>>,
    returns: Arc<Returns<M>>,
    /// The replies of commands that are not answered yet.
    open: Table<Ticket, Reply<M::Outcome>>,
    next_ticket: u64,
    journal: Address<JournalMessage>,
    progress: Arc<Progress>,
    epoch: Epoch,
    clock: Arc<dyn Clock>,
    alarm: Arc<dyn Alarm>,
    watch: Arc<dyn Watch>,
    expiry: Expiry,
    /// No new rows before this.
    room_from: Instant,
    /// Turns that the journal had no room for yet, in order.
    unsent: VecDeque<JournalMessage>,
    /// The journal was given something for which nobody has woken it yet.
    handed_on: bool,
    /// Told to stop, it waits until what it has sent on is committed, or refused.
    barrier: Option<Waiting<()>>,
}

impl<M: Machine> Actor<M> {
    /// An actor that runs `machine`, with room for `capacity` messages, and how to reach it.
    /// What it decides goes to `journal`.
    pub fn new(
        machine: M,
        capacity: NonZeroUsize,
        journal: Address<JournalMessage>,
        clock: Arc<dyn Clock>,
    ) -> (Self, Handle<M>) {
        let (address, mailbox) = mailbox(capacity);
        let returns = Arc::new(Returns::new(address.clone()));
        let refused = address.clone();
        let progress = Arc::new(Progress::new(Box::new(move || refused.call())));
        let handle = Handle { address, home: Arc::clone(&returns) as Arc<dyn Home<M::Outcome>> };
        let actor = Self {
            machine,
            effects: Effects::default(),
            mailbox,
            returns,
            open: Table::default(),
            next_ticket: 0,
            journal,
            epoch: progress.epoch(),
            progress,
            expiry: Expiry::new(clock.now()),
            room_from: Instant::default(),
            unsent: VecDeque::new(),
            handed_on: false,
            barrier: None,
            clock,
            alarm: Arc::new(WakeHere),
            watch: Arc::new(Unwatched),
        };
        (actor, handle)
    }

    /// Has `alarm` wake those whom this actor answers itself.
    #[must_use]
    pub fn with_alarm(mut self, alarm: Arc<dyn Alarm>) -> Self {
        self.alarm = alarm;
        self
    }

    /// Shows `watch` how this stands, from now on.
    #[must_use]
    pub fn with_watch(self, watch: Arc<dyn Watch>) -> Self {
        let actor = Self { watch, ..self };
        actor.show();
        actor
    }

    /// Has nothing expire while `standstill` says that what was sent in time may not have been brought.
    #[must_use]
    pub fn with_standstill(mut self, standstill: Arc<Standstill>) -> Self {
        self.expiry.wait_for(standstill);
        self
    }

    /// One turn: does what there is to do, and sends the effects on. Does not wait for messages.
    ///
    /// If the journal has no room for what a turn has decided, and `patience` is none, the next turns
    /// do nothing until it has; and nobody is woken for what its last part has decided.
    pub fn turn(&mut self, patience: Patience) -> Flow {
        if self.flush(patience) == Flow::Stopped {
            return Flow::Stopped;
        }
        if !self.unsent.is_empty() {
            return Flow::Continue;
        }
        if let Some(barrier) = self.barrier.take() {
            return self.pass(barrier, patience);
        }
        // In this order: what was queued when the clock was read is counted after it was read.
        let now = self.clock.now();
        let queued = self.mailbox.len();
        // What is in the mailbox may have come later than that, if this thread lost its core in between.
        // A lease lasts from when it was asked for, and a window counts until then.
        let decided = if queued > 0 { self.clock.now() } else { now };
        self.catch_up(now);

        let mut handled = 0;
        for _ in 0..queued {
            match self.mailbox.try_receive() {
                Some(Message::Commands(asked)) => {
                    handled += asked.len();
                    for Asked { command, reply } in asked {
                        let ticket = self.decide(decided, command);
                        self.open.insert(ticket, reply);
                    }
                }
                Some(Message::Stop) => return self.close(patience),
                None => break,
            }
            if handled >= COMMANDS_AT_ONCE {
                handled = 0;
                if self.send_effects(patience) == Flow::Stopped {
                    return Flow::Stopped;
                }
                // There is enough to do for both.
                self.journal.wake();
            }
        }
        self.take_returns();
        self.expire(now);
        self.expiry.was_awake(now);
        self.send_effects(patience)
    }

    /// Whether there is something to wait for: room in the journal, or in the end the last commit.
    fn waits(&self) -> bool {
        !self.unsent.is_empty() || self.barrier.is_some()
    }

    /// When the next turn is due if no message comes: in the past is at once, `None` is never.
    pub fn due(&self) -> Option<Instant> {
        if self.waits() {
            return Some(Instant::default());
        }
        self.machine.next_deadline().map(|deadline| self.expiry.due(deadline))
    }

    /// Takes note of what became durable, or was refused, since the last turn.
    fn catch_up(&mut self, now: Instant) {
        let epoch = self.progress.epoch();
        let durable = self.progress.durable();
        self.machine.settle(durable);
        if epoch != self.epoch {
            self.epoch = epoch;
            self.machine.rewind(durable);
            self.expiry.were_undone(self.effects.last());
            self.room_from = now + ROOM_RETRY;
            // What could not be written is not tried again at once, or it would be all we do.
            self.expiry.pause_until(self.room_from);
        }
    }

    /// Has the machine decide. The caller enters the reply for this ticket in `open`.
    fn decide(&mut self, now: Instant, command: M::Command) -> Ticket {
        let ticket = Ticket::new(self.next_ticket);
        self.next_ticket += 1;
        let room = if now < self.room_from { Room::Exhausted } else { Room::Available };
        self.machine.apply(Moment { now, room }, ticket, command, &mut self.effects);
        ticket
    }

    /// A turn for this one command, past the mailbox. If there is something else to do, the command comes
    /// back, and has to go through there.
    pub fn turn_with(
        &mut self,
        command: M::Command,
    ) -> (Flow, Result<Told<M::Outcome>, M::Command>) {
        // The clock comes first here too.
        let now = self.clock.now();
        if !self.mailbox.is_empty() || self.due().is_some_and(|due| due <= now) {
            return (Flow::Continue, Err(command));
        }
        self.catch_up(now);
        let ticket = self.decide(now, command);
        self.expiry.was_awake(now);
        if let Some(outcome) = self.effects.take_only_answer(ticket, self.progress.durable()) {
            self.show();
            return (Flow::Continue, Ok(Told::Now(outcome)));
        }
        let (reply, waiting) = reply(Arc::clone(&self.returns) as Arc<dyn Home<M::Outcome>>);
        self.open.insert(ticket, reply);
        (self.send_effects(Patience::None), Ok(Told::Later(waiting)))
    }

    fn take_returns(&mut self) {
        for outcome in self.returns.take() {
            self.machine.undelivered(outcome, &mut self.effects);
        }
    }

    fn expire(&mut self, now: Instant) {
        let Some(deadline) = self.machine.next_deadline().filter(|&deadline| deadline <= now)
        else {
            return;
        };
        if !self.expiry.may_end(deadline, now, self.progress.durable()) {
            return;
        }
        let before = self.effects.last();
        self.machine.on_deadline(now, &mut self.effects);
        if self.effects.last() > before {
            self.expiry.has_ended(self.effects.last());
        }
    }

    /// Lets go what depends on nothing, and sends on the rest with what it depends on.
    fn send_effects(&mut self, patience: Patience) -> Flow {
        self.show();
        let durable = self.progress.durable();
        let upto = self.effects.last();
        let records = self.effects.take_records();
        let (mut held, mut sleepers) = (Vec::new(), Vec::new());
        for Answer { ticket, outcome, depends_on } in self.effects.take_answers() {
            let Some(reply) = self.open.remove(&ticket) else {
                unreachable!("a machine answered a ticket twice, or one it was not given");
            };
            if depends_on <= durable {
                sleepers.extend(reply.send_quietly(outcome));
            } else {
                held.push(reply.hold(outcome));
            }
        }
        if !sleepers.is_empty() {
            self.alarm.wake(sleepers);
        }
        self.send(held, records, upto, patience)
    }

    fn show(&self) {
        self.watch.see(Seen { commands: self.next_ticket, census: self.machine.census() });
    }

    /// Sends on what this turn has decided, of this epoch.
    fn send(
        &mut self,
        held: Vec<Held>,
        records: Vec<Record>,
        upto: Seq,
        patience: Patience,
    ) -> Flow {
        let progress = Arc::clone(&self.progress);
        let turn = Turn { progress, epoch: self.epoch, upto, records, held };
        if turn.is_empty() {
            return Flow::Continue;
        }
        self.unsent.push_back(turn.into());
        self.flush(patience)
    }

    /// Sends on what is unsent, as far as `patience` goes.
    fn flush(&mut self, patience: Patience) -> Flow {
        while let Some(turn) = self.unsent.pop_front() {
            let sent = match patience {
                Patience::None => self.journal.try_leave(turn),
                Patience::Unlimited => self.journal.send(turn).map_err(Refused::Closed),
            };
            match sent {
                Ok(()) => self.handed_on |= patience == Patience::None,
                Err(Refused::Full(turn)) => {
                    self.unsent.push_front(turn);
                    return Flow::Continue;
                }
                // The persistence actor only ends early when a commit failed: then nothing that we
                // decide can be told any more, and the dropped turn says so to whoever waits.
                Err(Refused::Closed(_)) => return Flow::Stopped,
            }
        }
        Flow::Continue
    }

    /// The last turns: sends on what is left, with a barrier behind it. When that is passed, every
    /// answer on its way was let go.
    fn close(&mut self, patience: Patience) -> Flow {
        self.take_returns();
        if self.send_effects(patience) == Flow::Stopped {
            return Flow::Stopped;
        }
        let (reply, passed) = reply(Arc::new(Nowhere));
        self.barrier = Some(passed);
        self.send(vec![reply.hold(())], Vec::new(), self.effects.last(), patience)
    }

    /// The very last turn: waits until everything sent on so far is committed and let go, or
    /// refused, and takes back what reached nobody, so that no grant outlives the process without
    /// a holder who knows of it. Whoever calls [`Handle::stop`] sees to it before that nobody
    /// waits any more.
    fn pass(&mut self, mut barrier: Waiting<()>, patience: Patience) -> Flow {
        match patience {
            // Refused or passed, the queue is empty; what else happened shows at the next send.
            Patience::Unlimited => drop(block_on(barrier)),
            Patience::None => {
                let mut context = Context::from_waker(Waker::noop());
                if Pin::new(&mut barrier).poll(&mut context).is_pending() {
                    self.barrier = Some(barrier);
                    return Flow::Continue;
                }
            }
        }
        self.catch_up(self.clock.now());
        self.take_returns();
        self.machine.close(&mut self.effects);
        // Nobody comes back to what is left.
        self.send_effects(Patience::Unlimited);
        Flow::Stopped
    }
}

impl<M: Machine> fmt::Debug for Actor<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
