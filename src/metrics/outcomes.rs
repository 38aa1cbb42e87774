//! What became of what was asked: grants, refusals by their cause, decisions of limits.

use super::cells::Counter;
use octostore_actors::{
    domain::{limiter::LimitOutcome, lock::LockOutcome},
    reply::Lost,
};

/// What became of acquires, renewals and releases.
#[derive(Debug, Default)]
pub struct LockOutcomes {
    /// New leases.
    pub granted: Counter,
    /// Leases that were extended, or confirmed to their holder.
    pub confirmed: Counter,
    /// Leases that their holder ended.
    pub released: Counter,
    /// Leases that an administrator ended.
    pub force_released: Counter,
    /// Somebody else held the lock.
    pub held: Counter,
    /// The account had as many locks as it may.
    pub quota: Counter,
    /// The lease to renew or release was none of the account's, or not any more.
    pub not_owned: Counter,
    /// The tokens are used up.
    pub no_token: Counter,
    /// The disk was full.
    pub storage_full: Counter,
    /// The mailbox was full.
    pub overloaded: Counter,
    /// The server went down in the middle.
    pub outcome_unknown: Counter,
}

impl LockOutcomes {
    /// This is what whoever asked is told.
    pub fn count(&self, answer: &Result<LockOutcome, Lost>) {
        match answer {
            Ok(LockOutcome::Granted(_)) => self.granted.add_one(),
            Ok(LockOutcome::Confirmed(_)) => self.confirmed.add_one(),
            Ok(LockOutcome::Released) => self.released.add_one(),
            Ok(LockOutcome::ForceReleased(_)) => self.force_released.add_one(),
            Ok(LockOutcome::Held(_)) => self.held.add_one(),
            Ok(LockOutcome::OverQuota(_)) => self.quota.add_one(),
            Ok(LockOutcome::NotOwned) => self.not_owned.add_one(),
            Ok(LockOutcome::NoToken) => self.no_token.add_one(),
            Ok(LockOutcome::NoRoom) | Err(Lost::StoreFull) => self.storage_full.add_one(),
            Err(Lost::Overloaded) => self.overloaded.add_one(),
            Err(Lost::OutcomeUnknown) => self.outcome_unknown.add_one(),
            Ok(
                LockOutcome::NotHeld
                | LockOutcome::Status(_)
                | LockOutcome::Leases(_)
                | LockOutcome::Use(_),
            ) => {}
        }
    }

    /// The refusals, each with its cause.
    pub fn refusals(&self) -> [(&'static str, u64); 7] {
        [
            ("held", &self.held),
            ("quota", &self.quota),
            ("not_owned", &self.not_owned),
            ("tokens_exhausted", &self.no_token),
            ("storage_full", &self.storage_full),
            ("overloaded", &self.overloaded),
            ("outcome_unknown", &self.outcome_unknown),
        ]
        .map(|(cause, count)| (cause, count.get()))
    }
}

/// What checks of limits were answered.
#[derive(Debug, Default)]
pub struct LimitDecisions {
    /// Within the limit.
    pub admitted: Counter,
    /// Above it.
    pub refused: Counter,
}

impl LimitDecisions {
    /// This is what whoever checked is told.
    pub fn count(&self, answer: &Result<LimitOutcome, Lost>) {
        match answer {
            Ok(LimitOutcome::Admitted(_)) => self.admitted.add_one(),
            Ok(LimitOutcome::Refused(..)) => self.refused.add_one(),
            // No decision was made.
            Ok(
                LimitOutcome::Status(_)
                | LimitOutcome::Deleted
                | LimitOutcome::Limits(_)
                | LimitOutcome::NotFound
                | LimitOutcome::OverQuota(_)
                | LimitOutcome::NoRoom
                | LimitOutcome::Use(_),
            )
            | Err(_) => {}
        }
    }
}

/// Why requests were answered 503.
#[derive(Debug, Default)]
pub struct Unavailable {
    /// A mailbox was full.
    pub overloaded: Counter,
    /// The disk was full.
    pub storage_full: Counter,
    /// The server went down in the middle.
    pub outcome_unknown: Counter,
    /// The fencing tokens are used up.
    pub tokens_exhausted: Counter,
}
