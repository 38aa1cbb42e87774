//! One machine, its disk, and all that a test asks of it.

use crate::common::{account, at, by};
use octostore_actors::{
    domain::{
        Effects, Machine, Moment, Record, RecordKey, Room, Ticket,
        audit::AuditEntry,
        flag::{Flag, FlagCommand, FlagMachine, FlagName, FlagOutcome, FlagRecord, Percentage},
        page::{Page, Selection},
        values::{Quota, WallTime},
    },
    progress::Seq,
};
use std::collections::HashMap;

pub fn flag(name: &str) -> FlagName {
    FlagName::new(name).unwrap()
}

pub fn percent(percent: u64) -> Percentage {
    Percentage::new(percent).unwrap()
}

/// A flag that is stored nowhere.
pub fn loose(name: &str, enabled: bool, percentage: Option<u64>) -> Flag {
    Flag {
        account: account(1),
        name: flag(name),
        enabled,
        percentage: percentage.map(percent),
        created_at: WallTime::from_millis(0),
        updated_at: WallTime::from_millis(0),
    }
}

pub fn set(number: u8, name: &str, percentage: Option<u64>, millis: i64) -> FlagCommand {
    FlagCommand::Set {
        account: account(number),
        name: flag(name),
        enabled: true,
        percentage: percentage.map(percent),
        quota: Quota::new(3),
        by: by(number, millis),
    }
}

pub fn get(number: u8, name: &str) -> FlagCommand {
    FlagCommand::Get { account: account(number), name: flag(name) }
}

pub fn delete(number: u8, name: &str) -> FlagCommand {
    FlagCommand::Delete { account: account(number), name: flag(name), by: by(number, 0) }
}

pub fn list(number: u8, selection: Selection) -> FlagCommand {
    FlagCommand::List { account: account(number), selection }
}

pub struct World {
    pub machine: FlagMachine,
    pub effects: Effects<FlagOutcome>,
    pub room: Room,
    tickets: u64,
    /// On its way to the disk.
    journal: Vec<Record>,
    disk: HashMap<RecordKey, Flag>,
    /// The audit log on disk.
    pub log: Vec<AuditEntry>,
    durable: Seq,
}

impl World {
    pub fn new() -> Self {
        Self {
            machine: FlagMachine::default(),
            effects: Effects::default(),
            room: Room::Available,
            tickets: 0,
            journal: Vec::new(),
            log: Vec::new(),
            disk: HashMap::new(),
            durable: Seq::NONE,
        }
    }

    /// Asks, and sees to it that there is one answer, with the ticket of the question; and that a
    /// change, and nothing else, leaves one entry in the audit log, which the answer waits for.
    pub fn ask(&mut self, command: FlagCommand) -> (FlagOutcome, Seq) {
        let ticket = Ticket::new(self.tickets);
        self.tickets += 1;
        let moment = Moment { now: at(0), room: self.room };
        self.machine.apply(moment, ticket, command, &mut self.effects);
        let mut answers: Vec<_> = self.effects.take_answers().collect();
        assert_eq!(answers.len(), 1, "every command has one answer");
        let answer = answers.remove(0);
        assert_eq!(answer.ticket, ticket);
        assert!(answer.depends_on <= self.effects.last(), "it waits for what will never come");
        assert_eq!(self.machine.next_deadline(), None);
        let records = self.effects.take_records();
        let entries = records.iter().filter(|record| matches!(record, Record::Audit(_))).count();
        let changes = matches!(answer.outcome, FlagOutcome::Set(_) | FlagOutcome::Deleted);
        assert_eq!((entries, records.len()), if changes { (1, 2) } else { (0, 0) });
        assert!(!changes || answer.depends_on == self.effects.last());
        self.journal.extend(records);
        (answer.outcome, answer.depends_on)
    }

    pub fn outcome(&mut self, command: FlagCommand) -> FlagOutcome {
        self.ask(command).0
    }

    /// Whether the answer has to wait for the disk.
    pub fn waits(&mut self, command: FlagCommand) -> bool {
        self.ask(command).1 > self.durable
    }

    pub fn set(&mut self, name: &str, percentage: Option<u64>, millis: i64) -> Flag {
        match self.outcome(set(1, name, percentage, millis)) {
            FlagOutcome::Set(flag) => flag,
            other => panic!("{name} was not set: {other:?}"),
        }
    }

    pub fn get(&mut self, number: u8, name: &str) -> Option<Flag> {
        match self.outcome(get(number, name)) {
            FlagOutcome::Status(flag) => flag,
            other => panic!("no status: {other:?}"),
        }
    }

    pub fn page(&mut self, number: u8, selection: Selection) -> Page<Flag> {
        match self.outcome(list(number, selection)) {
            FlagOutcome::Flags(page) => page,
            other => panic!("no list: {other:?}"),
        }
    }

    pub fn names(&mut self, number: u8) -> Vec<String> {
        let page = self.page(number, Selection::default());
        assert_eq!((page.total, page.more), (page.items.len(), false));
        page.items.iter().map(|flag| flag.name.to_string()).collect()
    }

    /// What is wanted on disk since the last look.
    pub fn records(&mut self) -> Vec<Record> {
        self.journal.extend(self.effects.take_records());
        std::mem::take(&mut self.journal)
    }

    /// The same, of the flags alone.
    pub fn flag_records(&mut self) -> Vec<FlagRecord> {
        let flag = |record| match record {
            Record::Flag(record) => Some(record),
            Record::Audit(_) => None,
            other => panic!("not of this domain: {other:?}"),
        };
        self.records().into_iter().filter_map(flag).collect()
    }

    /// The store takes everything so far; the machine knows.
    pub fn settle(&mut self) {
        self.durable = self.effects.last();
        for record in self.records() {
            match record {
                Record::Flag(record @ FlagRecord::Gone(..)) => {
                    self.disk.remove(&record.key());
                }
                Record::Flag(FlagRecord::Set(ref flag)) => {
                    self.disk.extend(record.key().map(|key| (key, flag.clone())));
                }
                Record::Audit(entry) => self.log.push(entry),
                other => panic!("not of this domain: {other:?}"),
            }
        }
        self.machine.settle(self.durable);
    }

    /// The store refuses all that is on its way.
    pub fn refuse(&mut self) {
        self.records();
        self.machine.rewind(self.durable);
    }

    /// What is not on disk is lost.
    pub fn crash(&mut self) {
        self.machine = FlagMachine::new(self.disk.values().cloned());
        self.effects = Effects::default();
        self.journal.clear();
        self.durable = Seq::NONE;
    }
}
