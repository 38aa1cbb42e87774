//! One flag, one operation at a time.

use super::{Operation, Partitioned, Partitions, budget};
use crate::{
    oracle::{End, Oracle, Request},
    server::{Answer, Ask},
};
use octostore_actors::domain::{
    flag::{Flag, FlagCommand, FlagName, FlagOutcome},
    values::{AccountId, WallTime},
};
use std::sync::Arc;
use todc_utils::specifications::Specification;

/// See [`super`].
pub struct Model;

/// How the flag stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// Which server runs.
    server: u32,
    flag: Option<Kept>,
}

/// What is kept of a flag: whether it is on, for how many, and its times.
type Kept = (bool, Option<u8>, WallTime, WallTime);

fn kept(flag: &Flag) -> Kept {
    let percentage = flag.percentage.map(|percentage| percentage.get());
    (flag.enabled, percentage, flag.created_at, flag.updated_at)
}

/// What was asked and what was told, if anything was.
#[derive(Clone, Debug)]
pub enum FlagOperation {
    /// A server starts.
    Start(u32),
    /// A command and its answer.
    Told(FlagCommand, FlagOutcome),
    /// A command of this server without one.
    Open(FlagCommand, u32),
    /// Somebody was told of the flag by a list.
    Listed(Option<Flag>),
}

impl Partitioned for Model {
    type Kept = FlagOperation;
}

impl Specification for Model {
    type State = State;
    type Operation = Arc<FlagOperation>;

    fn init() -> State {
        State { server: 1, flag: None }
    }

    fn apply(operation: &Arc<FlagOperation>, state: &State) -> (bool, State) {
        budget::spend();
        let with = |flag| State { server: state.server, flag };
        match &**operation {
            FlagOperation::Start(server) => (true, State { server: *server, ..state.clone() }),
            FlagOperation::Listed(shown) => (shown.as_ref().map(kept) == state.flag, state.clone()),
            FlagOperation::Open(command, server) if *server == state.server => {
                (true, with(after(command, state.flag)))
            }
            FlagOperation::Open(..) => (true, state.clone()),
            FlagOperation::Told(command, outcome) => {
                let next = after(command, state.flag);
                let possible = match outcome {
                    FlagOutcome::Set(flag) => next == Some(kept(flag)),
                    FlagOutcome::Status(flag) => state.flag == flag.as_ref().map(kept),
                    FlagOutcome::Deleted => state.flag.is_some(),
                    FlagOutcome::NotFound => state.flag.is_none(),
                    FlagOutcome::OverQuota(_)
                    | FlagOutcome::NoRoom
                    | FlagOutcome::Flags(_)
                    | FlagOutcome::Use(_) => false,
                };
                (possible, with(next))
            }
        }
    }
}

fn after(command: &FlagCommand, flag: Option<Kept>) -> Option<Kept> {
    match command {
        FlagCommand::Set { enabled, percentage, by, .. } => {
            let percentage = percentage.map(|percentage| percentage.get());
            let (created, updated) =
                flag.map_or((by.at, by.at), |flag| (flag.2, flag.3.max(by.at)));
            Some((*enabled, percentage, created, updated))
        }
        FlagCommand::Delete { .. } => None,
        FlagCommand::Get { .. } | FlagCommand::List { .. } | FlagCommand::Use { .. } => flag,
    }
}

/// The history of every flag.
pub fn partitions(oracle: &Oracle) -> Partitions<(AccountId, FlagName), FlagOperation> {
    let mut partitions = Partitions::new();
    for (_, flag) in oracle.requests.iter().filter_map(about) {
        partitions.entry(flag).or_default();
    }
    for (server, life) in (1..).zip(&oracle.lives) {
        for operations in partitions.values_mut() {
            operations.push(Operation::event(life.started.event, FlagOperation::Start(server)));
        }
    }
    for request in &oracle.requests {
        let (sent, server) = (request.sent.event, request.server);
        if let (Some((command, flag)), Some(_)) = (about(request), request.handled) {
            let operation = match &request.end {
                End::Nothing
                | End::Told(Answer::Flag(FlagOutcome::NoRoom | FlagOutcome::OverQuota(_)), _) => {
                    continue;
                }
                End::Told(Answer::Flag(outcome), told) => {
                    let what = FlagOperation::Told(command.clone(), outcome.clone());
                    Operation::new(sent, Some(told.event), what)
                }
                End::Told(..) | End::Waits | End::Unknown | End::HungUp | End::Lost => {
                    Operation::new(sent, None, FlagOperation::Open(command.clone(), server))
                }
            };
            partitions.entry(flag).or_default().push(operation);
        }
        if let (
            Ask::Flag(FlagCommand::List { account, .. }),
            End::Told(Answer::Flag(FlagOutcome::Flags(page)), told),
        ) = (&request.ask, &request.end)
        {
            for ((_, name), operations) in
                partitions.iter_mut().filter(|((of, _), _)| of == account)
            {
                let shown = page.items.iter().find(|flag| flag.name == *name).cloned();
                let what = FlagOperation::Listed(shown);
                operations.push(Operation::new(sent, Some(told.event), what));
            }
        }
    }
    partitions
}

/// The command of a request about one flag, and the flag.
fn about(request: &Request) -> Option<(&FlagCommand, (AccountId, FlagName))> {
    let Ask::Flag(command) = &request.ask else { return None };
    match command {
        FlagCommand::Set { account, name, .. }
        | FlagCommand::Get { account, name }
        | FlagCommand::Delete { account, name, .. } => Some((command, (*account, name.clone()))),
        FlagCommand::List { .. } | FlagCommand::Use { .. } => None,
    }
}
