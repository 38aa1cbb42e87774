//! What was asked and what was told, and whether one order of it all explains every answer.
//!
//! One partition a lock, a config key, a flag; each is checked for linearizability. A model's state
//! is the set of everything that may be the case: an operation of unknown outcome makes the set
//! larger, an answer makes it smaller, and an answer that leaves nothing has no explanation. Whatever
//! a server did not answer has happened before it was gone, or never.

pub mod config;
pub mod flag;
pub mod limit;
pub mod lock;
pub mod token;

use porcupine_rs::{CheckResult, Model, Operation, check_operations_timeout};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    hash::Hash,
    marker::PhantomData,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How long an explanation is looked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// After how many histories without an explanation no more are looked at.
const ENOUGH: usize = 3;

/// An event: its place among all events, and when it was, in milliseconds of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Unlike that of any other event.
    pub place: i64,
    /// By the clock that the server prints.
    pub millis: i64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        static PLACES: AtomicI64 = AtomicI64::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Self { place: PLACES.fetch_add(1, Ordering::SeqCst), millis }
    }
}

/// An operation of one partition.
#[derive(Clone, Debug)]
pub struct Event<O> {
    /// Who asked.
    pub client: u32,
    /// Before it was sent.
    pub from: Moment,
    /// After the answer; after the death of the server if there was none.
    pub to: Moment,
    /// What it was.
    pub what: O,
}

/// What may be asked about one thing, and how it then stands.
pub trait Rules: Clone + Debug + Send + Sync {
    /// How it may stand.
    type State: Clone + Debug + Ord + Hash + Send + Sync;
    /// What was asked, and what was told.
    type Operation: Clone + Debug + Send + Sync;

    /// How it stands when nothing has happened.
    fn beginning() -> Self::State;

    /// How it may stand after `event`; nothing if what was told cannot be.
    fn apply(state: &Self::State, event: &Event<Self::Operation>) -> Vec<Self::State>;
}

/// [`Rules`] as the checker wants them.
#[derive(Clone, Debug)]
struct Checked<R>(PhantomData<R>);

impl<R: Rules> Model for Checked<R> {
    type State = BTreeSet<R::State>;
    type Op = Event<R::Operation>;
    type Metadata = ();

    fn init() -> Self::State {
        BTreeSet::from([R::beginning()])
    }

    fn step(state: &Self::State, event: &Self::Op) -> (bool, Self::State) {
        let after: BTreeSet<_> = state.iter().flat_map(|one| R::apply(one, event)).collect();
        (!after.is_empty(), after)
    }
}

/// Everything that happened to the things of one kind.
pub type Partitions<K, O> = BTreeMap<K, Vec<Event<O>>>;

/// What came of looking for explanations.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How many histories have one.
    pub explained: u64,
    /// How many operations they consist of.
    pub operations: u64,
    /// Those that have none.
    pub broken: Vec<String>,
    /// Those where looking for one took too long.
    pub undecided: Vec<String>,
}

impl Verdict {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.explained += other.explained;
        self.operations += other.operations;
        self.broken.extend(other.broken);
        self.undecided.extend(other.undecided);
    }
}

/// Looks for an explanation of every history.
pub fn check<K: Debug, R: Rules>(kind: &str, partitions: &Partitions<K, R::Operation>) -> Verdict {
    let mut verdict = Verdict::default();
    for (name, events) in partitions {
        if verdict.broken.len() + verdict.undecided.len() >= ENOUGH {
            break;
        }
        verdict.operations += events.len() as u64;
        match explain::<R>(events) {
            CheckResult::Ok => verdict.explained += 1,
            CheckResult::Illegal => verdict.broken.push(format!(
                "no order explains what was told of the {kind} {name:?}:\n{}",
                listing(events)
            )),
            CheckResult::Unknown => verdict.undecided.push(format!(
                "no explanation of the {} operations of the {kind} {name:?} was found in {PATIENCE:?}",
                events.len()
            )),
        }
    }
    verdict
}

fn explain<R: Rules>(events: &[Event<R::Operation>]) -> CheckResult {
    let history: Vec<_> = events
        .iter()
        .map(|event| Operation::<Checked<R>> {
            client_id: Some(event.client),
            call_time: event.from.place,
            return_time: event.to.place,
            op: event.clone(),
            metadata: None,
        })
        .collect();
    check_operations_timeout(&history, PATIENCE)
}

fn listing<O: Debug>(events: &[Event<O>]) -> String {
    let mut events: Vec<_> = events.iter().collect();
    events.sort_by_key(|event| event.from);
    events
        .iter()
        .map(|Event { client, from, to, what }| {
            format!("  {} to {} client {client}: {what:?}\n", from.place, to.place)
        })
        .collect()
}

/// Histories for the tests of the models: `(from, to, what)`.
#[cfg(test)]
fn is_explained<R: Rules>(events: &[(i64, i64, R::Operation)]) -> bool {
    let at = |place: i64| Moment { place, millis: place * 1_000 };
    let events: Vec<_> = (0..)
        .zip(events)
        .map(|(client, (from, to, what))| Event {
            client,
            from: at(*from),
            to: at(*to),
            what: what.clone(),
        })
        .collect();
    explain::<R>(&events) == CheckResult::Ok
}
