//! One config key, one operation at a time.

use super::{Operation, Partitioned, Partitions, budget};
use crate::{
    oracle::{End, Oracle, Request},
    server::{Answer, Ask},
};
use octostore_actors::domain::{
    config::{
        ConfigCommand, ConfigKey, ConfigOutcome, Description, Entry, Etag, Expected, Incarnation,
        Version,
    },
    values::{AccountId, WallTime},
};
use std::sync::Arc;
use todc_utils::specifications::Specification;

/// See [`super`].
pub struct Model;

/// How the key stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// Which server runs.
    server: u32,
    /// The versions that are kept, oldest first; none is no such key.
    versions: Vec<Kept>,
}

/// One version of the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kept {
    incarnation: Incarnation,
    version: u64,
    value: Arc<str>,
    description: Option<Description>,
    created_at: WallTime,
    updated_at: WallTime,
}

impl Kept {
    fn of(entry: &Entry) -> Self {
        Self {
            incarnation: entry.incarnation,
            version: entry.version.get(),
            value: entry.value.as_json().into(),
            description: entry.description.clone(),
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        }
    }

    fn etag(&self) -> Option<Etag> {
        Some(Etag { incarnation: self.incarnation, version: Version::new(self.version)? })
    }
}

/// What was asked and what was told, if anything was.
#[derive(Clone, Debug)]
pub enum KeyOperation {
    /// A server starts.
    Start(u32),
    /// A command and its answer.
    Told(ConfigCommand, ConfigOutcome),
    /// A command of this server without one.
    Open(ConfigCommand, u32),
    /// A list of all keys shows this version of it, or does not show it.
    Listed(Option<Entry>),
}

impl Partitioned for Model {
    type Kept = KeyOperation;
}

impl Specification for Model {
    type State = State;
    type Operation = Arc<KeyOperation>;

    fn init() -> State {
        State { server: 1, versions: Vec::new() }
    }

    fn apply(operation: &Arc<KeyOperation>, state: &State) -> (bool, State) {
        budget::spend();
        let present = state.versions.last();
        match &**operation {
            KeyOperation::Start(server) => (true, State { server: *server, ..state.clone() }),
            KeyOperation::Listed(shown) => {
                (present == shown.as_ref().map(Kept::of).as_ref(), state.clone())
            }
            KeyOperation::Told(command, outcome) => {
                let (expected, versions) = apply(command, &state.versions);
                (expected.is_told_by(outcome), State { server: state.server, versions })
            }
            KeyOperation::Open(command, server) if *server == state.server => {
                let (_, versions) = apply(command, &state.versions);
                (true, State { server: state.server, versions })
            }
            KeyOperation::Open(..) => (true, state.clone()),
        }
    }
}

/// What a command must be answered.
enum MustSay {
    Written(Kept),
    Found(Kept),
    History(Vec<Kept>),
    Deleted,
    NotFound,
    Unexpected,
}

impl MustSay {
    fn is_told_by(&self, outcome: &ConfigOutcome) -> bool {
        match (self, outcome) {
            (Self::Written(kept), ConfigOutcome::Written(entry))
            | (Self::Found(kept), ConfigOutcome::Found(entry)) => *kept == Kept::of(entry),
            (Self::History(versions), ConfigOutcome::History(entries)) => {
                versions.iter().rev().cloned().eq(entries.iter().map(Kept::of))
            }
            (Self::Deleted, ConfigOutcome::Deleted)
            | (Self::NotFound, ConfigOutcome::NotFound)
            | (Self::Unexpected, ConfigOutcome::Unexpected) => true,
            _ => false,
        }
    }
}

/// What a command is answered, and what is there afterwards.
fn apply(command: &ConfigCommand, versions: &[Kept]) -> (MustSay, Vec<Kept>) {
    let present = versions.last();
    let unchanged = |say| (say, versions.to_vec());
    match command {
        ConfigCommand::Put { value, description, expected, incarnation, by, quota, .. } => {
            if !is_met(expected, present) {
                return unchanged(MustSay::Unexpected);
            }
            let content = (value.as_json().into(), description.clone());
            write(versions, content, *incarnation, by.at, quota.history.get())
        }
        ConfigCommand::Rollback { version, expected, by, quota, .. } => {
            match versions.iter().find(|kept| kept.version == version.get()) {
                None => unchanged(MustSay::NotFound),
                Some(_) if !is_met(expected, present) => unchanged(MustSay::Unexpected),
                Some(earlier) => {
                    let content = (Arc::clone(&earlier.value), earlier.description.clone());
                    write(versions, content, earlier.incarnation, by.at, quota.history.get())
                }
            }
        }
        ConfigCommand::Get { version, .. } => {
            let found = match version {
                Some(version) => versions.iter().find(|kept| kept.version == version.get()),
                None => present,
            };
            unchanged(found.map_or(MustSay::NotFound, |kept| MustSay::Found(kept.clone())))
        }
        ConfigCommand::History { .. } => unchanged(if versions.is_empty() {
            MustSay::NotFound
        } else {
            MustSay::History(versions.to_vec())
        }),
        ConfigCommand::Delete { expected, .. } => {
            if !is_met(expected, present) {
                unchanged(MustSay::Unexpected)
            } else if versions.is_empty() {
                unchanged(MustSay::NotFound)
            } else {
                (MustSay::Deleted, Vec::new())
            }
        }
        // Lists are taken apart before.
        ConfigCommand::List { .. } | ConfigCommand::Use { .. } => unchanged(MustSay::NotFound),
    }
}

fn write(
    versions: &[Kept],
    (value, description): (Arc<str>, Option<Description>),
    incarnation: Incarnation,
    at: WallTime,
    history: u32,
) -> (MustSay, Vec<Kept>) {
    let kept = match versions.last() {
        Some(last) => Kept {
            value,
            description,
            version: last.version + 1,
            updated_at: at.max(last.updated_at),
            ..last.clone()
        },
        None => {
            Kept { incarnation, version: 1, value, description, created_at: at, updated_at: at }
        }
    };
    let mut versions = versions.to_vec();
    versions.push(kept.clone());
    let surplus = versions.len().saturating_sub(history as usize);
    versions.drain(..surplus);
    (MustSay::Written(kept), versions)
}

fn is_met(expected: &Expected, present: Option<&Kept>) -> bool {
    let present = present.and_then(Kept::etag);
    match expected {
        Expected::Anything => true,
        Expected::Nothing => present.is_none(),
        Expected::Something => present.is_some(),
        Expected::OneOf(etags) => present.is_some_and(|present| etags.contains(&present)),
        Expected::NoneOf(etags) => present.is_none_or(|present| !etags.contains(&present)),
    }
}

/// The history of every key.
pub fn partitions(oracle: &Oracle) -> Partitions<(AccountId, ConfigKey), KeyOperation> {
    let mut partitions = Partitions::new();
    for (_, key) in oracle.requests.iter().filter_map(about) {
        partitions.entry(key).or_default();
    }
    for (server, life) in (1..).zip(&oracle.lives) {
        for operations in partitions.values_mut() {
            operations.push(Operation::event(life.started.event, KeyOperation::Start(server)));
        }
    }
    for request in &oracle.requests {
        let (sent, server) = (request.sent.event, request.server);
        if let (Some((command, key)), Some(_)) = (about(request), request.handled) {
            let operation = match &request.end {
                End::Nothing
                | End::Told(
                    Answer::Config(ConfigOutcome::NoRoom | ConfigOutcome::OverQuota(_)),
                    _,
                ) => continue,
                End::Told(Answer::Config(outcome), told) => {
                    let what = KeyOperation::Told(command.clone(), outcome.clone());
                    Operation::new(sent, Some(told.event), what)
                }
                End::Told(..) | End::Waits | End::Unknown | End::HungUp | End::Lost => {
                    Operation::new(sent, None, KeyOperation::Open(command.clone(), server))
                }
            };
            partitions.entry(key).or_default().push(operation);
        }
        if let (
            Ask::Config(ConfigCommand::List { account, .. }),
            End::Told(Answer::Config(ConfigOutcome::Keys(page)), told),
        ) = (&request.ask, &request.end)
        {
            for ((_, key), operations) in partitions.iter_mut().filter(|((of, _), _)| of == account)
            {
                let shown = page.items.iter().find(|entry| entry.key == *key).cloned();
                let what = KeyOperation::Listed(shown);
                operations.push(Operation::new(sent, Some(told.event), what));
            }
        }
    }
    partitions
}

/// The command of a request about one key, and the key.
fn about(request: &Request) -> Option<(&ConfigCommand, (AccountId, ConfigKey))> {
    let Ask::Config(command) = &request.ask else { return None };
    match command {
        ConfigCommand::Put { account, key, .. }
        | ConfigCommand::Rollback { account, key, .. }
        | ConfigCommand::Get { account, key, .. }
        | ConfigCommand::History { account, key }
        | ConfigCommand::Delete { account, key, .. } => Some((command, (*account, key.clone()))),
        ConfigCommand::List { .. } | ConfigCommand::Use { .. } => None,
    }
}
