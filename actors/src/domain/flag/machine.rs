//! The flag machine.

use super::{Flag, FlagCommand, FlagName, FlagOutcome, FlagRecord};
use crate::{
    domain::{
        Effects, Machine, Moment, Room, Table, Ticket, Unsettled,
        audit::{Action, Provenance},
        page::Selection,
        values::{AccountId, Quota},
    },
    progress::Seq,
    time::Instant,
};
use std::collections::BTreeMap;

/// The flag domain.
#[derive(Debug, Default)]
pub struct FlagMachine {
    flags: Table<AccountId, BTreeMap<FlagName, Flag>>,
    unsettled: Unsettled<(AccountId, FlagName), Flag>,
}

impl FlagMachine {
    /// The machine as it was when `flags` were what is on disk.
    pub fn new(flags: impl IntoIterator<Item = Flag>) -> Self {
        let mut machine = Self::default();
        for flag in flags {
            machine.put(flag);
        }
        machine
    }

    fn set(
        &mut self,
        moment: Moment,
        mut flag: Flag,
        quota: Quota,
        by: Provenance,
        effects: &mut Effects<FlagOutcome>,
    ) -> (FlagOutcome, Seq) {
        match self.find(flag.account, &flag.name) {
            Some(before) => {
                flag.created_at = before.created_at;
                flag.updated_at = flag.updated_at.max(before.updated_at);
            }
            None => {
                let having = self.flags.get(&flag.account).map_or(0, BTreeMap::len);
                if having >= quota.get() as usize {
                    return (FlagOutcome::OverQuota(quota), effects.last());
                }
            }
        }
        match moment.room {
            Room::Available => {}
            Room::Exhausted => return (FlagOutcome::NoRoom, Seq::NONE),
        }
        effects.record(FlagRecord::Set(flag.clone()));
        let seq = effects.note(by, Action::FlagSet, flag.name.as_str(), &flag.setting());
        let before = self.put(flag.clone());
        self.unsettled.changed(seq, (flag.account, flag.name.clone()), before);
        (FlagOutcome::Set(flag), seq)
    }

    fn get(&self, account: AccountId, name: FlagName) -> (FlagOutcome, Seq) {
        let flag = self.find(account, &name).cloned();
        (FlagOutcome::Status(flag), self.unsettled.depends_on(&(account, name)))
    }

    fn delete(
        &mut self,
        account: AccountId,
        name: FlagName,
        by: Provenance,
        effects: &mut Effects<FlagOutcome>,
    ) -> (FlagOutcome, Seq) {
        let Some(before) = self.take(account, &name) else {
            return (FlagOutcome::NotFound, self.unsettled.depends_on(&(account, name)));
        };
        effects.record(FlagRecord::Gone(account, name.clone()));
        let seq = effects.note(by, Action::FlagDelete, name.as_str(), "");
        self.unsettled.changed(seq, (account, name), Some(before));
        (FlagOutcome::Deleted, seq)
    }

    fn list(
        &self,
        account: AccountId,
        selection: &Selection,
        effects: &Effects<FlagOutcome>,
    ) -> (FlagOutcome, Seq) {
        let page = selection.of(self.flags.get(&account)).map(|(_, flag)| flag.clone());
        (FlagOutcome::Flags(page), effects.last())
    }

    fn used(&self, accounts: &[AccountId], effects: &Effects<FlagOutcome>) -> (FlagOutcome, Seq) {
        let having = |account| self.flags.get(account).map_or(0, BTreeMap::len);
        (FlagOutcome::Use(accounts.iter().map(having).collect()), effects.last())
    }

    fn find(&self, account: AccountId, name: &FlagName) -> Option<&Flag> {
        self.flags.get(&account)?.get(name)
    }

    fn put(&mut self, flag: Flag) -> Option<Flag> {
        self.flags.entry(flag.account).or_default().insert(flag.name.clone(), flag)
    }

    fn take(&mut self, account: AccountId, name: &FlagName) -> Option<Flag> {
        let flags = self.flags.get_mut(&account)?;
        let flag = flags.remove(name);
        if flags.is_empty() {
            self.flags.remove(&account);
        }
        flag
    }
}

impl Machine for FlagMachine {
    type Command = FlagCommand;
    type Outcome = FlagOutcome;

    fn apply(
        &mut self,
        moment: Moment,
        ticket: Ticket,
        command: FlagCommand,
        effects: &mut Effects<FlagOutcome>,
    ) {
        let (outcome, depends_on) = match command {
            FlagCommand::Set { account, name, enabled, percentage, quota, by } => {
                let (created_at, updated_at) = (by.at, by.at);
                let flag = Flag { account, name, enabled, percentage, created_at, updated_at };
                self.set(moment, flag, quota, by, effects)
            }
            FlagCommand::Get { account, name } => self.get(account, name),
            FlagCommand::Delete { account, name, by } => self.delete(account, name, by, effects),
            FlagCommand::List { account, selection } => self.list(account, &selection, effects),
            FlagCommand::Use { accounts } => self.used(&accounts, effects),
        };
        effects.answer(ticket, outcome, depends_on);
    }

    /// A change whose answer reached nobody stands: it was asked for.
    fn undelivered(&mut self, _: FlagOutcome, _: &mut Effects<FlagOutcome>) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn on_deadline(&mut self, _: Instant, _: &mut Effects<FlagOutcome>) {}

    fn settle(&mut self, durable: Seq) {
        self.unsettled.settle(durable);
    }

    fn rewind(&mut self, durable: Seq) {
        while let Some(((account, name), before)) = self.unsettled.pop_after(durable) {
            self.take(account, &name);
            if let Some(flag) = before {
                self.put(flag);
            }
        }
    }

    fn close(&mut self, _: &mut Effects<FlagOutcome>) {}
}
