//! The reference: what each step answers and writes.

use crate::{
    BLOCK,
    common::{lease_id, token},
    rows::{Rows, ended_by_force, holding, page},
    walk::Whose,
};
use octostore_actors::{
    domain::{
        Record, Room,
        lock::{Lease, LockCommand, LockOutcome, LockRecord},
        values::{AccountId, FencingToken, LeaseId, LockName, Quota, Ttl},
    },
    time::Instant,
};
use proptest::sample::Index;
use std::collections::BTreeMap;

/// An answer to somebody.
#[derive(Clone, Debug)]
struct Told {
    outcome: LockOutcome,
    depends_on: u64,
}

#[derive(Clone, Debug)]
pub struct Reference {
    pub now: Instant,
    /// The rows after each change since the start; the last are the present.
    history: Vec<Rows>,
    /// How many changes are on disk, and how many the machine knows to be.
    pub durable: u64,
    settled: u64,
    /// The last change of each lock since the start.
    changed: BTreeMap<LockName, u64>,
    /// The last token granted, the mark the machine knows to be on disk, and whether a higher
    /// one is on its way.
    last_token: u64,
    mark: u64,
    /// How many were reserved last: next come twice as many.
    block: u64,
    raising: Option<u64>,
    /// Granted and confirmed answers that did not come back, of each lease of this run. A held
    /// lease without any is a ghost: it ends as soon as the store takes its end.
    known: BTreeMap<LeaseId, u32>,
    /// Such answers on their way or with their receivers.
    answers: Vec<Told>,
    /// A commit was refused since a deadline was handled: the machine may have to look again at
    /// what it restored.
    pub refused: bool,
    /// The leases each lock had, in order.
    granted: BTreeMap<LockName, Vec<LeaseId>>,
    pub leases: u64,
    pub step: Step,
}

/// What the latest transition comes to.
#[derive(Clone, Debug)]
pub struct Step {
    pub action: Action,
    pub records: Vec<Record>,
}

#[derive(Clone, Debug)]
pub enum Action {
    Nothing,
    Ask {
        command: LockCommand,
        room: Room,
        outcome: LockOutcome,
        depends_on: Depends,
    },
    Deadline,
    Undelivered(LockOutcome),
    Commit,
    Settle,
    /// So many refused answers come home before the rewind, and make the machine want something
    /// of the state that is undone by it; the others come home after it.
    Refuse {
        before: usize,
        in_vain: Vec<Record>,
    },
    Restart(Restart),
}

#[derive(Clone, Copy, Debug)]
pub enum Depends {
    On(u64),
    /// On anything that covers what it saw.
    OnWhatItSaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    Crash,
    Reboot,
    Stop,
}

impl Reference {
    pub fn new() -> Self {
        Self::on(Rows::default(), Instant::from_nanos(0))
    }

    /// Starts with what is on disk, and a block of tokens ahead of it.
    pub fn on(mut rows: Rows, now: Instant) -> Self {
        let last_token = rows.mark;
        rows.mark += BLOCK;
        Self {
            now,
            durable: 0,
            settled: 0,
            changed: BTreeMap::new(),
            last_token,
            mark: rows.mark,
            block: BLOCK,
            history: vec![rows],
            raising: None,
            known: BTreeMap::new(),
            answers: Vec::new(),
            refused: false,
            granted: BTreeMap::new(),
            leases: 0,
            step: Step { action: Action::Nothing, records: Vec::new() },
        }
    }

    pub fn rows(&self) -> &Rows {
        self.history.last().unwrap()
    }

    pub fn on_disk(&self) -> &Rows {
        &self.history[usize::try_from(self.durable).unwrap()]
    }

    pub fn last(&self) -> u64 {
        self.history.len() as u64 - 1
    }

    pub fn lease(&self, name: &LockName) -> Option<Lease> {
        self.rows().locks.get(name).cloned()
    }

    fn record(&mut self, record: impl Into<Record>) -> u64 {
        let record = record.into();
        let mut rows = self.rows().clone();
        let seq = self.last() + 1;
        match &record {
            Record::Lock(LockRecord::Held(lease)) => {
                rows.locks.insert(lease.name.clone(), lease.clone());
                self.changed.insert(lease.name.clone(), seq);
            }
            Record::Lock(LockRecord::Free(name)) => {
                rows.locks.remove(name);
                self.changed.insert(name.clone(), seq);
            }
            Record::Lock(LockRecord::TokenMark(mark)) => rows.mark = mark.get(),
            Record::Audit(entry) => rows.log.push(entry.clone()),
            Record::Limit(_) | Record::Flag(_) | Record::Config(_) | Record::Account(_) => {
                unreachable!("not of this domain")
            }
        }
        self.history.push(rows);
        self.step.records.push(record);
        seq
    }

    /// What must be on disk before anybody hears of `name`.
    fn seen(&self, name: &LockName) -> u64 {
        let changed = self.changed.get(name).copied().unwrap_or(0);
        if changed > self.settled { changed } else { 0 }
    }

    pub fn ask(&mut self, command: LockCommand, room: Room) {
        let (outcome, depends_on) = match command.clone() {
            LockCommand::Acquire { name, holder, ttl, lease, metadata, quota } => self.acquire(
                Lease {
                    name,
                    holder,
                    id: lease,
                    token: FencingToken::ZERO,
                    ttl,
                    expires: self.now + ttl.as_duration(),
                    metadata,
                },
                quota,
                room,
            ),
            LockCommand::Release { name, account, lease } => {
                match self.owned(&name, account, lease) {
                    Some(_) => {
                        (LockOutcome::Released, Depends::On(self.record(LockRecord::Free(name))))
                    }
                    None => (LockOutcome::NotOwned, Depends::On(self.seen(&name))),
                }
            }
            LockCommand::Renew { name, account, lease, ttl } => {
                match self.owned(&name, account, lease) {
                    Some(lease) => self.extend(lease, ttl),
                    None => (LockOutcome::NotOwned, Depends::On(self.seen(&name))),
                }
            }
            LockCommand::ForceRelease { name, reason, by } => match self.lease(&name) {
                Some(lease) => {
                    self.record(ended_by_force(&lease, &reason, by));
                    let seq = self.record(LockRecord::Free(name));
                    (LockOutcome::ForceReleased(lease), Depends::On(seq))
                }
                None => (LockOutcome::NotHeld, Depends::On(self.seen(&name))),
            },
            LockCommand::Use { accounts } => {
                let holding = accounts.iter().map(|&account| holding(self.rows(), account));
                (LockOutcome::Use(holding.collect()), Depends::OnWhatItSaw)
            }
            LockCommand::Get { name } => {
                (LockOutcome::Status(self.lease(&name)), Depends::On(self.seen(&name)))
            }
            LockCommand::List { account, selection } => {
                (LockOutcome::Leases(page(self.rows(), account, &selection)), Depends::OnWhatItSaw)
            }
        };
        if let (LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease), Depends::On(seq)) =
            (&outcome, depends_on)
        {
            if let Some(known) = self.known.get_mut(&lease.id) {
                *known += 1;
            }
            self.answers.push(Told { outcome: outcome.clone(), depends_on: seq });
        }
        self.step.action = Action::Ask { command, room, outcome, depends_on };
    }

    fn acquire(&mut self, wanted: Lease, quota: Quota, room: Room) -> (LockOutcome, Depends) {
        if let Some(lease) = self.lease(&wanted.name) {
            if lease.holder == wanted.holder {
                return self.extend(lease, wanted.ttl);
            }
            let seen = self.seen(&lease.name);
            return (LockOutcome::Held(lease), Depends::On(seen));
        }
        if holding(self.rows(), wanted.holder.account) >= quota.get() as usize {
            return (LockOutcome::OverQuota(quota), Depends::OnWhatItSaw);
        }
        if room == Room::Exhausted {
            return (LockOutcome::NoRoom, Depends::On(0));
        }
        if self.raising.is_none() && self.mark - self.last_token <= self.block / 2 {
            let mark = token(self.mark + 2 * self.block);
            self.raising = Some(self.record(LockRecord::TokenMark(mark)));
        }
        if self.last_token == self.mark {
            return (LockOutcome::NoToken, Depends::On(0));
        }
        self.last_token += 1;
        let lease = Lease { token: token(self.last_token), ..wanted };
        self.known.insert(lease.id, 0);
        self.granted.entry(lease.name.clone()).or_default().push(lease.id);
        let seq = self.record(LockRecord::Held(lease.clone()));
        (LockOutcome::Granted(lease), Depends::On(seq))
    }

    fn extend(&mut self, lease: Lease, ttl: Ttl) -> (LockOutcome, Depends) {
        let expires = self.now + ttl.as_duration();
        if expires <= lease.expires {
            let seen = self.seen(&lease.name);
            return (LockOutcome::Confirmed(lease), Depends::On(seen));
        }
        let lease = Lease { expires, ttl, ..lease };
        let seq = self.record(LockRecord::Held(lease.clone()));
        (LockOutcome::Confirmed(lease), Depends::On(seq))
    }

    fn owned(&self, name: &LockName, account: AccountId, id: LeaseId) -> Option<Lease> {
        self.lease(name).filter(|lease| lease.holder.account == account && lease.id == id)
    }

    /// The held leases that nobody knows of.
    pub fn ghosts(&self) -> impl Iterator<Item = &Lease> {
        self.rows().locks.values().filter(|lease| self.known.get(&lease.id) == Some(&0))
    }

    pub fn deadline(&mut self) {
        self.end_ghosts();
        let mut due: Vec<_> =
            self.rows().locks.values().filter(|lease| lease.expires <= self.now).cloned().collect();
        due.sort_by_key(|lease| (lease.expires, lease.token));
        for lease in due {
            self.record(LockRecord::Free(lease.name));
        }
        self.refused = false;
        self.step.action = Action::Deadline;
    }

    fn end_ghosts(&mut self) {
        let ghosts: Vec<_> = self.ghosts().map(|lease| lease.name.clone()).collect();
        for name in ghosts {
            self.record(LockRecord::Free(name));
        }
    }

    /// The answers that somebody has in hand.
    fn delivered(&self) -> impl Iterator<Item = usize> {
        let durable = self.durable;
        self.answers
            .iter()
            .enumerate()
            .filter(move |(_, told)| told.depends_on <= durable)
            .map(|(place, _)| place)
    }

    pub fn undelivered(&mut self, which: Index) {
        let delivered: Vec<_> = self.delivered().collect();
        if delivered.is_empty() {
            return;
        }
        let outcome = self.answers.remove(*which.get(&delivered)).outcome;
        self.came_home(&outcome);
        self.step.action = Action::Undelivered(outcome);
    }

    /// An answer reached nobody: a lease that nobody knows of any more ends.
    fn came_home(&mut self, outcome: &LockOutcome) {
        let (LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease)) = outcome else {
            unreachable!("no other answer is kept");
        };
        if let Some(known) = self.known.get_mut(&lease.id) {
            *known -= 1;
            let current = self.lease(&lease.name).map(|lease| lease.id);
            if self.known[&lease.id] == 0 && current == Some(lease.id) {
                self.record(LockRecord::Free(lease.name.clone()));
            }
        }
    }

    pub fn settle(&mut self) {
        self.settled = self.durable;
        if self.raising.is_some_and(|seq| seq <= self.durable) {
            self.raising = None;
            let mark = self.on_disk().mark;
            self.block = mark - self.mark;
            self.mark = mark;
        }
    }

    pub fn refuse(&mut self, before: Index) {
        let durable = self.durable;
        let (refused, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.answers)
            .into_iter()
            .partition(|told| told.depends_on > durable);
        self.answers = kept;
        let before = before.index(refused.len() + 1);
        for told in &refused[..before] {
            self.came_home(&told.outcome);
        }
        let in_vain = std::mem::take(&mut self.step.records);

        self.settle();
        self.raising = None;
        let on_disk = self.on_disk().clone();
        for rows in &mut self.history[usize::try_from(durable).unwrap()..] {
            *rows = on_disk.clone();
        }
        self.changed.retain(|_, changed| *changed <= durable);

        for told in &refused[before..] {
            self.came_home(&told.outcome);
        }
        self.refused = true;
        self.step.action = Action::Refuse { before, in_vain };
    }

    pub fn restart(mut self, how: Restart) -> Self {
        if how == Restart::Stop {
            self.end_ghosts();
        }
        let (mut rows, now) = match how {
            Restart::Crash => (self.on_disk().clone(), self.now),
            Restart::Reboot => (self.on_disk().clone(), Instant::from_nanos(0)),
            Restart::Stop => (Rows { mark: self.last_token, ..self.rows().clone() }, self.now),
        };
        if how == Restart::Reboot {
            for lease in rows.locks.values_mut() {
                lease.expires = now + lease.ttl.as_duration();
            }
        }
        let mut new = Self::on(rows, now);
        new.granted = self.granted;
        new.leases = self.leases;
        new.step.action = Action::Restart(how);
        new
    }

    pub fn id(&self, name: &LockName, whose: Whose) -> LeaseId {
        let mut granted = self.granted.get(name).into_iter().flatten().rev().copied();
        let id = match whose {
            Whose::Latest => granted.next(),
            Whose::Earlier => granted.nth(1),
            Whose::Nobody => None,
        };
        id.unwrap_or(lease_id(u64::MAX))
    }
}
