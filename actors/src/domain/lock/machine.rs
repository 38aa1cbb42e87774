//! The lock machine.

use super::{Holder, Lease, LockCommand, LockOutcome, LockRecord, Tokens};
use crate::{
    domain::{
        Effects, Machine, Moment, Room, Table, Ticket, Unsettled,
        audit::{Action, AuditText, Provenance},
        page::Selection,
        values::{AccountId, FencingToken, LeaseId, LockName, Metadata, Quota, Ttl},
    },
    progress::Seq,
    time::Instant,
    watch::Census,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many leases end in one call of [`Machine::on_deadline`], so that a mass expiry delays
/// nobody.
const EXPIRIES_AT_ONCE: usize = 512;

/// The lock domain.
#[derive(Debug)]
pub struct LockMachine {
    /// Boxed: a table has room for twice what is in it, and moves all of it when it grows.
    held: Table<LockName, Box<Entry>>,
    names: Table<AccountId, BTreeMap<LockName, ()>>,
    /// A token belongs to one lease alone, so it tells apart what expires in one instant.
    deadlines: BTreeMap<(Instant, FencingToken), LockName>,
    unsettled: Unsettled<LockName, Box<Entry>>,
    tokens: Tokens,
    /// Leases that nobody knows of, whose end the store refused: it is tried again.
    ghosts: BTreeSet<LockName>,
    /// How many leases have expired since the start.
    expired: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    lease: Lease,
    /// How many answers told the holder of this lease and did not come back. At zero nobody
    /// knows of it, and it ends.
    told: u32,
    /// Whether it counts as expired: if the store refuses that, it is tried again.
    counted: bool,
}

impl Entry {
    /// An answer that told of it reached nobody.
    fn came_back(&mut self) {
        // Leases from before a restart stay whatever comes.
        if self.told != u32::MAX {
            self.told = self.told.saturating_sub(1);
        }
    }
}

impl LockMachine {
    /// The machine as it was when `leases` were what is on disk.
    pub fn new(leases: impl IntoIterator<Item = Lease>, tokens: Tokens) -> Self {
        let mut machine = Self {
            held: Table::default(),
            names: Table::default(),
            deadlines: BTreeMap::new(),
            unsettled: Unsettled::default(),
            tokens,
            ghosts: BTreeSet::new(),
            expired: 0,
        };
        for lease in leases {
            assert!(lease.token <= machine.tokens.last, "a lease has a token not granted yet");
            // Whoever was told before the restart cannot be counted back.
            machine.put(Box::new(Entry { lease, told: u32::MAX, counted: false }));
        }
        machine
    }

    fn acquire(
        &mut self,
        moment: Moment,
        asked: Asked,
        effects: &mut Effects<LockOutcome>,
    ) -> (LockOutcome, Seq) {
        if let Some(entry) = self.held.get(&asked.name) {
            if entry.lease.holder == asked.holder {
                return self.extend(moment.now, &asked.name, asked.ttl, effects);
            }
            let seen = self.unsettled.depends_on(&asked.name);
            return (LockOutcome::Held(entry.lease.clone()), seen);
        }
        let holding = self.names.get(&asked.holder.account).map_or(0, BTreeMap::len);
        if holding >= asked.quota.get() as usize {
            return (LockOutcome::OverQuota(asked.quota), effects.last());
        }
        match moment.room {
            Room::Available => {}
            Room::Exhausted => return (LockOutcome::NoRoom, Seq::NONE),
        }
        let Some(token) = self.tokens.take(effects) else {
            return (LockOutcome::NoToken, Seq::NONE);
        };
        let lease = Lease {
            name: asked.name,
            holder: asked.holder,
            id: asked.lease,
            token,
            ttl: asked.ttl,
            expires: moment.now + asked.ttl.as_duration(),
            metadata: asked.metadata,
        };
        let seq = effects.record(LockRecord::Held(lease.clone()));
        self.unsettled.changed(seq, lease.name.clone(), None);
        self.put(Box::new(Entry { lease: lease.clone(), told: 1, counted: false }));
        (LockOutcome::Granted(lease), seq)
    }

    /// Extends the lease on `name`, which is held, to `ttl` from now if that is later.
    fn extend(
        &mut self,
        now: Instant,
        name: &LockName,
        ttl: Ttl,
        effects: &mut Effects<LockOutcome>,
    ) -> (LockOutcome, Seq) {
        let Some(mut entry) = self.take(name) else {
            unreachable!("only a held lock is extended");
        };
        let before = entry.clone();
        entry.told = entry.told.saturating_add(1);
        let expires = now + ttl.as_duration();
        let depends_on = if expires > entry.lease.expires {
            entry.lease.expires = expires;
            entry.lease.ttl = ttl;
            entry.counted = false;
            let seq = effects.record(LockRecord::Held(entry.lease.clone()));
            self.unsettled.changed(seq, name.clone(), Some(before));
            seq
        } else {
            self.unsettled.depends_on(name)
        };
        let lease = entry.lease.clone();
        self.put(entry);
        (LockOutcome::Confirmed(lease), depends_on)
    }

    fn renew(
        &mut self,
        now: Instant,
        name: &LockName,
        account: AccountId,
        lease: LeaseId,
        ttl: Ttl,
        effects: &mut Effects<LockOutcome>,
    ) -> (LockOutcome, Seq) {
        if self.owns(name, account, lease) {
            self.extend(now, name, ttl, effects)
        } else {
            (LockOutcome::NotOwned, self.unsettled.depends_on(name))
        }
    }

    fn release(
        &mut self,
        name: &LockName,
        account: AccountId,
        lease: LeaseId,
        effects: &mut Effects<LockOutcome>,
    ) -> (LockOutcome, Seq) {
        if self.owns(name, account, lease) {
            (LockOutcome::Released, self.end(name, effects))
        } else {
            (LockOutcome::NotOwned, self.unsettled.depends_on(name))
        }
    }

    fn force_release(
        &mut self,
        name: &LockName,
        reason: &AuditText,
        by: Provenance,
        effects: &mut Effects<LockOutcome>,
    ) -> (LockOutcome, Seq) {
        let Some(lease) = self.held.get(name).map(|entry| entry.lease.clone()) else {
            return (LockOutcome::NotHeld, self.unsettled.depends_on(name));
        };
        let (holder, token) = (lease.holder.account, lease.token.get());
        let detail = format!("of {holder}, token {token}: {reason}");
        effects.note(by, Action::LockForceRelease, name.as_str(), &detail);
        (LockOutcome::ForceReleased(lease), self.end(name, effects))
    }

    fn get(&self, name: &LockName) -> (LockOutcome, Seq) {
        let lease = self.held.get(name).map(|entry| entry.lease.clone());
        (LockOutcome::Status(lease), self.unsettled.depends_on(name))
    }

    fn list(
        &self,
        account: AccountId,
        selection: &Selection,
        effects: &Effects<LockOutcome>,
    ) -> (LockOutcome, Seq) {
        let page = selection.of(self.names.get(&account));
        let leases =
            page.filter_map(|(name, ())| self.held.get(name).map(|entry| entry.lease.clone()));
        // A list sees many entries: it waits for all that is on its way.
        (LockOutcome::Leases(leases), effects.last())
    }

    fn used(&self, accounts: &[AccountId], effects: &Effects<LockOutcome>) -> (LockOutcome, Seq) {
        let holding = |account| self.names.get(account).map_or(0, BTreeMap::len);
        (LockOutcome::Use(accounts.iter().map(holding).collect()), effects.last())
    }

    fn owns(&self, name: &LockName, account: AccountId, lease: LeaseId) -> bool {
        self.held
            .get(name)
            .is_some_and(|entry| entry.lease.holder.account == account && entry.lease.id == lease)
    }

    /// Ends the lease on `name`, which is held.
    fn end(&mut self, name: &LockName, effects: &mut Effects<LockOutcome>) -> Seq {
        let before = self.take(name);
        debug_assert!(before.is_some(), "only a held lock ends");
        let seq = effects.record(LockRecord::Free(name.clone()));
        self.unsettled.changed(seq, name.clone(), before);
        seq
    }

    /// Counts the lease on `name` as expired, once.
    fn count_expiry(&mut self, name: &LockName) {
        let Some(entry) = self.held.get_mut(name) else { return };
        self.expired += u64::from(!std::mem::replace(&mut entry.counted, true));
    }

    /// Ends one lease that nobody knows of, whose end was refused before. Returns whether there
    /// may be another.
    fn end_ghost(&mut self, effects: &mut Effects<LockOutcome>) -> bool {
        let Some(name) = self.ghosts.pop_first() else {
            return false;
        };
        // Its holder may have asked again meanwhile, and know of it now.
        if self.held.get(&name).is_some_and(|entry| entry.told == 0) {
            self.end(&name, effects);
        }
        true
    }

    /// Puts an entry where none is, in all three indexes.
    fn put(&mut self, entry: Box<Entry>) {
        let lease = &entry.lease;
        let name = lease.name.clone();
        self.deadlines.insert((lease.expires, lease.token), name.clone());
        self.names.entry(lease.holder.account).or_default().insert(name.clone(), ());
        let before = self.held.insert(name, entry);
        assert!(before.is_none(), "a lock was granted while it was held");
    }

    /// Takes an entry out of all three indexes.
    fn take(&mut self, name: &LockName) -> Option<Box<Entry>> {
        let entry = self.held.remove(name)?;
        let lease = &entry.lease;
        self.deadlines.remove(&(lease.expires, lease.token));
        if let Some(names) = self.names.get_mut(&lease.holder.account) {
            names.remove(name);
            if names.is_empty() {
                self.names.remove(&lease.holder.account);
            }
        }
        Some(entry)
    }
}

/// An acquire, taken apart once.
struct Asked {
    name: LockName,
    holder: Holder,
    ttl: Ttl,
    lease: LeaseId,
    metadata: Option<Metadata>,
    quota: Quota,
}

impl Machine for LockMachine {
    type Command = LockCommand;
    type Outcome = LockOutcome;

    fn apply(
        &mut self,
        moment: Moment,
        ticket: Ticket,
        command: LockCommand,
        effects: &mut Effects<LockOutcome>,
    ) {
        let (outcome, depends_on) = match command {
            LockCommand::Acquire { name, holder, ttl, lease, metadata, quota } => {
                let asked = Asked { name, holder, ttl, lease, metadata, quota };
                self.acquire(moment, asked, effects)
            }
            LockCommand::Release { name, account, lease } => {
                self.release(&name, account, lease, effects)
            }
            LockCommand::Renew { name, account, lease, ttl } => {
                self.renew(moment.now, &name, account, lease, ttl, effects)
            }
            LockCommand::ForceRelease { name, reason, by } => {
                self.force_release(&name, &reason, by, effects)
            }
            LockCommand::Get { name } => self.get(&name),
            LockCommand::List { account, selection } => self.list(account, &selection, effects),
            LockCommand::Use { accounts } => self.used(&accounts, effects),
        };
        effects.answer(ticket, outcome, depends_on);
    }

    fn undelivered(&mut self, outcome: LockOutcome, effects: &mut Effects<LockOutcome>) {
        let lease = match outcome {
            LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease) => lease,
            LockOutcome::Held(_)
            | LockOutcome::OverQuota(_)
            | LockOutcome::NoRoom
            | LockOutcome::NoToken
            | LockOutcome::Released
            | LockOutcome::NotOwned
            | LockOutcome::ForceReleased(_)
            | LockOutcome::NotHeld
            | LockOutcome::Status(_)
            | LockOutcome::Leases(_)
            | LockOutcome::Use(_) => return,
        };
        let Some(entry) = self.held.get_mut(&lease.name).filter(|entry| entry.lease.id == lease.id)
        else {
            // It has ended, but its end may yet be refused.
            self.unsettled
                .before_mut(&lease.name)
                .filter(|entry| entry.lease.id == lease.id)
                .for_each(|entry| entry.came_back());
            return;
        };
        // A retry of the same holder may have been confirmed meanwhile: then somebody knows of
        // the lease, and it stays.
        entry.came_back();
        if entry.told == 0 {
            self.end(&lease.name, effects);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        if !self.ghosts.is_empty() {
            return Some(Instant::default());
        }
        self.deadlines.first_key_value().map(|(&(expires, _), _)| expires)
    }

    fn on_deadline(&mut self, now: Instant, effects: &mut Effects<LockOutcome>) {
        for _ in 0..EXPIRIES_AT_ONCE {
            if self.end_ghost(effects) {
                continue;
            }
            let due = match self.deadlines.first_key_value() {
                Some((&(expires, _), name)) if expires <= now => name.clone(),
                Some(_) | None => return,
            };
            self.count_expiry(&due);
            self.end(&due, effects);
        }
    }

    fn settle(&mut self, durable: Seq) {
        self.unsettled.settle(durable);
        self.tokens.settle(durable);
    }

    fn rewind(&mut self, durable: Seq) {
        while let Some((name, before)) = self.unsettled.pop_after(durable) {
            let undone = self.take(&name);
            if let Some(mut entry) = before {
                // What was told, and came back, is no part of what is undone.
                if let Some(undone) = undone.filter(|undone| undone.lease.id == entry.lease.id) {
                    entry.told = undone.told;
                }
                if entry.told == 0 {
                    self.ghosts.insert(name);
                }
                self.put(entry);
            }
        }
        self.tokens.rewind(durable);
    }

    fn close(&mut self, effects: &mut Effects<LockOutcome>) {
        // After a restart nobody could tell that nobody knows of them.
        while self.end_ghost(effects) {}
        // Nothing is granted any more, so the mark can come down to what was.
        effects.record(LockRecord::TokenMark(self.tokens.last));
    }

    fn census(&self) -> Census {
        Census { entries: self.held.len() as u64, expired: self.expired }
    }
}
