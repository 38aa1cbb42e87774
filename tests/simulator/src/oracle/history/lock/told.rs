//! What was told of locks, as operations.

use super::{
    super::{Operation, Partitions},
    Asked, LockOperation, Shown, Whose,
};
use crate::{
    oracle::{End, Oracle, Request},
    server::{Answer, Ask},
    time::Truth,
};
use octostore_actors::domain::{
    lock::{Lease, LockCommand, LockOutcome},
    values::{AccountId, LockName},
};
use std::collections::BTreeSet;

/// The history of every lock.
pub fn partitions(oracle: &Oracle) -> Partitions<LockName, LockOperation> {
    let mut partitions = Partitions::new();
    for request in &oracle.requests {
        let Ask::Lock(command) = &request.ask else { continue };
        if let LockCommand::Acquire { name, .. } | LockCommand::Get { name } = command {
            partitions.entry(name.clone()).or_default();
        }
    }
    for (server, life) in (1..).zip(&oracle.lives) {
        for operations in partitions.values_mut() {
            let (recovered, expired) = (life.recovered.clone(), life.expired);
            let start = LockOperation::Start { server, recovered, expired };
            operations.push(Operation::event(life.started.event, start));
        }
    }
    let mut shown = Vec::new();
    for request in &oracle.requests {
        // What no turn has seen has not happened.
        let (Ask::Lock(command), Some(at)) = (&request.ask, request.handled) else { continue };
        let End::Told(Answer::Lock(outcome), told) = &request.end else { continue };
        for (name, operation) in told_operations(oracle, request, command, (outcome, at)) {
            shown.extend(operation.shown().map(|shown| (request.server, shown.clone())));
            let operation = Operation::new(request.sent.event, Some(told.event), operation);
            partitions.entry(name).or_default().push(operation);
        }
    }
    for request in &oracle.requests {
        let (Ask::Lock(command), Some(at)) = (&request.ask, request.handled) else { continue };
        if matches!(request.end, End::Told(..) | End::Nothing) {
            continue;
        }
        for (name, operation) in open_operations(request, command, at) {
            if operation.may_matter(request.server, &shown) {
                let operation = Operation::new(request.sent.event, None, operation);
                partitions.entry(name).or_default().push(operation);
            }
        }
    }
    partitions
}

fn told_operations(
    oracle: &Oracle,
    request: &Request,
    command: &LockCommand,
    (outcome, at): (&LockOutcome, Truth),
) -> Vec<(LockName, LockOperation)> {
    let expired = request.expired;
    let shown = |lease: &Lease| Shown {
        lease: lease.clone(),
        until: oracle.truth(request.server, lease.expires),
    };
    let (name, operation) = match (command, outcome) {
        (LockCommand::Acquire { name, ttl, .. }, LockOutcome::Granted(lease)) => {
            (name, LockOperation::Granted { at, shown: shown(lease), ttl: *ttl, expired })
        }
        (
            LockCommand::Acquire { name, ttl, .. } | LockCommand::Renew { name, ttl, .. },
            LockOutcome::Confirmed(lease),
        ) => (name, LockOperation::Confirmed { at, shown: shown(lease), ttl: *ttl }),
        (LockCommand::Acquire { name, .. }, LockOutcome::Held(lease))
        | (LockCommand::Get { name }, LockOutcome::Status(Some(lease))) => {
            (name, LockOperation::Seen { shown: shown(lease) })
        }
        (LockCommand::Acquire { name, .. }, LockOutcome::OverQuota(_))
        | (LockCommand::Get { name }, LockOutcome::Status(None))
        | (LockCommand::ForceRelease { name, .. }, LockOutcome::NotHeld) => {
            (name, LockOperation::Free { expired })
        }
        (LockCommand::ForceRelease { name, .. }, LockOutcome::ForceReleased(lease)) => {
            (name, LockOperation::ForceReleased { shown: shown(lease) })
        }
        (LockCommand::Release { name, account, lease }, LockOutcome::Released) => {
            (name, LockOperation::Released { lease: *lease, account: *account })
        }
        (
            LockCommand::Release { name, account, lease }
            | LockCommand::Renew { name, account, lease, .. },
            LockOutcome::NotOwned,
        ) => (name, LockOperation::NotOwned { lease: *lease, account: *account, expired }),
        (LockCommand::List { account, .. }, LockOutcome::Leases(page)) => {
            return listed(oracle, *account, &page.items, expired, shown);
        }
        // Refused for what a lock does not know of; or nonsense, which is judged elsewhere.
        _ => return Vec::new(),
    };
    vec![(name.clone(), operation)]
}

/// What a list of an account's leases says of every lock.
fn listed(
    oracle: &Oracle,
    account: AccountId,
    leases: &[Lease],
    expired: Truth,
    shown: impl Fn(&Lease) -> Shown,
) -> Vec<(LockName, LockOperation)> {
    let names: BTreeSet<&LockName> = oracle.requests.iter().filter_map(acquired).collect();
    let of_name = |name: &LockName| match leases.iter().find(|lease| lease.name == *name) {
        Some(lease) => LockOperation::Seen { shown: shown(lease) },
        None => LockOperation::NotHeldBy { account, expired },
    };
    names.into_iter().map(|name| (name.clone(), of_name(name))).collect()
}

fn acquired(request: &Request) -> Option<&LockName> {
    match &request.ask {
        Ask::Lock(LockCommand::Acquire { name, .. }) => Some(name),
        Ask::Lock(_) | Ask::Limit(_) | Ask::Flag(_) | Ask::Config(_) | Ask::Account(_) => None,
    }
}

fn open_operations(
    request: &Request,
    command: &LockCommand,
    at: Truth,
) -> Vec<(LockName, LockOperation)> {
    let (server, expired) = (request.server, request.expired);
    match command {
        LockCommand::Acquire { name, holder, ttl, lease, .. } => {
            let asked = Asked { lease: *lease, holder: holder.clone() };
            let undelivered = request.end == End::HungUp;
            let whose = Whose::Holder(holder.clone());
            vec![
                (
                    name.clone(),
                    LockOperation::MayBeGranted {
                        at,
                        asked,
                        ttl: *ttl,
                        server,
                        undelivered,
                        expired,
                    },
                ),
                (name.clone(), LockOperation::MayBeConfirmed { at, whose, ttl: *ttl, server }),
            ]
        }
        LockCommand::Renew { name, account, lease, ttl } => {
            let whose = Whose::Id(*account, *lease);
            vec![(name.clone(), LockOperation::MayBeConfirmed { at, whose, ttl: *ttl, server })]
        }
        LockCommand::Release { name, account, lease } => {
            let (lease, account) = (*lease, *account);
            vec![(name.clone(), LockOperation::MayBeReleased { lease, account, server })]
        }
        LockCommand::ForceRelease { name, .. } => {
            vec![(name.clone(), LockOperation::MayBeForceReleased { server })]
        }
        LockCommand::Get { .. } | LockCommand::List { .. } | LockCommand::Use { .. } => Vec::new(),
    }
}
