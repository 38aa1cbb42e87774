//! Linearizability: there is an order of all operations, each between its question and its
//! answer, that explains every answer. One partition a lock, a config key, a flag.
//!
//! An operation whose outcome nobody was told is open to the end; it may have happened at any time
//! while its server lived, or not at all. In a model it always succeeds and has whatever effect it
//! can: at the end of the history, and after its server's life, that is none.

mod budget;
mod config;
mod flag;
mod lock;

use super::{Oracle, Promise, Violation};
use std::{collections::BTreeMap, fmt, fmt::Debug, sync::Arc};
use todc_utils::{
    linearizability::{
        WGLChecker,
        history::{Action, History},
    },
    specifications::Specification,
};

/// One operation of one partition.
#[derive(Clone)]
struct Operation<T> {
    /// The event at which it was asked.
    call: u64,
    /// The event at which it was answered; `None` is never.
    answer: Option<u64>,
    what: Arc<T>,
}

impl<T> Operation<T> {
    fn new(call: u64, answer: Option<u64>, what: T) -> Self {
        Self { call, answer, what: Arc::new(what) }
    }

    /// Something that happened at once, and that everybody knows of.
    fn event(at: u64, what: T) -> Self {
        Self::new(at, Some(at), what)
    }
}

/// Partitions by what they are about.
type Partitions<K, T> = BTreeMap<K, Vec<Operation<T>>>;

/// How many histories were checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Those that have an explanation.
    pub explained: u64,
    /// Those where looking for one took too long.
    pub undecided: u64,
}

/// Checks everything that was told.
///
/// # Errors
/// The history of one lock, key or flag has no explanation.
pub fn check(oracle: &Oracle) -> Result<Checked, Violation> {
    let mut checked = Checked::default();
    check_all::<_, lock::Model>("lock", lock::partitions(oracle), &mut checked)?;
    check_all::<_, config::Model>("config key", config::partitions(oracle), &mut checked)?;
    check_all::<_, flag::Model>("flag", flag::partitions(oracle), &mut checked)?;
    Ok(checked)
}

fn check_all<K: Debug, M>(
    kind: &str,
    partitions: Partitions<K, Kept<M>>,
    checked: &mut Checked,
) -> Result<(), Violation>
where
    M: Specification<Operation = Arc<Kept<M>>> + Partitioned,
{
    for (name, operations) in partitions {
        match budget::within(|| is_linearizable::<M>(&operations)) {
            Some(true) => checked.explained += 1,
            Some(false) => {
                let listed = listing(&operations);
                return Err(Violation::new(
                    Promise::Linearizability,
                    format!("no order explains what was told of the {kind} {name:?}:\n{listed}"),
                ));
            }
            None => checked.undecided += 1,
        }
    }
    Ok(())
}

/// A model whose operations are kept in an [`Arc`].
trait Partitioned {
    type Kept: Debug;
}

type Kept<M> = <M as Partitioned>::Kept;

fn is_linearizable<M>(operations: &[Operation<Kept<M>>]) -> bool
where
    M: Specification<Operation = Arc<Kept<M>>> + Partitioned,
{
    let mut actions: Vec<(u64, bool, usize)> = Vec::with_capacity(operations.len() * 2);
    for (process, operation) in operations.iter().enumerate() {
        actions.push((operation.call, false, process));
        actions.push((operation.answer.unwrap_or(u64::MAX), true, process));
    }
    if actions.is_empty() {
        return true;
    }
    actions.sort_unstable();
    let actions = actions.into_iter().map(|(_, is_answer, process)| {
        let what = Arc::clone(&operations[process].what);
        (process, if is_answer { Action::Response(what) } else { Action::Call(what) })
    });
    WGLChecker::<M>::is_linearizable(History::from_actions(actions.collect()))
}

fn listing<T: Debug>(operations: &[Operation<T>]) -> String {
    let mut text = String::new();
    for Operation { call, answer, what } in operations {
        let answer: &dyn fmt::Display = match answer {
            Some(answer) => answer,
            None => &"…",
        };
        text.push_str(&format!("  {call} to {answer}: {what:?}\n"));
    }
    text
}
