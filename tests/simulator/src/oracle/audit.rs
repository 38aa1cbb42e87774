//! The audit log: every change that was told is in it once, and nothing that was not executed.

use super::{End, Promise, Request, RequestId, Violation, require};
use crate::server::{Answer, Ask};
use octostore::store::Retention;
use octostore_actors::domain::{
    account::{AccountCommand, AccountOutcome, NewToken},
    audit::{AuditId, AuditPage, Provenance},
    config::{ConfigCommand, ConfigOutcome, Entry},
    flag::{FlagCommand, FlagOutcome},
    lock::{LockCommand, LockOutcome},
    values::TokenHash,
};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that was read of the audit log.
#[derive(Debug, Default)]
pub struct AuditBook {
    /// By the number that its entry must have.
    requests: BTreeMap<String, RequestId>,
    seen: BTreeMap<RequestId, AuditId>,
    /// By the value that it alone writes.
    values: BTreeMap<String, RequestId>,
    /// By the token that it alone makes.
    tokens: BTreeMap<TokenHash, RequestId>,
    /// What somebody saw the effect of, whether or not its answer arrived: its entry is committed
    /// with it.
    effective: BTreeSet<RequestId>,
}

impl AuditBook {
    /// Notes what is asked.
    pub fn asked(&mut self, id: RequestId, ask: &Ask) {
        if let Some(by) = provenance(ask) {
            self.requests.insert(by.request.to_string(), id);
        }
        match ask {
            Ask::Config(ConfigCommand::Put { value, .. }) => {
                self.values.insert(value.as_json().to_owned(), id);
            }
            Ask::Account(
                AccountCommand::Issue { token: NewToken { hash, .. }, .. }
                | AccountCommand::Admit { token: NewToken { hash, .. }, .. }
                | AccountCommand::Rotate { fresh: hash, .. },
            ) => {
                self.tokens.insert(*hash, id);
            }
            Ask::Lock(_) | Ask::Limit(_) | Ask::Flag(_) | Ask::Config(_) | Ask::Account(_) => {}
        }
    }

    /// Notes of which requests an answer shows the effect.
    pub fn shown(&mut self, answer: &Answer) {
        match answer {
            Answer::Config(ConfigOutcome::Written(entry) | ConfigOutcome::Found(entry)) => {
                self.shows_value(entry);
            }
            Answer::Config(ConfigOutcome::History(entries)) => {
                entries.iter().for_each(|entry| self.shows_value(entry));
            }
            Answer::Config(ConfigOutcome::Keys(page)) => {
                page.items.iter().for_each(|entry| self.shows_value(entry));
            }
            Answer::Account(AccountOutcome::Tokens(tokens)) => {
                tokens.iter().for_each(|token| self.shows_token(&token.hash));
            }
            Answer::Lock(_)
            | Answer::Limit(_)
            | Answer::Flag(_)
            | Answer::Config(_)
            | Answer::Account(_) => {}
        }
    }

    fn shows_value(&mut self, entry: &Entry) {
        self.effective.extend(self.values.get(entry.value.as_json()));
    }

    /// Notes that somebody was shown, or let in by, this token.
    pub fn shows_token(&mut self, hash: &TokenHash) {
        self.effective.extend(self.tokens.get(hash));
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
            let has_changed = has_changed(&requests[id]) || self.effective.contains(&id);
            durability(!has_changed || there(number), &|| {
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
