//! Bounds: a mailbox takes no more than it holds, a list shows no more than a quota allows, and
//! nobody is refused for a quota that cannot be used up.

use super::{Promise, Violation, require};
use crate::server::{Answer, Ask, Domain, Setup};
use octostore::settings::Quotas;
use octostore_actors::domain::{
    account::{AccountOutcome, TokenSource},
    config::{ConfigCommand, ConfigOutcome},
    flag::{FlagCommand, FlagOutcome},
    limiter::{LimitCommand, LimitOutcome},
    lock::{LockCommand, LockOutcome},
    values::AccountId,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is bounded, and how far it has come.
#[derive(Debug)]
pub struct BoundBook {
    mailbox: usize,
    quotas: Quotas,
    /// How many messages each actor was sent since its last turn.
    queued: BTreeMap<Domain, usize>,
    /// The names for which room was ever asked, of each account and domain.
    names: BTreeMap<(AccountId, Domain), BTreeSet<String>>,
}

impl BoundBook {
    /// The bounds of a server that is started so.
    pub fn new(setup: &Setup) -> Self {
        Self {
            mailbox: setup.mailbox.get(),
            quotas: setup.quotas,
            queued: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// A mailbox took a message.
    ///
    /// # Errors
    /// It was full.
    pub fn taken(&mut self, domain: Domain) -> Result<(), Violation> {
        let queued = self.queued.entry(domain).or_default();
        *queued += 1;
        require(*queued <= self.mailbox, Promise::Bounded, || {
            format!("the mailbox of {domain:?} holds {queued} messages of {}", self.mailbox)
        })
    }

    /// An actor took its turn: its mailbox is empty.
    pub fn turned(&mut self, domain: Domain) {
        self.queued.remove(&domain);
    }

    /// The server is no more.
    pub fn ended(&mut self) {
        self.queued.clear();
    }

    /// Notes what is asked.
    pub fn asked(&mut self, ask: &Ask) {
        if let Some((account, name)) = wants_room(ask) {
            self.names.entry((account, ask.domain())).or_default().insert(name);
        }
    }

    /// Judges an answer.
    pub fn told(&self, ask: &Ask, answer: &Answer) -> Result<(), Violation> {
        let Quotas { locks, limits, flags, config, .. } = self.quotas;
        let (shown, most) = match answer {
            Answer::Lock(LockOutcome::Leases(page)) => (page.total, locks.get()),
            Answer::Limit(LimitOutcome::Limits(page)) => (page.total, limits.get()),
            Answer::Flag(FlagOutcome::Flags(page)) => (page.total, flags.get()),
            Answer::Config(ConfigOutcome::Keys(page)) => {
                self.config_bytes(&page.items)?;
                (page.total, config.keys.get())
            }
            Answer::Config(ConfigOutcome::History(entries)) => {
                self.config_bytes(entries)?;
                (entries.len(), config.history.get())
            }
            Answer::Account(AccountOutcome::Tokens(tokens)) => {
                let workloads = tokens.iter().filter(|t| t.source == TokenSource::Workload);
                (workloads.count(), self.quotas.tokens.get())
            }
            Answer::Lock(LockOutcome::OverQuota(quota))
            | Answer::Limit(LimitOutcome::OverQuota(quota))
            | Answer::Flag(FlagOutcome::OverQuota(quota)) => {
                return self.may_be_reached(ask, quota.get());
            }
            // Otherwise it is the bytes.
            Answer::Config(ConfigOutcome::OverQuota(quota)) if quota.bytes == u64::MAX => {
                return self.may_be_reached(ask, quota.keys.get());
            }
            Answer::Lock(_)
            | Answer::Limit(_)
            | Answer::Flag(_)
            | Answer::Config(_)
            | Answer::Account(_) => return Ok(()),
        };
        require(shown <= most as usize, Promise::Bounded, || {
            format!("{ask:?} shows {shown}, and {most} are allowed")
        })
    }

    fn config_bytes(
        &self,
        entries: &[octostore_actors::domain::config::Entry],
    ) -> Result<(), Violation> {
        let (bytes, most) = (
            entries.iter().map(|entry| entry.value.as_json().len() as u64).sum::<u64>(),
            self.quotas.config.bytes,
        );
        require(bytes <= most, Promise::Bounded, || {
            format!("{bytes} bytes of configuration are shown, and {most} are allowed")
        })
    }

    /// Whether the account can have as many as its quota allows.
    fn may_be_reached(&self, ask: &Ask, quota: u32) -> Result<(), Violation> {
        let names =
            wants_room(ask).and_then(|(account, _)| self.names.get(&(account, ask.domain())));
        let most = names.map_or(0, BTreeSet::len);
        // What is asked for now is one of them, and is not there yet.
        require(most > quota as usize, Promise::Bounded, || {
            format!("{ask:?} is over a quota of {quota}, and there are {most} names altogether")
        })
    }
}

/// Whose room a request may take, and for which name.
fn wants_room(ask: &Ask) -> Option<(AccountId, String)> {
    match ask {
        Ask::Lock(LockCommand::Acquire { name, holder, .. }) => {
            Some((holder.account, name.to_string()))
        }
        Ask::Limit(LimitCommand::Check { account, name, .. }) => Some((*account, name.to_string())),
        Ask::Flag(FlagCommand::Set { account, name, .. }) => Some((*account, name.to_string())),
        Ask::Config(
            ConfigCommand::Put { account, key, .. } | ConfigCommand::Rollback { account, key, .. },
        ) => Some((*account, key.to_string())),
        Ask::Lock(_) | Ask::Limit(_) | Ask::Flag(_) | Ask::Config(_) | Ask::Account(_) => None,
    }
}
