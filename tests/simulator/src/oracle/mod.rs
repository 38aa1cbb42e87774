//! What must be true, judged by what clients asked and were told.
//!
//! The oracle keeps a log of all requests. It knows the true time, and when an actor took its
//! turn; it never looks into a machine or a file. [`locks`], [`limits`] and [`tokens`] judge each
//! answer when it is told, [`bounds`] what it shows of sizes, [`audit`] the audit log when it is
//! read; [`history`] judges all of them together at the end.

pub mod audit;
pub mod bounds;
pub mod history;
mod lease;
pub mod limits;
pub mod locks;
mod promise;
pub mod tokens;

pub use promise::{Promise, Violation, require};

use crate::{
    server::{Answer, Ask, Domain, Setup},
    time::Truth,
};
use audit::AuditBook;
use bounds::BoundBook;
use limits::{Before, LimitBook};
use locks::LockBook;
use octostore_actors::{
    domain::account::{AccountCommand, AccountOutcome},
    time::Instant,
};
use tokens::TokenBook;

/// The place of an event in a scenario, and its true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Counted from one; no two events share one.
    pub event: u64,
    /// When.
    pub at: Truth,
}

/// Names a request.
pub type RequestId = usize;

/// One request, and what became of it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asked.
    pub client: usize,
    /// What.
    pub ask: Ask,
    /// Which server, counted from one.
    pub server: u32,
    /// When it was put into the mailbox.
    pub sent: Stamp,
    /// The last turn of the lock actor before that: what ended later had not expired yet.
    pub expired: Truth,
    /// What was known of its lock when it was sent.
    pub floor: locks::Floor,
    /// When its actor took it out of the mailbox.
    pub handled: Option<Truth>,
    /// What became of it.
    pub end: End,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most requests are told something")]
pub enum End {
    /// It waits, or its answer is on the way.
    Waits,
    /// Its client was told this.
    Told(Answer, Stamp),
    /// Its client was told that nothing was executed.
    Nothing,
    /// Its client was told that nobody knows.
    Unknown,
    /// Its client hung up before it was told.
    HungUp,
    /// Its server died first.
    Lost,
}

/// One life of a server.
#[derive(Clone, Debug)]
pub struct Life {
    /// When its lease clock stood at zero.
    pub booted: Truth,
    /// When the start was tried that succeeded, and those before it in the same boot, if the boot
    /// was new.
    pub recovered: Option<Vec<Truth>>,
    /// When it began to serve.
    pub started: Stamp,
    /// The last turn of the lock actor before it.
    pub expired: Truth,
    /// How it ended.
    pub ended: Ended,
}

/// How a server's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has not.
    Runs,
    /// In good order.
    Stopped,
    /// The same, on a disk that had failed or been full: it may not have taken what came last.
    StoppedShort,
    /// In the middle of everything.
    Crashed,
}

/// All that is known.
#[derive(Debug)]
pub struct Oracle {
    /// Every request.
    pub requests: Vec<Request>,
    /// Every server.
    pub lives: Vec<Life>,
    /// Of locks.
    pub locks: LockBook,
    /// Of limits.
    pub limits: LimitBook,
    /// Of tokens.
    pub tokens: TokenBook,
    /// Of the audit log.
    pub audit: AuditBook,
    /// Of what is bounded.
    pub bounds: BoundBook,
    /// How many answers were judged.
    pub checks: u64,
    /// Requests that no turn has seen yet.
    unhandled: Vec<RequestId>,
    last_lock_turn: Truth,
}

impl Oracle {
    /// An oracle that has seen nothing yet, of servers that are started so.
    pub fn new(setup: &Setup) -> Self {
        Self {
            requests: Vec::new(),
            lives: Vec::new(),
            locks: LockBook::default(),
            limits: LimitBook::default(),
            tokens: TokenBook::default(),
            audit: AuditBook::default(),
            bounds: BoundBook::new(setup),
            checks: 0,
            unhandled: Vec::new(),
            last_lock_turn: Truth::default(),
        }
    }

    /// A server begins to serve.
    pub fn started(&mut self, booted: Truth, recovered: Option<Vec<Truth>>, now: Stamp) {
        let stopped = self.lives.last().is_some_and(|life| life.ended == Ended::Stopped);
        let before = match recovered {
            Some(_) => Before::Reboot,
            None if stopped => Before::Stop,
            None => Before::Crash,
        };
        self.limits.started(now.at, before);
        let expired = self.last_lock_turn;
        self.lives.push(Life { booted, recovered, started: now, expired, ended: Ended::Runs });
    }

    /// The server is no more; whoever still waits has lost it.
    pub fn ended(&mut self, ended: Ended) {
        if let Some(life) = self.lives.last_mut() {
            life.ended = ended;
        }
        self.unhandled.clear();
        self.bounds.ended();
        for request in &mut self.requests {
            if request.end == End::Waits {
                request.end = End::Lost;
            }
        }
    }

    /// The number of the server that runs.
    pub fn server(&self) -> u32 {
        u32::try_from(self.lives.len()).unwrap_or(u32::MAX)
    }

    /// The true time of an instant of a server's lease clock.
    pub fn truth(&self, server: u32, instant: Instant) -> Truth {
        let booted = self.lives.get(server as usize - 1).map_or(Truth(0), |life| life.booted);
        Truth(booted.0.saturating_add(instant.as_nanos()))
    }

    /// Somebody asks.
    pub fn asked(&mut self, client: usize, ask: Ask, sent: Stamp) -> RequestId {
        let id = self.requests.len();
        self.tokens.asked(id, &ask);
        self.limits.asked(id, &ask);
        self.audit.asked(id, &ask);
        self.bounds.asked(&ask);
        let floor = self.locks.asked(id, &ask, sent);
        self.requests.push(Request {
            client,
            ask,
            server: self.server(),
            sent,
            expired: self.last_lock_turn,
            floor,
            handled: None,
            end: End::Waits,
        });
        self.unhandled.push(id);
        id
    }

    /// An actor has taken a turn: it has handled whatever was in its mailbox.
    pub fn turned(&mut self, domain: Domain, now: Truth) {
        self.bounds.turned(domain);
        let requests = &mut self.requests;
        self.unhandled.retain(|&id| {
            let request = &mut requests[id];
            let takes = request.ask.domain() == domain;
            if takes {
                request.handled = Some(now);
            }
            !takes
        });
        if domain == Domain::Locks {
            self.last_lock_turn = now;
        }
    }

    /// A request came to an end without an answer.
    pub fn ends(&mut self, id: RequestId, end: End) {
        if end == End::Nothing {
            // It may be that it was not even in the mailbox.
            self.unhandled.retain(|&unhandled| unhandled != id);
        }
        self.requests[id].end = end;
        self.tokens.ends(id, &self.requests);
    }

    /// A client is told an answer.
    ///
    /// # Errors
    /// It breaks a promise.
    pub fn told(&mut self, id: RequestId, answer: Answer, now: Stamp) -> Result<(), Violation> {
        self.checks += 1;
        self.requests[id].end = End::Told(answer, now);
        let request = self.requests[id].clone();
        let End::Told(answer, _) = &request.end else { return Ok(()) };
        require(request.handled.is_some(), Promise::OneOutcome, || {
            format!("request {id} was answered before its actor took a turn")
        })?;
        self.bounds.told(&request.ask, answer)?;
        self.audit.shown(answer);
        match answer {
            Answer::Lock(outcome) => {
                let known = locks::Known { requests: &self.requests, lives: &self.lives };
                self.locks.told(&request, known, outcome, now)
            }
            Answer::Limit(outcome) => self.limits.told(id, &self.requests, outcome),
            Answer::Account(outcome) => self.tokens.told(id, &self.requests, outcome, now),
            // What these say is judged by the history.
            Answer::Flag(_) | Answer::Config(_) => Ok(()),
        }
    }

    /// When everything has come to rest: every lock that is held is known to somebody.
    ///
    /// # Errors
    /// One is not.
    pub fn rests(
        &mut self,
        name: &str,
        lease: &octostore_actors::domain::lock::Lease,
    ) -> Result<(), Violation> {
        self.checks += 1;
        self.locks.known(name, lease, locks::Known { requests: &self.requests, lives: &self.lives })
    }
}

/// Whether an answer says that its command changed nothing, whatever else it says.
pub fn is_refusal(command: &AccountCommand, outcome: &AccountOutcome) -> bool {
    match outcome {
        AccountOutcome::UnknownToken
        | AccountOutcome::NotFound
        | AccountOutcome::Exceeds
        | AccountOutcome::OverQuota(_)
        | AccountOutcome::Disabled(_)
        | AccountOutcome::NotAdmin
        | AccountOutcome::NoRoom => true,
        AccountOutcome::Rotated { .. }
        | AccountOutcome::Issued(..)
        | AccountOutcome::Revoked(_)
        | AccountOutcome::Noted => false,
        AccountOutcome::Tokens(_) | AccountOutcome::Accounts(_) => true,
        AccountOutcome::Account(_) => !matches!(command, AccountCommand::Change { .. }),
    }
}
