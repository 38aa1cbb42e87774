//! Honest clients: each asks at a fixed rate over its own connection, whatever the server does,
//! and insists on exactly one well-formed answer of the kind it expects, or a clean refusal.
//!
//! Latency counts from when a request was meant to be sent: from its tick, if the client was still
//! busy with the one before; otherwise from when its timer woke it, because the lateness of our own
//! timers is not the server's.

mod config;
mod flags;
mod limits;
mod locks;
mod newcomer;

pub use config::counted;

use crate::{
    findings::Promise,
    oracle::{Oracle, Span},
    plan::{HONEST, token},
    wire::{Answer, Ask, Connection, NoAnswer},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinSet, time::timeout};

/// An answer that takes longer is lost. A busy machine is no reason to call it so.
const LOST: Duration = Duration::from_secs(120);

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The honest clients are alone.
    Calm,
    /// The hostile ones arrive; nothing is measured yet.
    Arrival,
    /// They are all there.
    Attack,
    /// They have left.
    Recovery,
    /// The last requests are being answered.
    End,
}

/// What kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Acquires, looks, renews and releases locks of its own.
    Worker,
    /// Competes for a lock with others.
    Contender,
    /// Holds one lock for the whole run.
    Keeper,
    /// Checks a limit that is often reached.
    Limited,
    /// Evaluates a flag.
    Evaluator,
    /// Counts in a config value, by compare-and-set.
    Counter,
    /// Opens a connection for every request.
    Newcomer,
}

/// The answer to a request, as JSON.
#[derive(Debug)]
pub struct Heard {
    /// The status.
    pub status: u16,
    /// The body; null if there is none.
    pub body: Value,
    /// `etag`.
    pub etag: Option<String>,
    /// `retry-after`, in seconds.
    pub retry_after: Option<u32>,
    /// When.
    pub span: Span,
}

/// An answer that is none of those that had to come.
#[derive(Debug)]
pub struct Unexpected;

/// What one client does, one request after the other.
pub trait Part: Send {
    /// The next request. After a refusal it is asked for again.
    fn ask(&mut self, oracle: &Oracle) -> Ask;

    /// Learns from the answer.
    ///
    /// # Errors
    /// It is none of those that had to come.
    fn hear(&mut self, heard: &Heard, oracle: &Oracle) -> Result<(), Unexpected>;

    /// What must be there when everything has ended, and after a restart.
    fn kept(&self) -> Vec<Kept> {
        Vec::new()
    }
}

/// Something that was acknowledged: a request, and what must stand in its answer.
#[derive(Debug)]
pub struct Kept {
    /// The request.
    pub ask: Ask,
    /// Fields of the answer.
    pub fields: Vec<(&'static str, Value)>,
}

/// One client that is to come.
struct Role {
    kind: Kind,
    a_second: u32,
    part: Box<dyn Part>,
}

/// Everybody, in the order of their accounts.
fn cast() -> Vec<Role> {
    let mut all: Vec<Role> = Vec::new();
    let mut add = |kind, a_second, part| all.push(Role { kind, a_second, part });
    for (n, account) in HONEST.iter().enumerate() {
        let token = &token(account);
        add(Kind::Worker, 10, Box::new(locks::Worker::new(token, &format!("own-{n}"))));
        // Two of four accounts at each lock, and two owners in one of them.
        let contested = format!("contested-{}", n % 2);
        add(Kind::Contender, 8, Box::new(locks::Contender::new(token, &contested, "one")));
        if n < 2 {
            add(Kind::Contender, 8, Box::new(locks::Contender::new(token, &contested, "two")));
        }
        add(Kind::Keeper, 2, Box::new(locks::Keeper::new(token, &kept_lock(n))));
        add(Kind::Evaluator, 8, Box::new(flags::Evaluator::new(token)));
        add(Kind::Newcomer, 3, Box::new(newcomer::Newcomer::new(token)));
    }
    for n in 0..4 {
        add(Kind::Limited, 8, Box::new(limits::Limited::new(&token(HONEST[n % 2]))));
        add(Kind::Counter, 5, Box::new(config::Counter::new()));
    }
    all
}

/// The lock that keeper number `n` holds, and others try to get.
pub fn kept_lock(n: usize) -> String {
    format!("kept-{n}")
}

/// What became of the requests of one kind.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many clients.
    pub clients: u64,
    /// Requests sent.
    pub sent: u64,
    /// Answers of the expected kind.
    pub expected: u64,
    /// Clean refusals, by status and code.
    pub refused: BTreeMap<String, u64>,
    /// Neither.
    pub wrong: u64,
    /// How long answers took, in microseconds.
    pub latencies: BTreeMap<Phase, Vec<u32>>,
}

/// What became of all requests.
#[derive(Debug, Default)]
pub struct Ledger {
    kinds: Mutex<BTreeMap<Kind, Tally>>,
}

impl Ledger {
    /// The tallies.
    pub fn kinds(&self) -> MutexGuard<'_, BTreeMap<Kind, Tally>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, kind: Kind, note: impl FnOnce(&mut Tally) -> T) -> T {
        note(self.kinds().entry(kind).or_default())
    }
}

/// What all clients share.
#[derive(Clone, Debug)]
pub struct World {
    /// The server.
    pub server: SocketAddr,
    /// What they tell each other.
    pub oracle: Arc<Oracle>,
    /// What became of their requests.
    pub ledger: Arc<Ledger>,
    /// What the run is doing.
    pub phase: watch::Receiver<Phase>,
}

/// Asks once and returns the answer, whatever it is.
///
/// # Errors
/// There is none.
pub async fn once(server: SocketAddr, ask: &Ask) -> Result<Answer, NoAnswer> {
    let mut connection = Connection::open(server, 1).await?;
    connection.send(&ask.bytes("")).await?;
    connection.read().await
}

/// What must be there before anybody begins.
pub fn beginnings() -> Vec<Ask> {
    HONEST.iter().map(|account| flags::make(&token(account))).chain([config::make()]).collect()
}

/// Plays all parts until the phase is [`Phase::End`], and returns what must be there then.
pub async fn play(world: World, seed: u64) -> Vec<Kept> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut playing = JoinSet::new();
    for (number, role) in cast().into_iter().enumerate() {
        world.ledger.with(role.kind, |tally| tally.clients += 1);
        let client =
            Client { number, dice: dice.fork(), world: world.clone(), connection: None, asked: 0 };
        playing.spawn(client.play(role));
    }
    playing.join_all().await.into_iter().flatten().collect()
}

struct Client {
    number: usize,
    dice: fastrand::Rng,
    world: World,
    connection: Option<Connection>,
    asked: u64,
}

impl Client {
    async fn play(mut self, mut role: Role) -> Vec<Kept> {
        let apart = Duration::from_secs(1) / role.a_second;
        // Not all in one instant.
        let mut tick = Instant::now() + apart.mul_f64(self.dice.f64());
        let mut phases = self.world.phase.clone();
        while *phases.borrow() != Phase::End {
            let idle = Instant::now() < tick;
            if idle {
                tokio::time::sleep_until(tick.into()).await;
            }
            let phase = *phases.borrow_and_update();
            let meant = if idle { Instant::now() } else { tick };
            if !self.turn(&mut role, phase, meant).await {
                break;
            }
            tick += apart;
        }
        role.part.kept()
    }

    /// One request; whether there may be another.
    async fn turn(&mut self, role: &mut Role, phase: Phase, meant: Instant) -> bool {
        let (world, kind) = (self.world.clone(), role.kind);
        let ask = role.part.ask(&world.oracle);
        self.asked += 1;
        let id = format!("soak-{}-{}", self.number, self.asked);
        world.ledger.with(kind, |tally| tally.sent += 1);
        let sent = Instant::now();
        let answer = match timeout(LOST, self.exchange(&ask, &id, kind)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {LOST:?}")),
        };
        let span = Span { sent, received: Instant::now() };
        let judged = answer.and_then(|answer| well_formed(answer, &id, span));
        let judged = judged.and_then(|heard| match refusal(&heard) {
            Some(word) => Ok(Some(word)),
            None => match role.part.hear(&heard, &world.oracle) {
                Ok(()) => Ok(None),
                Err(Unexpected) => Err(format!("{} {}", heard.status, heard.body)),
            },
        });
        world.ledger.with(kind, |tally| match &judged {
            Ok(None) => {
                tally.expected += 1;
                let took = u32::try_from((span.received - meant).as_micros());
                tally.latencies.entry(phase).or_default().push(took.unwrap_or(u32::MAX));
            }
            Ok(Some(word)) => *tally.refused.entry(word.clone()).or_default() += 1,
            Err(_) => tally.wrong += 1,
        });
        if let Err(why) = &judged {
            let how = format!("{kind:?}, {} {}: {why}", ask.method, ask.path);
            world.oracle.findings.broken(Promise::OneOutcome, how);
        }
        judged.is_ok()
    }

    async fn exchange(&mut self, ask: &Ask, id: &str, kind: Kind) -> Result<Answer, NoAnswer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.world.server, 1).await?,
        };
        connection.send(&ask.bytes(id)).await?;
        let answer = connection.read().await?;
        if connection.has_surplus() {
            return Err(NoAnswer::Malformed("more came than one answer".to_owned()));
        }
        if !answer.closes && kind != Kind::Newcomer {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

/// The answer, if it is one to the request `id` and says what it says in JSON.
fn well_formed(answer: Answer, id: &str, span: Span) -> Result<Heard, String> {
    // Whoever is turned away at the door was not asked for the name of its request.
    if answer.request_id != id && answer.status != 503 {
        return Err(format!("the answer to {:?} came to {id:?}", answer.request_id));
    }
    let body = if answer.body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?
    };
    let Answer { status, etag, retry_after, .. } = answer;
    Ok(Heard { status, body, etag, retry_after, span })
}

/// What a clean refusal of an overloaded server says; nothing was executed.
fn refusal(heard: &Heard) -> Option<String> {
    let code = heard.body["code"].as_str()?;
    let clean = matches!(
        (heard.status, code),
        (429, "rate_limited") | (503, "overloaded" | "too_many_connections")
    );
    (clean && heard.retry_after.is_some()).then(|| format!("{} {code}", heard.status))
}
