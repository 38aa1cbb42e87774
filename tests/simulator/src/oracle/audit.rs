//! The audit log: every change that was told is in it once, and nothing that was not executed.

use super::{End, Promise, Request, RequestId, Violation, require};
use crate::server::{Answer, Ask};
use octostore::store::Retention;
use octostore_actors::domain::{
    account::{AccountCommand, AccountOutcome},
    audit::{AuditId, AuditPage, Provenance},
    config::{ConfigCommand, ConfigOutcome},
    flag::{FlagCommand, FlagOutcome},
    lock::{LockCommand, LockOutcome},
};
use std::collections::HashMap;

/// Everything that was read of the audit log.
#[derive(Debug, Default)]
pub struct AuditBook {
    /// By the number that its entry must have.
    requests: HashMap<String, RequestId>,
    seen: HashMap<RequestId, AuditId>,
}

impl AuditBook {
    /// Notes what is asked.
    pub fn asked(&mut self, id: RequestId, ask: &Ask) {
        if let Some(by) = provenance(ask) {
            self.requests.insert(by.request.to_string(), id);
        }
    }

    /// Judges the latest entries.
    pub fn read(
        &mut self,
        page: &AuditPage,
        retention: Retention,
        requests: &[Request],
    ) -> Result<(), Violation> {
        let durability = |kept, what: &dyn Fn() -> String| require(kept, Promise::Durability, what);
        let numbers = page.entries.iter().map(|(number, _)| *number);
        durability(numbers.is_sorted_by(|one, next| one > next), &|| {
            "two entries of the audit log have one number".to_owned()
        })?;
        for (number, entry) in &page.entries {
            // The server itself notes what it undoes.
            let Some(&id) = self.requests.get(entry.by.request.as_str()) else { continue };
            let request = &requests[id];
            require(may_have_changed(request), Promise::OneOutcome, || {
                format!("the audit log has #{id}, which was not executed: {:?}", request.end)
            })?;
            let before = *self.seen.entry(id).or_insert(*number);
            durability(before == *number, &|| {
                format!("the audit log has #{id} as {before:?} and as {number:?}")
            })?;
        }
        let most = retention.entries.unwrap_or(u64::MAX);
        durability(page.entries.len() as u64 <= most, &|| {
            format!("the audit log shows {} entries of {most}", page.entries.len())
        })?;
        if retention != Retention::default() || page.next.is_some() {
            return Ok(());
        }
        let there = |request: &str| {
            page.entries.iter().any(|(_, entry)| entry.by.request.as_str() == request)
        };
        for (number, &id) in &self.requests {
            durability(!has_changed(&requests[id]) || there(number), &|| {
                format!("the audit log does not have #{id}: {:?}", requests[id].ask)
            })?;
        }
        Ok(())
    }
}

/// Who asks, where the audit log is to know it.
fn provenance(ask: &Ask) -> Option<&Provenance> {
    match ask {
        Ask::Lock(LockCommand::ForceRelease { by, .. })
        | Ask::Flag(FlagCommand::Set { by, .. } | FlagCommand::Delete { by, .. })
        | Ask::Config(
            ConfigCommand::Put { by, .. }
            | ConfigCommand::Rollback { by, .. }
            | ConfigCommand::Delete { by, .. },
        )
        | Ask::Account(
            AccountCommand::Rotate { by, .. }
            | AccountCommand::Issue { by, .. }
            | AccountCommand::Admit { by, .. }
            | AccountCommand::Revoke { by, .. }
            | AccountCommand::Change { by, .. },
        ) => Some(by),
        Ask::Lock(_) | Ask::Limit(_) | Ask::Flag(_) | Ask::Config(_) | Ask::Account(_) => None,
    }
}

/// Whether a request was told that it has changed something.
fn has_changed(request: &Request) -> bool {
    let End::Told(answer, _) = &request.end else { return false };
    matches!(
        answer,
        Answer::Lock(LockOutcome::ForceReleased(_))
            | Answer::Flag(FlagOutcome::Set(_) | FlagOutcome::Deleted)
            | Answer::Config(ConfigOutcome::Written(_) | ConfigOutcome::Deleted)
            | Answer::Account(
                AccountOutcome::Rotated { .. }
                    | AccountOutcome::Issued(..)
                    | AccountOutcome::Revoked(_)
                    | AccountOutcome::Account(_)
            )
    )
}

/// Whether a request may have changed something, for all that is known.
fn may_have_changed(request: &Request) -> bool {
    match &request.end {
        End::Nothing => false,
        End::Told(..) => has_changed(request),
        End::Waits | End::Unknown | End::HungUp | End::Lost => request.handled.is_some(),
    }
}
