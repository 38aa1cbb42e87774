//! Event loops that are handed from thread to thread, and forget somebody.

use crate::service::{Ask, Journal, Loop, Service};
use octostore_actors::{
    actor::NotTaken,
    commit::{JournalMessage, Turn},
    domain::{
        Effects, Machine, Moment, Room, Ticket,
        lock::{LockCommand, LockMachine, LockOutcome},
    },
    mailbox::{Address, Arrivals, Mailbox, Refused, mailbox},
    progress::Progress,
    reply::{Home, Reply, Waiting, reply},
    sync::{Arc, Baton},
    time::Clock,
};
use std::num::NonZeroUsize;

#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    /// Whoever finds somebody at the loop leaves its command there, and goes.
    LeavesSilently,
    /// What is unsent is told by the bell, which a thread that does not sleep yet does not hear.
    RingsUnheard,
}

/// An event loop to which commands are brought; if somebody is at it, he is not told.
pub fn leaves_silently(
    machine: LockMachine,
    room: NonZeroUsize,
    journal: Journal,
    clock: Arc<dyn Clock>,
) -> (Service, Loop) {
    simple(machine, room, journal, clock, Flaw::LeavesSilently)
}

/// An event loop whose thread is not told of what it has to send if it is just about to sleep.
pub fn rings_unheard(
    machine: LockMachine,
    room: NonZeroUsize,
    journal: Journal,
    clock: Arc<dyn Clock>,
) -> (Service, Loop) {
    simple(machine, room, journal, clock, Flaw::RingsUnheard)
}

enum Message {
    Command(LockCommand, Reply<LockOutcome>),
    Stop,
}

struct Seat {
    machine: LockMachine,
    effects: Effects<LockOutcome>,
    progress: Arc<Progress>,
    mailbox: Mailbox<Message>,
    journal: Address<JournalMessage>,
    clock: Arc<dyn Clock>,
    unsent: Option<JournalMessage>,
    stopped: bool,
}

impl Seat {
    fn turn(&mut self, waits: bool) {
        self.flush(waits);
        while self.unsent.is_none()
            && let Some(message) = self.mailbox.try_receive()
        {
            match message {
                Message::Command(command, reply) => self.apply(command, reply),
                Message::Stop => self.stopped = true,
            }
            self.flush(waits);
        }
    }

    fn apply(&mut self, command: LockCommand, reply: Reply<LockOutcome>) {
        let moment = Moment { now: self.clock.now(), room: Room::Available };
        self.machine.apply(moment, Ticket::new(0), command, &mut self.effects);
        let answers = self.effects.take_answers();
        let held = [reply].into_iter().zip(answers).map(|(reply, it)| reply.hold(it.outcome));
        let held = held.collect();
        let turn = Turn {
            progress: Arc::clone(&self.progress),
            epoch: self.progress.epoch(),
            upto: self.effects.last(),
            records: self.effects.take_records(),
            held,
        };
        self.unsent = Some(turn.into());
    }

    fn flush(&mut self, waits: bool) {
        let Some(turn) = self.unsent.take() else { return };
        if waits {
            let _gone = self.journal.send(turn);
        } else if let Err(Refused::Full(turn)) = self.journal.try_send(turn) {
            self.unsent = Some(turn);
        }
    }
}

struct Station {
    seat: Baton<Seat>,
    address: Address<Message>,
    arrivals: Arrivals<Message>,
    flaw: Flaw,
}

impl Station {
    fn run(&self) {
        loop {
            {
                let mut seat = self.seat.take();
                seat.turn(true);
                if seat.stopped {
                    return;
                }
            }
            self.arrivals.wait(None);
        }
    }
}

struct Nowhere;

impl Home<LockOutcome> for Nowhere {
    fn give_back(&self, _: LockOutcome) {}
}

impl Ask for Station {
    fn ask(&self, command: LockCommand) -> Result<Waiting<LockOutcome>, NotTaken> {
        let (reply, waiting) = reply(Arc::new(Nowhere) as Arc<dyn Home<LockOutcome>>);
        self.address.try_leave(Message::Command(command, reply)).map_err(
            |refused| match refused {
                Refused::Full(_) => NotTaken::Overloaded,
                Refused::Closed(_) => NotTaken::Stopped,
            },
        )?;
        if let Some(mut seat) = self.seat.try_take() {
            seat.turn(false);
            if seat.unsent.is_some() {
                drop(seat);
                self.address.wake();
            }
        } else if self.flaw != Flaw::LeavesSilently {
            self.address.wake();
        }
        Ok(waiting)
    }

    fn stop(&self) {
        let _gone = self.address.send(Message::Stop);
    }
}

fn simple(
    machine: LockMachine,
    room: NonZeroUsize,
    journal: Journal,
    clock: Arc<dyn Clock>,
    flaw: Flaw,
) -> (Service, Loop) {
    let (address, mailbox) = mailbox(room);
    let arrivals = mailbox.arrivals();
    let seat = Seat {
        machine,
        effects: Effects::default(),
        progress: Arc::new(Progress::default()),
        mailbox,
        journal: journal.address,
        clock,
        unsent: None,
        stopped: false,
    };
    let station = Arc::new(Station { seat: Baton::new(seat), address, arrivals, flaw });
    let service: Service = Arc::clone(&station) as _;
    (service, Box::new(move || station.run()))
}
