//! One machine, its disk, and all that a test asks of it.

use crate::common::{account, at, by};
use octostore_actors::{
    domain::{
        Effects, Machine, Moment, Record, RecordKey, Room, Ticket,
        audit::AuditEntry,
        config::{
            ConfigCommand, ConfigKey, ConfigMachine, ConfigOutcome, ConfigQuota, ConfigRecord,
            Description, Entry, Etag, Expected, Incarnation, Value, Version,
        },
        page::{Page, Selection},
        values::Quota,
    },
    progress::Seq,
};
use std::collections::{HashMap, VecDeque};

pub const PLENTY: ConfigQuota =
    ConfigQuota { keys: Quota::new(100), bytes: 1_000_000, history: Quota::new(100) };

pub fn key(text: &str) -> ConfigKey {
    ConfigKey::new(text).unwrap()
}

pub fn value(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

pub fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

pub fn description(text: &str) -> Description {
    Description::new(text).unwrap()
}

pub fn get(number: u8, name: &str) -> ConfigCommand {
    ConfigCommand::Get { account: account(number), key: key(name), version: None }
}

pub fn history(number: u8, name: &str) -> ConfigCommand {
    ConfigCommand::History { account: account(number), key: key(name) }
}

pub fn delete(number: u8, name: &str, expected: Expected) -> ConfigCommand {
    ConfigCommand::Delete { account: account(number), key: key(name), expected, by: by(number, 0) }
}

pub fn list(number: u8, selection: Selection) -> ConfigCommand {
    ConfigCommand::List { account: account(number), selection }
}

pub struct World {
    pub machine: ConfigMachine,
    pub effects: Effects<ConfigOutcome>,
    pub room: Room,
    pub quota: ConfigQuota,
    /// The wall clock.
    pub wall: i64,
    asked: u64,
    /// What each command wanted written, and the place of the last of it.
    journal: VecDeque<(Seq, Vec<ConfigRecord>, AuditEntry)>,
    /// The audit log on disk.
    pub log: Vec<AuditEntry>,
    disk: HashMap<RecordKey, Entry>,
    durable: Seq,
}

impl World {
    pub fn new() -> Self {
        Self {
            machine: ConfigMachine::default(),
            effects: Effects::default(),
            room: Room::Available,
            quota: PLENTY,
            wall: 1_000,
            asked: 0,
            journal: VecDeque::new(),
            log: Vec::new(),
            disk: HashMap::new(),
            durable: Seq::NONE,
        }
    }

    /// Asks, and sees to it that there is one answer, with the ticket of the question; and that a
    /// change, and nothing else, leaves one entry in the audit log, which the answer waits for.
    pub fn ask(&mut self, command: ConfigCommand) -> (ConfigOutcome, Seq) {
        let ticket = Ticket::new(self.asked);
        self.asked += 1;
        let moment = Moment { now: at(0), room: self.room };
        self.machine.apply(moment, ticket, command, &mut self.effects);
        let mut answers: Vec<_> = self.effects.take_answers().collect();
        assert_eq!(answers.len(), 1, "every command has one answer");
        let answer = answers.remove(0);
        assert_eq!(answer.ticket, ticket);
        assert!(answer.depends_on <= self.effects.last(), "it waits for what will never come");
        assert_eq!(self.machine.next_deadline(), None);
        let (mut records, mut entries) = (Vec::new(), Vec::new());
        for record in self.effects.take_records() {
            match record {
                Record::Config(record) => records.push(record),
                Record::Audit(entry) => entries.push(entry),
                other => panic!("not of this domain: {other:?}"),
            }
        }
        let changes = matches!(answer.outcome, ConfigOutcome::Written(_) | ConfigOutcome::Deleted);
        assert_eq!((entries.len(), records.is_empty()), (usize::from(changes), !changes));
        if let Some(entry) = entries.pop() {
            assert_eq!(answer.depends_on, self.effects.last(), "a change waits for all of itself");
            self.journal.push_back((self.effects.last(), records, entry));
        }
        (answer.outcome, answer.depends_on)
    }

    pub fn outcome(&mut self, command: ConfigCommand) -> ConfigOutcome {
        self.ask(command).0
    }

    /// Whether the answer has to wait for the disk.
    pub fn waits(&mut self, command: ConfigCommand) -> bool {
        self.ask(command).1 > self.durable
    }

    /// A put, with an incarnation of its own.
    pub fn put_of(&self, number: u8, name: &str, json: &str, expected: Expected) -> ConfigCommand {
        ConfigCommand::Put {
            account: account(number),
            key: key(name),
            value: value(json),
            description: None,
            expected,
            incarnation: Incarnation(u128::from(self.asked).to_be_bytes()),
            quota: self.quota,
            by: by(number, self.wall),
        }
    }

    pub fn try_put(&mut self, name: &str, json: &str, expected: Expected) -> ConfigOutcome {
        let put = self.put_of(1, name, json, expected);
        self.outcome(put)
    }

    pub fn put(&mut self, name: &str, json: &str) -> Entry {
        match self.try_put(name, json, Expected::Anything) {
            ConfigOutcome::Written(entry) => entry,
            other => panic!("{name} was not written: {other:?}"),
        }
    }

    pub fn rollback_of(
        &self,
        number: u8,
        name: &str,
        to: u64,
        expected: Expected,
    ) -> ConfigCommand {
        ConfigCommand::Rollback {
            account: account(number),
            key: key(name),
            version: version(to),
            expected,
            quota: self.quota,
            by: by(number, self.wall),
        }
    }

    pub fn try_rollback(&mut self, name: &str, to: u64, expected: Expected) -> ConfigOutcome {
        let rollback = self.rollback_of(1, name, to, expected);
        self.outcome(rollback)
    }

    pub fn delete(&mut self, name: &str) {
        assert_eq!(self.outcome(delete(1, name, Expected::Anything)), ConfigOutcome::Deleted);
    }

    pub fn get(&mut self, name: &str) -> Option<Entry> {
        self.found(get(1, name))
    }

    pub fn get_version(&mut self, name: &str, number: u64) -> Option<Entry> {
        let version = Some(version(number));
        self.found(ConfigCommand::Get { account: account(1), key: key(name), version })
    }

    pub fn found(&mut self, command: ConfigCommand) -> Option<Entry> {
        match self.outcome(command) {
            ConfigOutcome::Found(entry) => Some(entry),
            ConfigOutcome::NotFound => None,
            other => panic!("no entry: {other:?}"),
        }
    }

    /// The versions that are kept, newest first, and their values.
    pub fn history(&mut self, name: &str) -> Vec<(u64, String)> {
        let entries = match self.outcome(history(1, name)) {
            ConfigOutcome::History(entries) => entries,
            ConfigOutcome::NotFound => Vec::new(),
            other => panic!("no history: {other:?}"),
        };
        let words = |entry: Entry| (entry.version.get(), entry.value.as_json().to_owned());
        entries.into_iter().map(words).collect()
    }

    pub fn page(&mut self, number: u8, selection: Selection) -> Page<Entry> {
        match self.outcome(list(number, selection)) {
            ConfigOutcome::Keys(page) => page,
            other => panic!("no list: {other:?}"),
        }
    }

    pub fn names(&mut self, number: u8) -> Vec<String> {
        let page = self.page(number, Selection::default());
        assert_eq!((page.total, page.more), (page.items.len(), false));
        page.items.iter().map(|entry| entry.key.to_string()).collect()
    }

    /// What is on its way to the disk.
    pub fn on_its_way(&self) -> Vec<&ConfigRecord> {
        self.journal.iter().flat_map(|(_, records, _)| records).collect()
    }

    /// How many rows are on disk.
    pub fn rows(&self) -> usize {
        self.disk.len()
    }

    /// The disk takes what the next `count` changes want. The machine does not know yet.
    pub fn commit(&mut self, count: usize) {
        for _ in 0..count {
            let Some((seq, records, entry)) = self.journal.pop_front() else { break };
            self.durable = seq;
            self.log.push(entry);
            for record in records {
                match record.clone() {
                    ConfigRecord::Version(entry) => drop(self.disk.insert(record.key(), entry)),
                    ConfigRecord::NoVersion(..) => drop(self.disk.remove(&record.key())),
                }
            }
        }
    }

    /// Everything is on disk, and the machine knows.
    pub fn settle(&mut self) {
        self.commit(usize::MAX);
        self.catch_up();
    }

    pub fn catch_up(&mut self) {
        self.machine.settle(self.durable);
    }

    /// The store refuses all that is on its way.
    pub fn refuse(&mut self) {
        self.journal.clear();
        self.machine.settle(self.durable);
        self.machine.rewind(self.durable);
    }

    /// What is not on disk is lost.
    pub fn crash(&mut self) {
        let mut entries: Vec<_> = self.disk.values().cloned().collect();
        entries.sort_by_key(|entry| (entry.account, entry.key.clone(), entry.version));
        self.machine = ConfigMachine::new(entries);
        self.effects = Effects::default();
        self.durable = Seq::NONE;
        self.journal.clear();
    }
}

pub fn one_of(entry: &Entry) -> Expected {
    Expected::OneOf(vec![entry.etag()])
}

/// The state of a key that was made before and is no longer.
pub fn stale() -> Etag {
    Etag { incarnation: Incarnation([0xee; 16]), version: version(1) }
}
