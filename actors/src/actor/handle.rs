//! How to reach an actor, and how what reached nobody comes back to it.

use crate::{
    domain::Machine,
    mailbox::{Address, Refused},
    reply::{Home, Lost, Reply, Waiting, reply},
    sync::{Arc, Mutex, lock},
};
use std::fmt;

/// How to reach an actor. Clones reach the same one.
pub struct Handle<M: Machine> {
    pub(super) address: Address<Message<M>>,
    pub(super) home: Arc<dyn Home<M::Outcome>>,
}

/// A command that somebody waits for.
pub struct Asked<M: Machine> {
    pub(super) command: M::Command,
    pub(super) reply: Reply<M::Outcome>,
}

/// Why an actor did not take a command. Nothing of it was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Its mailbox is full.
    #[error("the mailbox is full")]
    Overloaded,
    /// It has stopped.
    #[error("the actor has stopped")]
    Stopped,
}

/// What is in its mailbox.
pub(super) enum Message<M: Machine> {
    /// Commands, in order, each with where its answer goes.
    Commands(Vec<Asked<M>>),
    /// Everything before this was the last.
    Stop,
}

impl<M: Machine> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { address: self.address.clone(), home: Arc::clone(&self.home) }
    }
}

impl<M: Machine> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

impl<M: Machine> Handle<M> {
    /// Asks the actor. A command that is taken is answered exactly once; an answer that nobody
    /// waits for any more goes back to the machine. For models, tests and the simulator, as
    /// [`Handle::ask_all`] is: the service asks at the [`Station`](super::Station).
    pub fn ask(&self, command: M::Command) -> Result<Waiting<M::Outcome>, NotTaken> {
        let (asked, waiting) = self.prepare(command);
        self.send(vec![asked]).map_err(|(_, why)| why)?;
        Ok(waiting)
    }

    /// A command, to be asked together with others, and what to wait for.
    pub fn prepare(&self, command: M::Command) -> (Asked<M>, Waiting<M::Outcome>) {
        let (reply, waiting) = reply(Arc::clone(&self.home));
        (Asked { command, reply }, waiting)
    }

    /// What is told to whoever waits for a command that is gone.
    pub(super) fn unanswered(&self) -> Waiting<M::Outcome> {
        let (_gone, waiting) = reply(Arc::clone(&self.home));
        waiting
    }

    /// Asks the actor several commands in one message: all of them are taken, or none is and
    /// whoever waits is told so.
    pub fn ask_all(&self, asked: Vec<Asked<M>>) {
        if let Err((asked, why)) = self.send(asked) {
            refuse(asked, why);
        }
    }

    fn send(&self, asked: Vec<Asked<M>>) -> Result<(), (Vec<Asked<M>>, NotTaken)> {
        self.leave(asked)?;
        self.address.wake();
        Ok(())
    }

    /// Puts the commands into the mailbox, and does not wake the actor for them.
    pub(super) fn leave(&self, asked: Vec<Asked<M>>) -> Result<(), (Vec<Asked<M>>, NotTaken)> {
        match self.address.try_leave(Message::Commands(asked)) {
            Ok(()) => Ok(()),
            Err(Refused::Full(Message::Commands(asked))) => Err((asked, NotTaken::Overloaded)),
            Err(Refused::Closed(Message::Commands(asked))) => Err((asked, NotTaken::Stopped)),
            Err(Refused::Full(_) | Refused::Closed(_)) => {
                unreachable!("what comes back is what was sent")
            }
        }
    }

    /// How many messages wait in its mailbox, at this moment.
    pub fn queued(&self) -> usize {
        self.address.queued()
    }

    /// Takes back an answer that was picked up, and then could not be passed on.
    pub fn give_back(&self, outcome: M::Outcome) {
        self.home.give_back(outcome);
    }

    /// Tells the actor that no command follows, and that no answer is waited for any more: what
    /// is given up after this is not taken back. It handles what is queued, hands over its last
    /// effects and ends. Waits for room in the mailbox.
    pub fn stop(&self) {
        // An actor that is gone has stopped.
        let _gone = self.address.send(Message::Stop);
    }
}

/// Tells those who wait for the answers that nobody took what they asked.
pub(super) fn refuse<M: Machine>(asked: Vec<Asked<M>>, why: NotTaken) {
    for Asked { reply, .. } in asked {
        reply.refuse(match why {
            NotTaken::Overloaded => Lost::Overloaded,
            NotTaken::Stopped => Lost::OutcomeUnknown,
        });
    }
}

/// The answers that reached nobody, on their way back to the machine.
pub(super) struct Returns<M: Machine> {
    answers: Mutex<Vec<M::Outcome>>,
    actor: Address<Message<M>>,
}

impl<M: Machine> Returns<M> {
    /// To `actor`.
    pub(super) fn new(actor: Address<Message<M>>) -> Self {
        Self { answers: Mutex::new(Vec::new()), actor }
    }

    /// Those that have come since this was last asked.
    pub(super) fn take(&self) -> Vec<M::Outcome> {
        std::mem::take(&mut *lock(&self.answers))
    }
}

impl<M: Machine> Home<M::Outcome> for Returns<M> {
    fn give_back(&self, outcome: M::Outcome) {
        let mut answers = lock(&self.answers);
        answers.push(outcome);
        let is_first = answers.len() == 1;
        drop(answers);
        // A turn takes all of them. Whoever put in the first calls for it.
        if is_first {
            self.actor.call();
        }
    }
}
