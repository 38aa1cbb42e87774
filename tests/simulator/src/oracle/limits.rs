//! Rate limits: no window of the true time holds more than its quota, over restarts and reboots;
//! and nobody is refused who could not be in the way of the quota.

use super::{End, Promise, Request, RequestId, Violation, require};
use crate::{
    server::{Answer, Ask},
    time::Truth,
};
use octostore_actors::domain::{
    limiter::{LimitCommand, LimitName, LimitOutcome, Policy, Standing},
    values::AccountId,
};
use std::{collections::BTreeMap, time::Duration};

/// Everything that was asked of limits.
#[derive(Debug, Default)]
pub struct LimitBook {
    limiters: BTreeMap<(AccountId, LimitName), Limiter>,
    /// When servers started, and how.
    starts: Vec<(Truth, Before)>,
}

#[derive(Debug, Default)]
struct Limiter {
    /// Checks and deletions, in the order in which they were asked.
    requests: Vec<RequestId>,
    /// What the first check asked by; `None` after checks asked by different rules.
    policy: Option<Policy>,
    mixed: bool,
}

/// What came before a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// The lease clock has begun anew.
    Reboot,
    /// One that crashed, or had trouble with its disk: what it had reserved counts as spent.
    Crash,
    /// One that stopped in good order.
    Stop,
}

/// Times are kept in ticks, rounded up.
const TICK: Duration = Duration::from_nanos(1 << 18);

/// One check or deletion, as far as it matters.
struct Event {
    at: Truth,
    id: RequestId,
    policy: Option<Policy>,
    /// How many were admitted for sure, and at most.
    sure: u32,
    possible: u32,
    /// Whether it was a check that was judged, and so remembers for its window.
    judged: bool,
    /// Whether the limiter may have been forgotten by it.
    forgets: bool,
}

impl LimitBook {
    /// Notes what is asked.
    pub fn asked(&mut self, id: RequestId, ask: &Ask) {
        let Ask::Limit(command) = ask else { return };
        let (account, name, policy) = match command {
            LimitCommand::Check { account, name, policy, .. } => (account, name, Some(*policy)),
            LimitCommand::Delete { account, name } => (account, name, None),
            LimitCommand::Get { .. } | LimitCommand::List { .. } | LimitCommand::Use { .. } => {
                return;
            }
        };
        let limiter = self.limiters.entry((*account, name.clone())).or_default();
        limiter.requests.push(id);
        if let Some(policy) = policy {
            limiter.mixed |= limiter.policy.is_some_and(|known| known != policy);
            limiter.policy = Some(policy);
        }
    }

    /// A server started.
    pub fn started(&mut self, at: Truth, before: Before) {
        self.starts.push((at, before));
    }

    /// Judges an answer.
    pub fn told(
        &mut self,
        id: RequestId,
        requests: &[Request],
        outcome: &LimitOutcome,
    ) -> Result<(), Violation> {
        let request = &requests[id];
        let Ask::Limit(command) = &request.ask else { return Ok(()) };
        match (command, outcome) {
            (LimitCommand::Check { account, name, .. }, LimitOutcome::Admitted(_)) => {
                self.windows_hold(&(*account, name.clone()), id, requests)
            }
            (
                LimitCommand::Check { account, name, policy, cost, .. },
                LimitOutcome::Refused(..),
            ) => {
                self.refused_rightly(&(*account, name.clone()), (id, *policy, cost.get()), requests)
            }
            (LimitCommand::Get { account, name }, LimitOutcome::Status(standing)) => {
                self.counts(&(*account, name.clone()), id, requests, Some(standing))
            }
            (LimitCommand::Get { account, name }, LimitOutcome::NotFound) => {
                self.counts(&(*account, name.clone()), id, requests, None)
            }
            (LimitCommand::List { account, .. }, LimitOutcome::Limits(page)) => {
                for standing in &page.items {
                    self.counts(&(*account, standing.name.clone()), id, requests, Some(standing))?;
                }
                Ok(())
            }
            (_, LimitOutcome::NoRoom | LimitOutcome::OverQuota(_))
            | (LimitCommand::Delete { .. }, LimitOutcome::Deleted | LimitOutcome::NotFound) => {
                Ok(())
            }
            (
                _,
                LimitOutcome::Admitted(_)
                | LimitOutcome::Refused(..)
                | LimitOutcome::Status(_)
                | LimitOutcome::Deleted
                | LimitOutcome::NotFound
                | LimitOutcome::Limits(_)
                | LimitOutcome::Use(_),
            ) => Err(Violation::new(
                Promise::OneOutcome,
                format!("{command:?} was answered {outcome:?}"),
            )),
        }
    }

    /// Every window that ends at an admission, and holds the one that was just told.
    fn windows_hold(
        &self,
        key: &(AccountId, LimitName),
        told: RequestId,
        requests: &[Request],
    ) -> Result<(), Violation> {
        let events = self.events(key, requests);
        let Some(new) = events.iter().position(|event| event.id == told) else { return Ok(()) };
        for (end, event) in events.iter().enumerate().skip(new).filter(|(_, event)| event.sure > 0)
        {
            let Some(policy) = event.policy else { continue };
            let sum = remembered(&events[..=end], event.at, policy);
            require(sum <= policy.max_requests.get(), Promise::Limits, || {
                format!(
                    "{:?} admitted {sum} in a window that ends at {:?}: {policy:?}",
                    key.1, event.at
                )
            })?;
        }
        Ok(())
    }

    /// Whether everything that may have been admitted, and what a crash may have cost, leaves no
    /// room.
    fn refused_rightly(
        &self,
        key: &(AccountId, LimitName),
        (id, policy, cost): (RequestId, Policy, u32),
        requests: &[Request],
    ) -> Result<(), Violation> {
        let Some(now) = requests[id].handled else { return Ok(()) };
        let window = policy.window.as_duration();
        let since = now.minus(window + window / 1000 + TICK * 2);
        let recent = || self.starts.iter().filter(|(at, _)| *at >= since);
        let rebooted = recent().any(|(_, before)| *before == Before::Reboot);
        if rebooted || self.limiters.get(key).is_none_or(|limiter| limiter.mixed) {
            return Ok(());
        }
        let events = self.events(key, requests);
        let within = events.iter().filter(|event| event.at >= since && event.id != id);
        let possible: u32 = within.map(|event| event.possible).sum();
        let restarts = recent().filter(|(_, before)| *before == Before::Crash).count();
        let crashes = u32::try_from(restarts).unwrap_or(u32::MAX).saturating_mul(policy.ahead());
        let most = possible.saturating_add(crashes).saturating_add(cost);
        require(most > policy.max_requests.get(), Promise::Limits, || {
            format!(
                "{:?} refused {cost} although at most {possible} were admitted: {policy:?}",
                key.1
            )
        })
    }

    /// A limiter that is looked at counts at least what was admitted for sure.
    fn counts(
        &self,
        key: &(AccountId, LimitName),
        id: RequestId,
        requests: &[Request],
        shown: Option<&Standing>,
    ) -> Result<(), Violation> {
        self.stays_deleted(key, id, requests, shown)?;
        let Some(limiter) = self.limiters.get(key) else { return Ok(()) };
        let (Some(policy), Some(now), false) =
            (limiter.policy, requests[id].handled, limiter.mixed)
        else {
            return Ok(());
        };
        let mut events = self.events(key, requests);
        // What was told before it was asked is counted, if it was not deleted meanwhile.
        let sent = requests[id].sent;
        for event in &mut events {
            let told = match &requests[event.id].end {
                End::Told(_, told) => told.event < sent.event,
                End::Waits | End::Nothing | End::Unknown | End::HungUp | End::Lost => false,
            };
            if !told {
                event.sure = 0;
            }
        }
        let sum = remembered(&events, now, policy);
        let count = shown.map_or(0, |standing| standing.count);
        require(count >= sum, Promise::Limits, || {
            format!("{:?} counts {count} although {sum} were admitted in its window", key.1)
        })
    }

    /// A limiter whose deletion was told, and which nobody has checked since, is not there.
    fn stays_deleted(
        &self,
        key: &(AccountId, LimitName),
        id: RequestId,
        requests: &[Request],
        shown: Option<&Standing>,
    ) -> Result<(), Violation> {
        let sent = requests[id].sent.event;
        let of_key = || self.limiters.get(key).into_iter().flat_map(|limiter| &limiter.requests);
        let deleted = of_key().filter_map(|&id| match &requests[id].end {
            End::Told(Answer::Limit(LimitOutcome::Deleted), told) if told.event < sent => {
                Some(requests[id].handled)
            }
            End::Told(..) | End::Waits | End::Nothing | End::Unknown | End::HungUp | End::Lost => {
                None
            }
        });
        let Some(Some(deleted)) = deleted.max() else { return Ok(()) };
        let since = |&&id: &&RequestId| {
            requests[id].handled.is_none_or(|handled| handled >= deleted)
                && matches!(requests[id].ask, Ask::Limit(LimitCommand::Check { .. }))
        };
        require(shown.is_none() || of_key().any(|id| since(&id)), Promise::Durability, || {
            format!("{:?} is there, and was deleted", key.1)
        })
    }

    /// What happened to a limiter, in the order in which it was handled.
    fn events(&self, key: &(AccountId, LimitName), requests: &[Request]) -> Vec<Event> {
        let ids = self.limiters.get(key).into_iter().flat_map(|limiter| &limiter.requests);
        let mut events: Vec<Event> = ids
            .filter_map(|&id| {
                let request = &requests[id];
                let Ask::Limit(command) = &request.ask else { return None };
                let at = request.handled?;
                let event = Event {
                    at,
                    id,
                    policy: None,
                    sure: 0,
                    possible: 0,
                    judged: false,
                    forgets: false,
                };
                Some(match command {
                    LimitCommand::Check { policy, cost, .. } => {
                        let (sure, possible, judged) = admitted(&request.end, cost.get());
                        Event { policy: Some(*policy), sure, possible, judged, ..event }
                    }
                    LimitCommand::Delete { .. } => {
                        Event { forgets: request.end != End::Nothing, ..event }
                    }
                    LimitCommand::Get { .. }
                    | LimitCommand::List { .. }
                    | LimitCommand::Use { .. } => event,
                })
            })
            .collect();
        events.sort_by_key(|event| (event.at, event.id));
        events
    }
}

/// How many a check admitted for sure, how many at most, and whether it was judged at all.
fn admitted(end: &End, cost: u32) -> (u32, u32, bool) {
    match end {
        End::Told(Answer::Limit(LimitOutcome::Admitted(_)), _) => (cost, cost, true),
        End::Told(Answer::Limit(LimitOutcome::Refused(..)), _) => (0, 0, true),
        End::Told(..) => (0, 0, false),
        // What was admitted on a row that the store refused stays counted.
        End::Waits | End::Nothing | End::Unknown | End::HungUp | End::Lost => (0, cost, false),
    }
}

/// How many of `events` were admitted for sure, and are remembered at `now` under `policy`: since
/// the limiter was last forgotten, and since a check of this window first asked for them to be, which found
/// those of which the own window was not over.
fn remembered(events: &[Event], now: Truth, policy: Policy) -> u32 {
    let window = policy.window.as_duration();
    let forgotten = events.iter().rposition(|event| event.forgets).map_or(0, |last| last + 1);
    let within = events[forgotten..].iter().filter(|event| event.at.plus(window) > now);
    let within: Vec<&Event> = within.collect();
    let asked_for = |event: &&&Event| {
        event.judged && event.policy.is_some_and(|asked| asked.window >= policy.window)
    };
    let Some(first) = within.iter().find(asked_for).map(|event| event.at) else { return 0 };
    let own = |event: &Event| event.policy.map_or(Duration::ZERO, |own| own.window.as_duration());
    let found = within.iter().filter(|event| event.at.plus(own(event)) > first);
    found.map(|event| event.sure).sum()
}
