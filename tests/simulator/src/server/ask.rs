//! Commands, answers and waits of all domains alike.

use octostore_actors::{
    actor::{Actor, Asked, Flow, Handle, NotTaken, Patience, Told},
    domain::{
        Machine,
        account::{AccountCommand, AccountMachine, AccountOutcome},
        config::{ConfigCommand, ConfigMachine, ConfigOutcome},
        flag::{FlagCommand, FlagMachine, FlagOutcome},
        limiter::{LimitCommand, LimitMachine, LimitOutcome},
        lock::{LockCommand, LockMachine, LockOutcome},
    },
    reply::{Home, Lost, Waiting, reply},
    watch::{Seen, Watch},
};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// Which actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// Locks.
    Locks,
    /// Rate limits.
    Limits,
    /// Feature flags.
    Flags,
    /// Configuration.
    Config,
    /// Accounts and tokens.
    Accounts,
}

impl Domain {
    /// All of them, in the order in which the server stops them.
    pub const ALL: [Self; 5] =
        [Self::Locks, Self::Limits, Self::Flags, Self::Config, Self::Accounts];
}

/// A command for one of the actors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Locks.
    Lock(LockCommand),
    /// Rate limits.
    Limit(LimitCommand),
    /// Feature flags.
    Flag(FlagCommand),
    /// Configuration.
    Config(ConfigCommand),
    /// Accounts and tokens.
    Account(AccountCommand),
}

impl Ask {
    /// Which actor it is for.
    pub fn domain(&self) -> Domain {
        match self {
            Self::Lock(_) => Domain::Locks,
            Self::Limit(_) => Domain::Limits,
            Self::Flag(_) => Domain::Flags,
            Self::Config(_) => Domain::Config,
            Self::Account(_) => Domain::Accounts,
        }
    }
}

/// What one of the actors answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Locks.
    Lock(LockOutcome),
    /// Rate limits.
    Limit(LimitOutcome),
    /// Feature flags.
    Flag(FlagOutcome),
    /// Configuration.
    Config(ConfigOutcome),
    /// Accounts and tokens.
    Account(AccountOutcome),
}

/// A wait for an answer. Dropping it is hanging up.
#[derive(Debug)]
pub enum Wait {
    /// Locks.
    Lock(Waiting<LockOutcome>),
    /// Rate limits.
    Limit(Waiting<LimitOutcome>),
    /// Feature flags.
    Flag(Waiting<FlagOutcome>),
    /// Configuration.
    Config(Waiting<ConfigOutcome>),
    /// Accounts and tokens.
    Account(Waiting<AccountOutcome>),
}

impl Wait {
    /// The answer, if it is there. Must not be called again then.
    pub fn poll(&mut self) -> Option<Result<Answer, Lost>> {
        match self {
            Self::Lock(waiting) => poll(waiting, Answer::Lock),
            Self::Limit(waiting) => poll(waiting, Answer::Limit),
            Self::Flag(waiting) => poll(waiting, Answer::Flag),
            Self::Config(waiting) => poll(waiting, Answer::Config),
            Self::Account(waiting) => poll(waiting, Answer::Account),
        }
    }
}

fn poll<T>(waiting: &mut Waiting<T>, wrap: fn(T) -> Answer) -> Option<Result<Answer, Lost>> {
    match Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer.map(wrap)),
        Poll::Pending => None,
    }
}

/// Which way a command took to its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It lies in the mailbox until the next turn.
    Mailbox,
    /// It had a turn of its own.
    AtOnce,
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turned {
    /// Whether there is another one.
    pub flow: Flow,
    /// It has handled what was in the mailbox. One that finds no room in the journal for what earlier
    /// ones have decided does nothing.
    pub handled: bool,
}

/// How often an actor has shown how it stands: in each turn that does something.
#[derive(Debug, Default)]
struct Shown(AtomicU64);

impl Watch for Shown {
    fn see(&self, _: Seen) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// One actor, how to reach it, and whether it runs.
pub struct Running<M: Machine> {
    actor: Actor<M>,
    handle: Handle<M>,
    flow: Flow,
    shown: Arc<Shown>,
    /// How often it was asked one thing.
    asked: u32,
}

impl<M: Machine> Running<M> {
    /// Runs `actor`, which `handle` reaches.
    pub fn new((actor, handle): (Actor<M>, Handle<M>)) -> Self {
        let shown = Arc::new(Shown::default());
        let actor = actor.with_watch(Arc::clone(&shown) as Arc<dyn Watch>);
        Self { actor, handle, flow: Flow::Continue, shown, asked: 0 }
    }

    /// One turn, unless it has stopped.
    pub fn turn(&mut self) -> Turned {
        let before = self.shown.0.load(Ordering::Relaxed);
        if self.flow == Flow::Continue {
            self.flow = self.actor.turn(Patience::None);
        }
        Turned { flow: self.flow, handled: self.shown.0.load(Ordering::Relaxed) > before }
    }

    /// Asks it one thing: every other time for an answer at once, as whoever looks does.
    pub fn ask(&mut self, command: M::Command) -> Result<(Way, Waiting<M::Outcome>), NotTaken> {
        self.asked += 1;
        if self.asked.is_multiple_of(2) || self.flow == Flow::Stopped {
            return self.handle.ask(command).map(|waiting| (Way::Mailbox, waiting));
        }
        let (flow, told) = self.actor.turn_with(command);
        self.flow = flow;
        match told {
            Ok(Told::Later(waiting)) => Ok((Way::AtOnce, waiting)),
            Ok(Told::Now(outcome)) => {
                let (reply, waiting) = reply(Arc::new(Back(self.handle.clone())));
                reply.send(outcome);
                Ok((Way::AtOnce, waiting))
            }
            Err(command) => self.handle.ask(command).map(|waiting| (Way::Mailbox, waiting)),
        }
    }

    /// Asks it several things in one message, as the handlers of one turn of the runtime do.
    pub fn ask_all(&self, commands: Vec<M::Command>) -> Vec<Waiting<M::Outcome>> {
        let (asked, waiting): (Vec<Asked<M>>, Vec<_>) =
            commands.into_iter().map(|command| self.handle.prepare(command)).unzip();
        self.handle.ask_all(asked);
        waiting
    }

    /// Takes back an answer that could not be passed on.
    pub fn give_back(&self, outcome: M::Outcome) {
        self.handle.give_back(outcome);
    }

    /// Tells it that nothing follows. There must be room in its mailbox.
    pub fn stop(&self) {
        self.handle.stop();
    }
}

/// Where an answer goes that was told at once, and then reached nobody all the same.
struct Back<M: Machine>(Handle<M>);

impl<M: Machine> Home<M::Outcome> for Back<M> {
    fn give_back(&self, outcome: M::Outcome) {
        self.0.give_back(outcome);
    }
}

/// The five of them.
pub struct Actors {
    /// Locks.
    pub locks: Running<LockMachine>,
    /// Rate limits.
    pub limits: Running<LimitMachine>,
    /// Feature flags.
    pub flags: Running<FlagMachine>,
    /// Configuration.
    pub config: Running<ConfigMachine>,
    /// Accounts and tokens.
    pub accounts: Running<AccountMachine>,
}

impl Actors {
    /// One turn of one of them.
    pub fn turn(&mut self, domain: Domain) -> Turned {
        match domain {
            Domain::Locks => self.locks.turn(),
            Domain::Limits => self.limits.turn(),
            Domain::Flags => self.flags.turn(),
            Domain::Config => self.config.turn(),
            Domain::Accounts => self.accounts.turn(),
        }
    }

    /// Tells one of them that nothing follows.
    pub fn stop(&self, domain: Domain) {
        match domain {
            Domain::Locks => self.locks.stop(),
            Domain::Limits => self.limits.stop(),
            Domain::Flags => self.flags.stop(),
            Domain::Config => self.config.stop(),
            Domain::Accounts => self.accounts.stop(),
        }
    }

    /// Asks one of them.
    pub fn ask(&mut self, ask: Ask) -> Result<(Way, Wait), NotTaken> {
        match ask {
            Ask::Lock(command) => {
                self.locks.ask(command).map(|(way, waiting)| (way, Wait::Lock(waiting)))
            }
            Ask::Limit(command) => {
                self.limits.ask(command).map(|(way, waiting)| (way, Wait::Limit(waiting)))
            }
            Ask::Flag(command) => {
                self.flags.ask(command).map(|(way, waiting)| (way, Wait::Flag(waiting)))
            }
            Ask::Config(command) => {
                self.config.ask(command).map(|(way, waiting)| (way, Wait::Config(waiting)))
            }
            Ask::Account(command) => {
                self.accounts.ask(command).map(|(way, waiting)| (way, Wait::Account(waiting)))
            }
        }
    }

    /// Asks each of them several things in one message.
    pub fn ask_all(&self, asks: Vec<Ask>) -> Vec<(usize, Wait)> {
        let mut all = Sorted::default();
        for (index, ask) in asks.into_iter().enumerate() {
            all.add(index, ask);
        }
        let mut waits = Vec::new();
        waits.extend(all.locks.ask(&self.locks, Wait::Lock));
        waits.extend(all.limits.ask(&self.limits, Wait::Limit));
        waits.extend(all.flags.ask(&self.flags, Wait::Flag));
        waits.extend(all.config.ask(&self.config, Wait::Config));
        waits.extend(all.accounts.ask(&self.accounts, Wait::Account));
        waits
    }

    /// Takes back an answer that reached nobody, where the server does.
    pub fn give_back(&self, answer: Answer) {
        match answer {
            Answer::Lock(outcome) => self.locks.give_back(outcome),
            Answer::Account(outcome) => self.accounts.give_back(outcome),
            Answer::Limit(_) | Answer::Flag(_) | Answer::Config(_) => {}
        }
    }
}

/// Commands by actor, each with its place among all.
#[derive(Default)]
struct Sorted {
    locks: Batch<LockCommand>,
    limits: Batch<LimitCommand>,
    flags: Batch<FlagCommand>,
    config: Batch<ConfigCommand>,
    accounts: Batch<AccountCommand>,
}

impl Sorted {
    fn add(&mut self, index: usize, ask: Ask) {
        match ask {
            Ask::Lock(command) => self.locks.0.push((index, command)),
            Ask::Limit(command) => self.limits.0.push((index, command)),
            Ask::Flag(command) => self.flags.0.push((index, command)),
            Ask::Config(command) => self.config.0.push((index, command)),
            Ask::Account(command) => self.accounts.0.push((index, command)),
        }
    }
}

struct Batch<C>(Vec<(usize, C)>);

impl<C> Default for Batch<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C: Send + 'static> Batch<C> {
    fn ask<M>(self, actor: &Running<M>, wrap: fn(Waiting<M::Outcome>) -> Wait) -> Vec<(usize, Wait)>
    where
        M: Machine<Command = C> + 'static,
        M::Outcome: Send + 'static,
    {
        if self.0.is_empty() {
            return Vec::new();
        }
        let (indices, commands): (Vec<_>, Vec<_>) = self.0.into_iter().unzip();
        indices.into_iter().zip(actor.ask_all(commands).into_iter().map(wrap)).collect()
    }
}
