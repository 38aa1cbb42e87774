//! The config machine.

use super::{
    ConfigCommand, ConfigKey, ConfigOutcome, ConfigQuota, ConfigRecord, ConfigUse, Entry, Expected,
    Version,
};
use crate::{
    domain::{
        Effects, Machine, Moment, Room, Table, Ticket, Unsettled,
        audit::{Action, Provenance},
        page::Selection,
        values::AccountId,
    },
    progress::Seq,
    time::Instant,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// The versions of one key, oldest first; never empty, and without gaps.
/// An entry is shared by the histories before and after a write, so that one costs little.
type History = VecDeque<Arc<Entry>>;

/// The config domain.
#[derive(Debug, Default)]
pub struct ConfigMachine {
    accounts: Table<AccountId, Account>,
    unsettled: Unsettled<(AccountId, ConfigKey), Arc<History>>,
}

#[derive(Debug, Default)]
struct Account {
    keys: BTreeMap<ConfigKey, Arc<History>>,
    bytes: u64,
}

impl ConfigMachine {
    /// The machine as it was when `entries` were what is on disk: the versions of each key in
    /// their order.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut machine = Self::default();
        for entry in entries {
            let (account, key) = (entry.account, entry.key.clone());
            let mut history = machine.take(account, &key).unwrap_or_default();
            let previous = history.back().map(|last| last.version.next());
            assert!(previous.is_none_or(|next| next == entry.version), "a history has a gap");
            Arc::make_mut(&mut history).push_back(Arc::new(entry));
            machine.put(account, key, history);
        }
        machine
    }

    /// Writes `entry` as the next version of its key; `again` says which earlier one it is.
    fn write(
        &mut self,
        moment: Moment,
        (mut entry, again): (Entry, Option<Version>),
        expected: &Expected,
        quota: ConfigQuota,
        by: Provenance,
        effects: &mut Effects<ConfigOutcome>,
    ) -> (ConfigOutcome, Seq) {
        let (account, key) = (entry.account, entry.key.clone());
        let present = self.find(account, &key).cloned();
        let last = present.as_ref().and_then(|history| history.back());
        if !expected.is_met_by(last.map(|last| last.etag())) {
            return (ConfigOutcome::Unexpected, self.depends_on(account, &key));
        }
        if self.is_over(quota, &entry, present.as_deref()) {
            return (ConfigOutcome::OverQuota(quota), effects.last());
        }
        match moment.room {
            Room::Available => {}
            Room::Exhausted => return (ConfigOutcome::NoRoom, Seq::NONE),
        }
        if let Some(last) = last {
            entry.incarnation = last.incarnation;
            entry.version = last.version.next();
            entry.created_at = last.created_at;
            entry.updated_at = entry.updated_at.max(last.updated_at);
        }
        let mut history = present.as_deref().cloned().unwrap_or_default();
        history.push_back(Arc::new(entry.clone()));
        while history.len() > quota.history.get() as usize {
            let Some(oldest) = history.pop_front() else { break };
            effects.record(ConfigRecord::NoVersion(account, key.clone(), oldest.version));
        }
        effects.record(ConfigRecord::Version(entry.clone()));
        let version = entry.version.get();
        let (action, detail) = match again {
            None => (Action::ConfigSet, format!("version {version}")),
            Some(earlier) => {
                let detail = format!("version {version}, as version {}", earlier.get());
                (Action::ConfigRollback, detail)
            }
        };
        let seq = effects.note(by, action, key.as_str(), &detail);
        self.put(account, key.clone(), Arc::new(history));
        self.unsettled.changed(seq, (account, key), present);
        (ConfigOutcome::Written(entry), seq)
    }

    /// Whether one more version would be more than the account may have.
    fn is_over(&self, quota: ConfigQuota, entry: &Entry, present: Option<&History>) -> bool {
        let (keys, bytes) =
            self.accounts.get(&entry.account).map_or((0, 0), |a| (a.keys.len(), a.bytes));
        // What the history lets go of when this version comes.
        let kept = (quota.history.get() as usize).saturating_sub(1);
        let dropped = |history: &History| -> u64 {
            history.iter().take(history.len().saturating_sub(kept)).map(|e| e.bytes()).sum()
        };
        let freed = present.map_or(0, dropped);
        (present.is_none() && keys >= quota.keys.get() as usize)
            || bytes + entry.bytes() - freed.min(bytes) > quota.bytes
    }

    fn rollback(
        &mut self,
        moment: Moment,
        (account, key): (AccountId, ConfigKey),
        (version, expected): (Version, &Expected),
        quota: ConfigQuota,
        by: Provenance,
        effects: &mut Effects<ConfigOutcome>,
    ) -> (ConfigOutcome, Seq) {
        match self.find_version(account, &key, Some(version)) {
            Some(earlier) => {
                let again = Entry { updated_at: by.at, ..earlier.clone() };
                self.write(moment, (again, Some(version)), expected, quota, by, effects)
            }
            None => (ConfigOutcome::NotFound, self.depends_on(account, &key)),
        }
    }

    fn get(
        &self,
        account: AccountId,
        key: &ConfigKey,
        version: Option<Version>,
    ) -> (ConfigOutcome, Seq) {
        let entry = self.find_version(account, key, version);
        let outcome =
            entry.map_or(ConfigOutcome::NotFound, |entry| ConfigOutcome::Found(entry.clone()));
        (outcome, self.depends_on(account, key))
    }

    fn history(&self, account: AccountId, key: &ConfigKey) -> (ConfigOutcome, Seq) {
        let outcome = self.find(account, key).map_or(ConfigOutcome::NotFound, |history| {
            ConfigOutcome::History(history.iter().rev().map(|entry| (**entry).clone()).collect())
        });
        (outcome, self.depends_on(account, key))
    }

    fn delete(
        &mut self,
        account: AccountId,
        key: ConfigKey,
        expected: &Expected,
        by: Provenance,
        effects: &mut Effects<ConfigOutcome>,
    ) -> (ConfigOutcome, Seq) {
        let present = self.find(account, &key).and_then(|history| history.back());
        if !expected.is_met_by(present.map(|present| present.etag())) {
            return (ConfigOutcome::Unexpected, self.depends_on(account, &key));
        }
        let Some(history) = self.take(account, &key) else {
            return (ConfigOutcome::NotFound, self.depends_on(account, &key));
        };
        for entry in history.iter() {
            effects.record(ConfigRecord::NoVersion(account, key.clone(), entry.version));
        }
        let detail =
            history.back().map(|last| format!("version {} was the last", last.version.get()));
        let seq = effects.note(by, Action::ConfigDelete, key.as_str(), &detail.unwrap_or_default());
        self.unsettled.changed(seq, (account, key), Some(history));
        (ConfigOutcome::Deleted, seq)
    }

    fn list(
        &self,
        account: AccountId,
        selection: &Selection,
        effects: &Effects<ConfigOutcome>,
    ) -> (ConfigOutcome, Seq) {
        let keys = self.accounts.get(&account).map(|account| &account.keys);
        let page = selection.of(keys).filter_map(|(_, history)| Some((**history.back()?).clone()));
        (ConfigOutcome::Keys(page), effects.last())
    }

    fn used(
        &self,
        accounts: &[AccountId],
        effects: &Effects<ConfigOutcome>,
    ) -> (ConfigOutcome, Seq) {
        let having = |id| {
            let account = self.accounts.get(id);
            account.map_or_else(ConfigUse::default, |account| ConfigUse {
                keys: account.keys.len(),
                bytes: account.bytes,
            })
        };
        (ConfigOutcome::Use(accounts.iter().map(having).collect()), effects.last())
    }

    fn depends_on(&self, account: AccountId, key: &ConfigKey) -> Seq {
        self.unsettled.depends_on(&(account, key.clone()))
    }

    fn find_version(
        &self,
        account: AccountId,
        key: &ConfigKey,
        version: Option<Version>,
    ) -> Option<&Entry> {
        let history = self.find(account, key)?;
        let Some(version) = version else { return history.back().map(|entry| &**entry) };
        let first = history.front()?.version;
        let index = version.0.checked_sub(first.0)?;
        history.get(usize::try_from(index).ok()?).map(|entry| &**entry)
    }

    fn find(&self, account: AccountId, key: &ConfigKey) -> Option<&Arc<History>> {
        self.accounts.get(&account)?.keys.get(key)
    }

    fn put(&mut self, account: AccountId, key: ConfigKey, history: Arc<History>) {
        self.take(account, &key);
        let account = self.accounts.entry(account).or_default();
        account.bytes += bytes_of(&history);
        account.keys.insert(key, history);
    }

    fn take(&mut self, account: AccountId, key: &ConfigKey) -> Option<Arc<History>> {
        let of_account = self.accounts.get_mut(&account)?;
        let history = of_account.keys.remove(key)?;
        of_account.bytes -= bytes_of(&history);
        if of_account.keys.is_empty() {
            self.accounts.remove(&account);
        }
        Some(history)
    }
}

fn bytes_of(history: &History) -> u64 {
    history.iter().map(|entry| entry.bytes()).sum()
}

impl Machine for ConfigMachine {
    type Command = ConfigCommand;
    type Outcome = ConfigOutcome;

    fn apply(
        &mut self,
        moment: Moment,
        ticket: Ticket,
        command: ConfigCommand,
        effects: &mut Effects<ConfigOutcome>,
    ) {
        let (outcome, depends_on) = match command {
            ConfigCommand::Put {
                account,
                key,
                value,
                description,
                expected,
                incarnation,
                quota,
                by,
            } => {
                let entry = Entry {
                    account,
                    key,
                    incarnation,
                    version: Version::FIRST,
                    value,
                    description,
                    created_at: by.at,
                    updated_at: by.at,
                };
                self.write(moment, (entry, None), &expected, quota, by, effects)
            }
            ConfigCommand::Rollback { account, key, version, expected, quota, by } => {
                self.rollback(moment, (account, key), (version, &expected), quota, by, effects)
            }
            ConfigCommand::Get { account, key, version } => self.get(account, &key, version),
            ConfigCommand::History { account, key } => self.history(account, &key),
            ConfigCommand::Delete { account, key, expected, by } => {
                self.delete(account, key, &expected, by, effects)
            }
            ConfigCommand::List { account, selection } => self.list(account, &selection, effects),
            ConfigCommand::Use { accounts } => self.used(&accounts, effects),
        };
        effects.answer(ticket, outcome, depends_on);
    }

    /// A change whose answer reached nobody stands: it was asked for.
    fn undelivered(&mut self, _: ConfigOutcome, _: &mut Effects<ConfigOutcome>) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn on_deadline(&mut self, _: Instant, _: &mut Effects<ConfigOutcome>) {}

    fn settle(&mut self, durable: Seq) {
        self.unsettled.settle(durable);
    }

    fn rewind(&mut self, durable: Seq) {
        while let Some(((account, key), before)) = self.unsettled.pop_after(durable) {
            self.take(account, &key);
            if let Some(history) = before {
                self.put(account, key, history);
            }
        }
    }

    fn close(&mut self, _: &mut Effects<ConfigOutcome>) {}
}
