//! One machine, its disk, and all that a test asks of it.

use crate::common::account;
use octostore_actors::{
    domain::{
        Effects, Machine, Moment, Record, RecordKey, Room, Ticket,
        limiter::{
            History, LimitCommand, LimitMachine, LimitName, LimitOutcome, LimitRecord, MaxRequests,
            Policy, Reservation, RetryAfter, Standing, Window,
        },
        page::Selection,
        values::{AccountId, Quota},
    },
    progress::Seq,
    time::Instant,
};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

pub fn policy(max_requests: u64, seconds: u64) -> Policy {
    Policy {
        max_requests: MaxRequests::new(max_requests).unwrap(),
        window: Window::from_seconds(seconds).unwrap(),
    }
}

pub fn limit(name: &str) -> LimitName {
    LimitName::new(name).unwrap()
}

/// A question and what became of it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its place among all questions.
    pub order: u64,
    /// When it was asked, as the world outside counts, over reboots.
    pub real: i128,
    pub command: LimitCommand,
    pub outcome: LimitOutcome,
    pub depends_on: Seq,
}

/// A machine, the time, what is on its way to the disk, and what is there.
pub struct World {
    pub machine: LimitMachine,
    pub effects: Effects<LimitOutcome>,
    pub now: Instant,
    pub room: Room,
    pub quota: Quota,
    /// When the present boot was, as the world outside counts.
    boot: i128,
    asked: u64,
    last: Seq,
    journal: VecDeque<(Seq, LimitRecord)>,
    disk: HashMap<RecordKey, Reservation>,
    durable: Seq,
    /// A commit was refused, and the machine does not know yet.
    pub refused: bool,
    waiting: Vec<Asked>,
    told: Vec<Asked>,
}

impl World {
    pub fn new() -> Self {
        Self {
            machine: LimitMachine::default(),
            effects: Effects::default(),
            now: Instant::from_nanos(1),
            room: Room::Available,
            quota: Quota::new(1_000),
            boot: 0,
            asked: 0,
            last: Seq::NONE,
            journal: VecDeque::new(),
            disk: HashMap::new(),
            durable: Seq::NONE,
            refused: false,
            waiting: Vec::new(),
            told: Vec::new(),
        }
    }

    /// The time of the world outside.
    pub fn real(&self) -> i128 {
        self.boot + i128::from(self.now.as_nanos())
    }

    pub fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    pub fn pass_seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Asks, and sees to it that there is one answer, with the ticket of the question.
    pub fn ask(&mut self, command: LimitCommand) -> Asked {
        let ticket = Ticket::new(self.asked);
        self.asked += 1;
        let moment = Moment { now: self.now, room: self.room };
        self.machine.apply(moment, ticket, command.clone(), &mut self.effects);
        let mut answers: Vec<_> = self.effects.take_answers().collect();
        assert_eq!(answers.len(), 1, "every command has one answer");
        let answer = answers.remove(0);
        assert_eq!(answer.ticket, ticket);
        assert!(answer.depends_on <= self.effects.last(), "it waits for what will never come");
        self.collect();
        let asked = Asked {
            order: self.asked,
            real: self.real(),
            command,
            outcome: answer.outcome,
            depends_on: answer.depends_on,
        };
        if asked.depends_on <= self.durable {
            self.told.push(asked.clone());
        } else if !self.refused {
            self.waiting.push(asked.clone());
        }
        asked
    }

    pub fn check_of(&mut self, number: u8, name: &str, policy: Policy, cost: u64) -> Asked {
        self.ask(LimitCommand::Check {
            account: account(number),
            name: limit(name),
            policy,
            cost: policy.cost(cost).unwrap(),
            quota: self.quota,
        })
    }

    /// Checks the limiter `a` of account 1.
    pub fn check(&mut self, policy: Policy, cost: u64) -> LimitOutcome {
        self.check_of(1, "a", policy, cost).outcome
    }

    pub fn admit(&mut self, policy: Policy, cost: u64) -> Standing {
        match self.check(policy, cost) {
            LimitOutcome::Admitted(standing) => standing,
            other => panic!("{cost} of {policy:?} were not admitted at {:?}: {other:?}", self.now),
        }
    }

    pub fn refuse(&mut self, policy: Policy, cost: u64) -> (Standing, RetryAfter) {
        match self.check(policy, cost) {
            LimitOutcome::Refused(standing, retry_after) => (standing, retry_after),
            other => panic!("{cost} of {policy:?} were not refused at {:?}: {other:?}", self.now),
        }
    }

    pub fn status_of(&mut self, number: u8, name: &str) -> Option<Standing> {
        let get = LimitCommand::Get { account: account(number), name: limit(name) };
        match self.ask(get).outcome {
            LimitOutcome::Status(standing) => Some(standing),
            LimitOutcome::NotFound => None,
            other => panic!("no status: {other:?}"),
        }
    }

    pub fn status(&mut self) -> Option<Standing> {
        self.status_of(1, "a")
    }

    pub fn delete_of(&mut self, number: u8, name: &str) -> Asked {
        self.ask(LimitCommand::Delete { account: account(number), name: limit(name) })
    }

    pub fn delete(&mut self) -> LimitOutcome {
        self.delete_of(1, "a").outcome
    }

    /// The names of an account's limiters.
    pub fn list(&mut self, number: u8) -> Vec<String> {
        let selection = Selection::default();
        match self.ask(LimitCommand::List { account: account(number), selection }).outcome {
            LimitOutcome::Limits(page) => {
                page.items.iter().map(|standing| standing.name.to_string()).collect()
            }
            other => panic!("no list: {other:?}"),
        }
    }

    pub fn deadline(&mut self) {
        self.machine.on_deadline(self.now, &mut self.effects);
        self.collect();
    }

    /// Has everything done that is due by now.
    pub fn expire(&mut self) {
        for _ in 0..1_000 {
            if self.machine.next_deadline().is_none_or(|deadline| deadline > self.now) {
                return;
            }
            self.deadline();
        }
        panic!("what is due at {:?} does not come to an end", self.now);
    }

    fn collect(&mut self) {
        for record in self.effects.take_records() {
            self.last = self.last.next();
            let Record::Limit(record) = record else { panic!("not of this domain: {record:?}") };
            if !self.refused {
                self.journal.push_back((self.last, record));
            }
        }
        assert_eq!(self.last, self.effects.last());
    }

    /// What is on its way to the disk.
    pub fn on_its_way(&self) -> Vec<&LimitRecord> {
        self.journal.iter().map(|(_, record)| record).collect()
    }

    /// The row of a limiter that is on disk.
    pub fn row(&self, number: u8, name: &str) -> Option<&Reservation> {
        self.disk.get(&RecordKey::Limit(account(number), limit(name)))
    }

    /// The disk takes the next `count` rows. The machine does not know yet.
    pub fn commit(&mut self, count: usize) {
        for _ in 0..count {
            let Some((seq, record)) = self.journal.pop_front() else { break };
            self.durable = seq;
            match record {
                LimitRecord::Reserved(row) => {
                    self.disk.insert(RecordKey::Limit(row.account, row.name.clone()), row);
                }
                LimitRecord::Gone(account, name) => {
                    self.disk.remove(&RecordKey::Limit(account, name));
                }
            }
        }
        let told = self.waiting.extract_if(.., |asked| asked.depends_on <= self.durable);
        self.told.extend(told);
    }

    /// The disk refuses all that is on its way. The machine does not know yet.
    pub fn disk_is_full(&mut self) {
        if !self.journal.is_empty() {
            self.journal.clear();
            self.waiting.clear();
            self.refused = true;
        }
    }

    /// The machine learns how far the disk is, and what it refused.
    pub fn catch_up(&mut self) {
        self.machine.settle(self.durable);
        if std::mem::take(&mut self.refused) {
            self.machine.rewind(self.durable);
        }
    }

    /// Everything on its way is on disk, and the machine knows.
    pub fn settle(&mut self) {
        self.catch_up();
        self.commit(usize::MAX);
        self.catch_up();
    }

    /// Whether an answer has to wait for the disk.
    pub fn waits(&self, asked: &Asked) -> bool {
        asked.depends_on > self.durable
    }

    /// What was told since the last look.
    pub fn take_told(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.told)
    }

    /// What is not on disk is lost; the process is back after `down`.
    pub fn crash(&mut self, down: Duration) {
        self.pass(down);
        self.start(false);
    }

    /// What is not on disk is lost; the machine was off for `off`, and is back at `now` of a
    /// new boot.
    pub fn reboot(&mut self, off: Duration, now: Instant) {
        let real = self.real() + i128::try_from(off.as_nanos()).unwrap();
        self.now = now;
        self.boot = real - i128::from(now.as_nanos());
        self.start(true);
    }

    /// A clean end. What follows is [`World::crash`] or [`World::reboot`].
    pub fn stop(&mut self) {
        self.settle();
        self.machine.close(&mut self.effects);
        self.collect();
        self.commit(usize::MAX);
    }

    /// How many would count of a limiter if the process came back at this instant.
    pub fn counts_after_a_crash(&self, number: u8, name: &str) -> u64 {
        let Some(row) = self.row(number, name) else { return 0 };
        let row = row.clone().recovered(self.now, false);
        let window = row.policy.window.as_duration();
        History::of(row.admitted).count(self.now, window)
    }

    fn start(&mut self, rebooted: bool) {
        let rows = self.disk.values().cloned();
        let rows: Vec<_> = rows.map(|row| row.recovered(self.now, rebooted)).collect();
        if rebooted {
            // Their times mean nothing in a later boot: the first start writes them anew.
            for row in &rows {
                self.disk.insert(RecordKey::Limit(row.account, row.name.clone()), row.clone());
            }
        }
        self.machine = LimitMachine::new(rows, self.now);
        self.effects = Effects::default();
        self.last = Seq::NONE;
        self.durable = Seq::NONE;
        self.refused = false;
        self.journal.clear();
        self.waiting.clear();
    }
}

/// Whose limiter a question is about.
pub fn subject(command: &LimitCommand) -> Option<(AccountId, LimitName)> {
    match command {
        LimitCommand::Check { account, name, .. }
        | LimitCommand::Get { account, name }
        | LimitCommand::Delete { account, name } => Some((*account, name.clone())),
        LimitCommand::List { .. } | LimitCommand::Use { .. } => None,
    }
}
