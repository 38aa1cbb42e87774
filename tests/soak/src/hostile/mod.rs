//! Hostile clients: each kind has an address and a tally of its own. They are cheap to play, since
//! they share the machine with the server.

mod floods;
mod idle;
mod rude;
mod slow;

use crate::{
    findings::{Findings, Promise},
    plan::{Plan, hostile, token},
    wire::{Answer, Ask, Connection, NoAnswer},
};
use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
};

/// How long whoever could not connect waits.
const REST: Duration = Duration::from_millis(100);

/// How many connect at once.
const AT_THE_DOOR: usize = 64;

/// Statuses that a client may be answered with, whatever it sends.
const CLEAN: &[u16] =
    &[200, 201, 400, 401, 403, 404, 405, 408, 409, 412, 413, 414, 422, 429, 431, 503];

/// What kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Says nothing, or one thing a minute.
    Idle,
    /// Sends the head of a request a byte a second.
    SlowHead,
    /// Sends the body of a request a byte a second.
    SlowBody,
    /// Asks for much and reads little.
    SlowReader,
    /// Sends request upon request and reads nothing.
    Deaf,
    /// Sends 64 requests at once and reads the answers.
    Pipeliner,
    /// Acquires one new lock after the other.
    NewLocks,
    /// Checks one new limit after the other.
    NewLimits,
    /// Sets one new flag after the other.
    NewFlags,
    /// Puts one new config key after the other.
    NewConfig,
    /// Makes and revokes tokens.
    NewTokens,
    /// Shows one wrong token after the other.
    WrongTokens,
    /// Asks what needs no token, as fast as it can.
    Anonymous,
    /// Tries to get the locks of others.
    Thief,
    /// Sends a request and is gone.
    Disconnector,
    /// Sends what is too large, or no HTTP.
    Rude,
}

impl Kind {
    /// All.
    pub const ALL: &[Self] = &[
        Self::Idle,
        Self::SlowHead,
        Self::SlowBody,
        Self::SlowReader,
        Self::Deaf,
        Self::Pipeliner,
        Self::NewLocks,
        Self::NewLimits,
        Self::NewFlags,
        Self::NewConfig,
        Self::NewTokens,
        Self::WrongTokens,
        Self::Anonymous,
        Self::Thief,
        Self::Disconnector,
        Self::Rude,
    ];

    /// As the report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle connections",
            Self::SlowHead => "slow heads",
            Self::SlowBody => "slow bodies",
            Self::SlowReader => "slow readers",
            Self::Deaf => "pipeliners that never read",
            Self::Pipeliner => "pipeliners that read",
            Self::NewLocks => "flood of new locks",
            Self::NewLimits => "flood of new limits",
            Self::NewFlags => "flood of new flags",
            Self::NewConfig => "flood of new config keys",
            Self::NewTokens => "flood of new tokens",
            Self::WrongTokens => "flood of wrong tokens",
            Self::Anonymous => "flood without tokens",
            Self::Thief => "thieves of held locks",
            Self::Disconnector => "gone after sending",
            Self::Rude => "oversized and malformed",
        }
    }

    /// The token of the account that all of this kind have.
    fn token(self) -> String {
        token(&hostile(self as usize))
    }

    /// How many clients.
    fn count(self, plan: &Plan) -> usize {
        match self {
            Self::Idle => plan.idle,
            Self::SlowHead => 100 * plan.crowd,
            Self::SlowBody => 50 * plan.crowd,
            Self::SlowReader => 16 * plan.crowd,
            Self::Deaf | Self::NewTokens | Self::Pipeliner => 4 * plan.crowd,
            Self::NewLocks | Self::NewLimits | Self::NewFlags | Self::NewConfig => 4 * plan.crowd,
            Self::WrongTokens | Self::Anonymous => 8 * plan.crowd,
            Self::Thief | Self::Disconnector | Self::Rude => 4 * plan.crowd,
        }
    }

    async fn play(self, visitor: Visitor) {
        match self {
            Self::Idle => idle::stay(visitor).await,
            Self::SlowHead => slow::head(visitor).await,
            Self::SlowBody => slow::body(visitor).await,
            Self::SlowReader => slow::reader(visitor).await,
            Self::Deaf => slow::deaf(visitor).await,
            Self::Pipeliner => floods::pipelined(visitor).await,
            Self::NewLocks => floods::locks(visitor).await,
            Self::NewLimits => floods::limits(visitor).await,
            Self::NewFlags => floods::flags(visitor).await,
            Self::NewConfig => floods::config(visitor).await,
            Self::NewTokens => floods::tokens(visitor).await,
            Self::WrongTokens => floods::wrong_tokens(visitor).await,
            Self::Anonymous => floods::anonymous(visitor).await,
            Self::Thief => rude::thief(visitor).await,
            Self::Disconnector => rude::disconnector(visitor).await,
            Self::Rude => rude::rude(visitor).await,
        }
    }
}

/// What one kind did and got.
#[derive(Debug, Default)]
pub struct Tally {
    clients: AtomicU64,
    opened: AtomicU64,
    sent: AtomicU64,
    closed: AtomicU64,
    statuses: Mutex<BTreeMap<u16, u64>>,
}

impl Tally {
    /// How many clients.
    pub fn clients(&self) -> u64 {
        self.clients.load(Ordering::Relaxed)
    }

    /// Connections opened.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Requests sent, as far as the client got.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Connections that the server closed, or refused to open.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Answers by status.
    pub fn statuses(&self) -> BTreeMap<u16, u64> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One hostile client.
struct Visitor {
    kind: Kind,
    /// Among those of its kind.
    number: usize,
    server: SocketAddr,
    door: Arc<Semaphore>,
    tally: Arc<Tally>,
    findings: Arc<Findings>,
    dice: fastrand::Rng,
}

impl Visitor {
    fn token(&self) -> String {
        self.kind.token()
    }

    /// Connects, however often that takes.
    async fn connect(&mut self) -> Connection {
        loop {
            // Of a 10,000 that come at once most would wait in the kernel, and then try again.
            let at_the_door = Arc::clone(&self.door).acquire_owned().await;
            let from = 2 + self.kind as u8;
            let connected = Connection::open(self.server, from).await;
            drop(at_the_door);
            match connected {
                Ok(connection) => {
                    self.tally.opened.fetch_add(1, Ordering::Relaxed);
                    return connection;
                }
                Err(_) => {
                    self.closed();
                    tokio::time::sleep(REST.mul_f64(1.0 + self.dice.f64())).await;
                }
            }
        }
    }

    fn closed(&self) {
        self.tally.closed.fetch_add(1, Ordering::Relaxed);
    }

    fn sent(&self, count: u64) {
        self.tally.sent.fetch_add(count, Ordering::Relaxed);
    }

    /// Notes an answer; whether the connection can be used on.
    fn hears(&self, answer: &Answer) -> bool {
        let mut statuses = self.tally.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        *statuses.entry(answer.status).or_default() += 1;
        let clean = CLEAN.contains(&answer.status)
            && (answer.status != 503 || answer.retry_after.is_some());
        self.findings.check(Promise::OneOutcome, clean, || {
            let body = String::from_utf8_lossy(&answer.body);
            format!("{} was answered {} {body}", self.kind.name(), answer.status)
        });
        !answer.closes
    }

    /// Reads one answer; `None` if the connection is over.
    async fn read(&self, connection: &mut Connection) -> Option<Answer> {
        match connection.read().await {
            Ok(answer) => self.hears(&answer).then_some(answer),
            Err(NoAnswer::Malformed(how)) => {
                let how = format!("{} was answered by {how}", self.kind.name());
                self.findings.broken(Promise::OneOutcome, how);
                None
            }
            Err(NoAnswer::Closed | NoAnswer::BrokeOff(_) | NoAnswer::Io(_)) => {
                self.closed();
                None
            }
        }
    }
}

/// What must be there before the hostile clients come: something large to ask for.
pub fn beginnings() -> Vec<Ask> {
    [Kind::SlowReader, Kind::Deaf].map(|kind| slow::make_large(&kind.token())).into()
}

/// All hostile clients, on a thread of their own. Dropping this lets them go on.
pub struct Crowd {
    tallies: Vec<(Kind, Arc<Tally>)>,
    leave: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Crowd {
    /// Sends them to `server`.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn come(
        server: SocketAddr,
        plan: &Plan,
        findings: &Arc<Findings>,
    ) -> std::io::Result<Self> {
        let tallies: Vec<_> = Kind::ALL.iter().map(|&kind| (kind, Arc::default())).collect();
        let (leave, left) = oneshot::channel();
        let mut visitors = Vec::new();
        let mut dice = fastrand::Rng::with_seed(plan.seed ^ 1);
        let door = Arc::new(Semaphore::new(AT_THE_DOOR));
        for (kind, tally) in &tallies {
            for number in 0..kind.count(plan) {
                visitors.push(Visitor {
                    kind: *kind,
                    number,
                    server,
                    door: Arc::clone(&door),
                    tally: Arc::clone(tally),
                    findings: Arc::clone(findings),
                    dice: dice.fork(),
                });
            }
            tally.clients.store(kind.count(plan) as u64, Ordering::Relaxed);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("hostile".to_owned()).spawn(move || {
            // They would be on other machines, and take nothing of this one's time. It is not for
            // us to be heard if the system says no.
            let _nicer = rustix::process::nice(10);
            runtime.block_on(until(left, visitors));
        })?;
        Ok(Self { tallies, leave, thread })
    }

    /// Whether the slowest to arrive are all there.
    pub fn is_there(&self) -> bool {
        self.tallies.iter().all(|(_, tally)| tally.opened() >= tally.clients())
    }

    /// What they have done and got so far.
    pub fn tallies(&self) -> &[(Kind, Arc<Tally>)] {
        &self.tallies
    }

    /// Has all of them leave at once.
    pub fn leave(self) -> Vec<(Kind, Arc<Tally>)> {
        // If they are gone already, they are gone.
        let _gone = self.leave.send(());
        let _ended = self.thread.join();
        self.tallies
    }
}

async fn until(left: impl Future, visitors: Vec<Visitor>) {
    let mut playing = JoinSet::new();
    for visitor in visitors {
        playing.spawn(visitor.kind.play(visitor));
    }
    left.await;
    playing.shutdown().await;
}
