//! Machines and event loops with a flaw.

use crate::{
    mailbox::Receiving,
    service::{Ask, Journal, Loop, Service},
};
use octostore_actors::{
    actor::NotTaken,
    commit::Turn,
    domain::{
        Answer, Effects, Machine, Moment, Room, Ticket,
        lock::{LockCommand, LockMachine, LockOutcome},
    },
    mailbox::{Address, Mailbox, Refused, mailbox},
    progress::{Progress, Seq},
    reply::{Home, Reply, Waiting, reply},
    sync::Arc,
    time::{Clock, Instant},
};
use std::num::NonZeroUsize;

/// The lock machine but for a flaw; for the shipped event loop.
pub struct Flawed<const FORGETS_RETURNS: bool, const HASTY: bool>(LockMachine);

/// Forgets what comes back: a grant that reached nobody stays.
pub type Forgetful = Flawed<true, false>;

/// Lets refusals and reads go at once, whatever they saw: they changed nothing, after all.
pub type Hasty = Flawed<false, true>;

impl<const FORGETS_RETURNS: bool, const HASTY: bool> From<LockMachine>
    for Flawed<FORGETS_RETURNS, HASTY>
{
    fn from(machine: LockMachine) -> Self {
        Self(machine)
    }
}

impl<const FORGETS_RETURNS: bool, const HASTY: bool> Machine for Flawed<FORGETS_RETURNS, HASTY> {
    type Command = LockCommand;
    type Outcome = LockOutcome;

    fn apply(
        &mut self,
        moment: Moment,
        ticket: Ticket,
        command: LockCommand,
        effects: &mut Effects<LockOutcome>,
    ) {
        self.0.apply(moment, ticket, command, effects);
        let answers: Vec<_> = effects.take_answers().collect();
        for Answer { ticket, outcome, depends_on } in answers {
            let changes_nothing = matches!(outcome, LockOutcome::Held(_) | LockOutcome::Status(_));
            let depends_on = if HASTY && changes_nothing { Seq::NONE } else { depends_on };
            effects.answer(ticket, outcome, depends_on);
        }
    }

    fn undelivered(&mut self, outcome: LockOutcome, effects: &mut Effects<LockOutcome>) {
        if !FORGETS_RETURNS {
            self.0.undelivered(outcome, effects);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    fn on_deadline(&mut self, now: Instant, effects: &mut Effects<LockOutcome>) {
        self.0.on_deadline(now, effects);
    }

    fn settle(&mut self, durable: Seq) {
        self.0.settle(durable);
    }

    fn rewind(&mut self, durable: Seq) {
        self.0.rewind(durable);
    }

    fn close(&mut self, effects: &mut Effects<LockOutcome>) {
        self.0.close(effects);
    }
}

/// An event loop to which answers that reached nobody come back by a send that waits for room.
pub fn gives_back_by_waiting(
    machine: LockMachine,
    room: NonZeroUsize,
    journal: Journal,
    clock: Arc<dyn Clock>,
) -> (Service, Loop) {
    simple(machine, room, journal, clock, drop)
}

/// An event loop that ends and leaves its mailbox behind, with what is queued.
pub fn leaves_its_mailbox_behind(
    machine: LockMachine,
    room: NonZeroUsize,
    journal: Journal,
    clock: Arc<dyn Clock>,
) -> (Service, Loop) {
    simple(machine, room, journal, clock, std::mem::forget)
}

enum Message {
    Command(LockCommand, Reply<LockOutcome>),
    Back(LockOutcome),
    Stop,
}

struct Desk(Address<Message>);

impl Ask for Desk {
    fn ask(&self, command: LockCommand) -> Result<Waiting<LockOutcome>, NotTaken> {
        let home = Arc::new(WaitsForRoom(self.0.clone()));
        let (reply, waiting) = reply(home as Arc<dyn Home<LockOutcome>>);
        self.0.try_send(Message::Command(command, reply)).map_err(|refused| match refused {
            Refused::Full(_) => NotTaken::Overloaded,
            Refused::Closed(_) => NotTaken::Stopped,
        })?;
        Ok(waiting)
    }

    fn stop(&self) {
        let _gone = self.0.send(Message::Stop);
    }
}

struct WaitsForRoom(Address<Message>);

impl Home<LockOutcome> for WaitsForRoom {
    fn give_back(&self, outcome: LockOutcome) {
        let _gone = self.0.send(Message::Back(outcome));
    }
}

/// The simplest event loop: one message a turn, and every answer waits for its commit.
fn simple(
    mut machine: LockMachine,
    room: NonZeroUsize,
    journal: Journal,
    clock: Arc<dyn Clock>,
    leave: fn(Mailbox<Message>),
) -> (Service, Loop) {
    let (address, mailbox) = mailbox(room);
    let event_loop = move || {
        let progress = Arc::new(Progress::default());
        let mut effects = Effects::default();
        let ticket = Ticket::new(0);
        while let Some(message) = mailbox.receive() {
            let reply = match message {
                Message::Command(command, reply) => {
                    let moment = Moment { now: clock.now(), room: Room::Available };
                    machine.apply(moment, ticket, command, &mut effects);
                    Some(reply)
                }
                Message::Back(outcome) => {
                    machine.undelivered(outcome, &mut effects);
                    None
                }
                Message::Stop => break,
            };
            let held = reply
                .into_iter()
                .zip(effects.take_answers())
                .map(|(reply, answer)| reply.hold(answer.outcome))
                .collect();
            let turn = Turn {
                progress: Arc::clone(&progress),
                epoch: progress.epoch(),
                upto: effects.last(),
                records: effects.take_records(),
                held,
            };
            if !turn.is_empty() && journal.address.send(turn.into()).is_err() {
                break;
            }
        }
        leave(mailbox);
    };
    (Arc::new(Desk(address)), Box::new(event_loop))
}
