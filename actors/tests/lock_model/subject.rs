//! The machine, its disk, and those who were promised something.

use crate::{
    BLOCK,
    common::{seq, token},
    reference::Restart,
    rows::{Rows, holding, page},
};
use octostore_actors::{
    domain::{
        Effects, Machine, Moment, Record, Room, Ticket,
        audit::AuditEntry,
        lock::{Lease, LockCommand, LockMachine, LockOutcome, LockRecord, Tokens},
        values::{AccountId, FencingToken, LeaseId, LockName},
    },
    progress::Seq,
    time::Instant,
};
use std::collections::BTreeMap;

/// What somebody was told, and may count on.
#[derive(Clone, Debug)]
pub struct Promise {
    lease: Lease,
    /// The latest end anybody was told, on the present lease clock.
    until: Instant,
    /// How many answers told of it and did not come back.
    known: u32,
}

pub struct Subject {
    pub machine: LockMachine,
    pub effects: Effects<LockOutcome>,
    pub now: Instant,
    tickets: u64,
    /// What was wanted since the start, and is not on disk.
    journal: Vec<(u64, Record)>,
    pub last: u64,
    pub durable: u64,
    pub locks: BTreeMap<LockName, Lease>,
    pub mark: FencingToken,
    pub log: Vec<AuditEntry>,
    /// Answers that wait for the disk.
    pub held: Vec<(LockOutcome, Seq)>,
    promises: Vec<Promise>,
    /// The leases that were released: by the change at this place.
    pub ended: BTreeMap<LeaseId, u64>,
    highest_told: FencingToken,
    highest_decided: FencingToken,
}

impl Subject {
    pub fn new() -> Self {
        let mark = token(BLOCK);
        Self {
            machine: LockMachine::new([], Tokens::new(FencingToken::ZERO, mark, BLOCK)),
            effects: Effects::default(),
            now: Instant::from_nanos(0),
            tickets: 0,
            journal: Vec::new(),
            last: 0,
            durable: 0,
            locks: BTreeMap::new(),
            mark,
            log: Vec::new(),
            held: Vec::new(),
            promises: Vec::new(),
            ended: BTreeMap::new(),
            highest_told: FencingToken::ZERO,
            highest_decided: FencingToken::ZERO,
        }
    }

    pub fn ask(&mut self, command: LockCommand, room: Room) -> (LockOutcome, Seq) {
        let ticket = Ticket::new(self.tickets);
        self.tickets += 1;
        let moment = Moment { now: self.now, room };
        self.machine.apply(moment, ticket, command, &mut self.effects);
        let mut answers: Vec<_> = self.effects.take_answers().collect();
        assert_eq!(answers.len(), 1);
        let answer = answers.remove(0);
        assert_eq!(answer.ticket, ticket);
        (answer.outcome, answer.depends_on)
    }

    /// Takes what the step wanted on disk on its way there.
    pub fn records(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        for record in self.effects.take_records() {
            self.last += 1;
            self.journal.push((self.last, record.clone()));
            records.push(record);
        }
        assert_eq!(self.effects.last(), seq(self.last));
        records
    }

    pub fn write(&mut self, upto: u64) {
        self.durable = upto;
        let later = self.journal.iter().position(|(place, _)| *place > upto);
        let later = later.unwrap_or(self.journal.len());
        for (_, record) in self.journal.drain(..later) {
            match record {
                Record::Lock(LockRecord::Held(lease)) => {
                    self.locks.insert(lease.name.clone(), lease);
                }
                Record::Lock(LockRecord::Free(name)) => {
                    self.locks.remove(&name);
                }
                Record::Lock(LockRecord::TokenMark(mark)) => self.mark = mark,
                Record::Audit(entry) => self.log.push(entry),
                Record::Limit(_) | Record::Flag(_) | Record::Config(_) | Record::Account(_) => {
                    panic!("not of this domain: {record:?}")
                }
            }
        }
        let durable = seq(upto);
        let (told, held): (Vec<_>, Vec<_>) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(_, depends_on)| *depends_on <= durable);
        self.held = held;
        for (outcome, _) in told {
            self.tell(&outcome);
        }
    }

    /// Somebody learns of `outcome`, and counts on it.
    pub fn tell(&mut self, outcome: &LockOutcome) {
        if let LockOutcome::Granted(lease) = outcome {
            assert!(
                lease.token > self.highest_told,
                "fencing: {:?} was told after {:?}",
                lease.token,
                self.highest_told
            );
            self.highest_told = lease.token;
        }
        if let LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease) = outcome {
            let known = self.promises.iter_mut().find(|promise| promise.lease.id == lease.id);
            if let Some(promise) = known {
                promise.until = promise.until.max(lease.expires);
                promise.known += 1;
            } else {
                let until = lease.expires;
                self.promises.push(Promise { lease: lease.clone(), until, known: 1 });
            }
        }
    }

    /// An answer that somebody had in hand came back: it promises nothing any more.
    pub fn forget(&mut self, outcome: &LockOutcome) {
        let (LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease)) = outcome else {
            unreachable!("no other answer is kept");
        };
        let promise = self.promises.iter_mut().find(|promise| promise.lease.id == lease.id);
        promise.unwrap().known -= 1;
    }

    /// What was on its way is lost, and with it the ends of promises. Returns the answers that
    /// waited for it.
    pub fn lose(&mut self) -> Vec<LockOutcome> {
        let durable = self.durable;
        self.journal.clear();
        self.ended.retain(|_, place| *place <= durable);
        std::mem::take(&mut self.held).into_iter().map(|(outcome, _)| outcome).collect()
    }

    /// The disk refuses what is on its way: the answers come home, so many of those that speak of
    /// somebody's lease before the rewind. Returns what the machine wanted of the state that is
    /// undone.
    pub fn refuse(&mut self, before: usize) -> Vec<Record> {
        let mut refused = self.lose();
        let mut speaking = refused.iter().enumerate().filter(|(_, outcome)| {
            matches!(outcome, LockOutcome::Granted(_) | LockOutcome::Confirmed(_))
        });
        let split = speaking.nth(before).map_or(refused.len(), |(place, _)| place);
        let after = refused.split_off(split);
        for outcome in refused {
            self.machine.undelivered(outcome, &mut self.effects);
        }
        let in_vain = self.records();
        self.journal.clear();
        self.machine.settle(seq(self.durable));
        self.machine.rewind(seq(self.durable));
        for outcome in after {
            self.machine.undelivered(outcome, &mut self.effects);
        }
        in_vain
    }

    pub fn in_force(&self) -> impl Iterator<Item = &Promise> {
        self.promises
            .iter()
            .filter(|promise| !self.ended.contains_key(&promise.lease.id))
            .filter(|promise| promise.until > self.now)
            .filter(|promise| promise.known > 0 || self.is_about_to_tell(promise.lease.id))
    }

    /// Whether an answer that waits for the disk speaks of this lease to its holder.
    pub fn is_about_to_tell(&self, id: LeaseId) -> bool {
        self.held.iter().any(|(outcome, _)| {
            matches!(
                outcome,
                LockOutcome::Granted(lease) | LockOutcome::Confirmed(lease) if lease.id == id
            )
        })
    }

    /// A decision must not break what somebody was promised.
    pub fn check_decision(&mut self, outcome: &LockOutcome, depends_on: Seq) {
        if let LockOutcome::Granted(lease) = outcome {
            for promise in self.in_force() {
                assert_ne!(
                    promise.lease.name, lease.name,
                    "exclusion: granted to {lease:?} although promised: {promise:?}"
                );
            }
            assert!(lease.token > self.highest_decided, "fencing: a token twice");
            assert!(lease.token <= self.mark, "fencing: above the mark on disk");
            self.highest_decided = lease.token;
        }
        assert!(
            self.says_what_is_on_disk(outcome) || depends_on > seq(self.durable),
            "durability: {outcome:?} would be told before it is on disk"
        );
    }

    /// Whether `outcome` would be no lie if the process ended now.
    pub fn says_what_is_on_disk(&self, outcome: &LockOutcome) -> bool {
        match outcome {
            LockOutcome::Granted(_) | LockOutcome::Released | LockOutcome::ForceReleased(_) => {
                false
            }
            LockOutcome::Confirmed(lease) | LockOutcome::Held(lease) => {
                self.locks.get(&lease.name) == Some(lease)
            }
            // Judged with the command.
            LockOutcome::OverQuota(_)
            | LockOutcome::NotOwned
            | LockOutcome::NotHeld
            | LockOutcome::Status(_)
            | LockOutcome::Leases(_)
            | LockOutcome::Use(_)
            | LockOutcome::NoRoom
            | LockOutcome::NoToken => true,
        }
    }

    /// The same for what cannot be judged without the question.
    pub fn check_answer(&self, command: &LockCommand, outcome: &LockOutcome, depends_on: Seq) {
        let rows = Rows { locks: self.locks.clone(), mark: self.mark.get(), log: self.log.clone() };
        let owned = |name: &LockName, account: &AccountId, id: &LeaseId| {
            let row = rows.locks.get(name);
            row.is_some_and(|lease| lease.holder.account == *account && lease.id == *id)
        };
        let true_on_disk = match (command, outcome) {
            (LockCommand::Get { name }, LockOutcome::Status(lease)) => {
                rows.locks.get(name) == lease.as_ref()
            }
            (LockCommand::List { account, selection }, LockOutcome::Leases(leases)) => {
                page(&rows, *account, selection) == *leases
            }
            (
                LockCommand::Release { name, account, lease }
                | LockCommand::Renew { name, account, lease, .. },
                LockOutcome::NotOwned,
            ) => !owned(name, account, lease),
            (LockCommand::Acquire { holder, .. }, LockOutcome::OverQuota(quota)) => {
                holding(&rows, holder.account) >= quota.get() as usize
            }
            (LockCommand::ForceRelease { name, .. }, LockOutcome::NotHeld) => {
                !rows.locks.contains_key(name)
            }
            (LockCommand::Use { accounts }, LockOutcome::Use(used)) => {
                *used == accounts.iter().map(|&id| holding(&rows, id)).collect::<Vec<_>>()
            }
            _ => true,
        };
        assert!(
            true_on_disk || depends_on > seq(self.durable),
            "durability: {outcome:?} would be told before it is on disk"
        );
    }

    /// Whoever was promised a lease has it, for as long as promised.
    pub fn check_promises(&mut self) {
        let promises: Vec<_> = self.in_force().cloned().collect();
        for promise in promises {
            let get = LockCommand::Get { name: promise.lease.name.clone() };
            let (LockOutcome::Status(Some(lease)), _) = self.ask(get, Room::Available) else {
                panic!("time: ended before it was promised to: {promise:?}");
            };
            assert_eq!(lease.id, promise.lease.id, "exclusion");
            assert_eq!(lease.token, promise.lease.token, "fencing");
            assert!(lease.expires >= promise.until, "time: {promise:?}");
        }
    }

    pub fn restart(&mut self, how: Restart, now: Instant) {
        if how == Restart::Stop {
            self.machine.close(&mut self.effects);
            self.records();
            self.write(self.last);
        }
        self.lose();
        if how == Restart::Reboot {
            for lease in self.locks.values_mut() {
                lease.expires = now + lease.ttl.as_duration();
            }
            let before = self.now;
            self.promises.retain(|promise| promise.until > before);
            for promise in &mut self.promises {
                promise.until = now + promise.until.since(before);
            }
        }
        self.now = now;
        let last = self.mark;
        self.mark = last.saturating_add(BLOCK);
        self.machine =
            LockMachine::new(self.locks.values().cloned(), Tokens::new(last, self.mark, BLOCK));
        self.effects = Effects::default();
        (self.last, self.durable) = (0, 0);
        for place in self.ended.values_mut() {
            *place = 0;
        }
        self.highest_decided = self.highest_told;
    }
}
