//! The machine against the reference, over commits, refusals and crashes.

use crate::{
    common::account,
    reference::{Answer, Key, Quotas, Reference, Row},
    world::{World, delete, get, history, key as config_key, stale, version},
};
use octostore_actors::domain::{
    config::{ConfigCommand, ConfigOutcome, ConfigQuota, Entry, Etag, Expected, Incarnation},
    values::Quota,
};
use proptest::{prelude::*, sample::select, test_runner::RngSeed};
use std::collections::{HashMap, VecDeque};

const NAMES: [&str; 5] = ["a", "a.b", "b", "c-1", "d"];
const QUOTAS: Quotas = Quotas { keys: 3, bytes: 60, history: 4 };

/// What somebody expects.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Anything,
    Nothing,
    Something,
    Present,
    Past,
    NotPresent,
    NotPast,
    Never,
}

#[derive(Clone, Debug)]
enum Step {
    Put(Key, usize, Wish, i64),
    Rollback(Key, u64, Wish, i64),
    Delete(Key, Wish),
    Get(Key, u64),
    Commit(usize),
    CatchUp,
    Refuse,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || (1..3u8, select(NAMES.to_vec()));
    let wish = || {
        select(vec![
            Wish::Anything,
            Wish::Anything,
            Wish::Anything,
            Wish::Nothing,
            Wish::Something,
            Wish::Present,
            Wish::Present,
            Wish::Past,
            Wish::NotPresent,
            Wish::NotPast,
            Wish::Never,
        ])
    };
    prop_oneof![
        12 => (key(), 1..20usize, wish(), 0..500i64)
            .prop_map(|(key, length, wish, at)| Step::Put(key, length, wish, at)),
        4 => (key(), 1..8u64, wish(), 0..500i64)
            .prop_map(|(key, version, wish, at)| Step::Rollback(key, version, wish, at)),
        3 => (key(), wish()).prop_map(|(key, wish)| Step::Delete(key, wish)),
        5 => (key(), 1..8u64).prop_map(|(key, version)| Step::Get(key, version)),
        4 => (1..4usize).prop_map(Step::Commit),
        3 => Just(Step::CatchUp),
        1 => Just(Step::Refuse),
        1 => Just(Step::Crash),
    ]
}

fn row(entry: &Entry) -> Row {
    Row {
        incarnation: entry.incarnation,
        version: entry.version.get(),
        json: entry.value.as_json().to_owned(),
        created: entry.created_at.as_millis(),
        updated: entry.updated_at.as_millis(),
    }
}

struct Walk {
    world: World,
    present: Reference,
    /// How it was after each change that is not on disk, oldest first.
    on_its_way: VecDeque<Reference>,
    durable: Reference,
    /// Every etag anybody was told, and of what.
    told: HashMap<Etag, (Key, String)>,
    past: HashMap<Key, Etag>,
}

impl Walk {
    fn new() -> Self {
        let mut world = World::new();
        let count = |count: usize| Quota::new(u32::try_from(count).unwrap());
        world.quota = ConfigQuota {
            keys: count(QUOTAS.keys),
            bytes: QUOTAS.bytes as u64,
            history: count(QUOTAS.history),
        };
        Self {
            world,
            present: Reference::default(),
            on_its_way: VecDeque::new(),
            durable: Reference::default(),
            told: HashMap::new(),
            past: HashMap::new(),
        }
    }

    fn expected(&self, key: Key, wish: Wish) -> Expected {
        let present = self.present.last(key).map_or_else(stale, Row::etag);
        let past = self.past.get(&key).copied().unwrap_or_else(stale);
        match wish {
            Wish::Anything => Expected::Anything,
            Wish::Nothing => Expected::Nothing,
            Wish::Something => Expected::Something,
            Wish::Present => Expected::OneOf(vec![stale(), present]),
            Wish::Past => Expected::OneOf(vec![past]),
            Wish::NotPresent => Expected::NoneOf(vec![present, stale()]),
            Wish::NotPast => Expected::NoneOf(vec![past]),
            Wish::Never => Expected::OneOf(vec![]),
        }
    }

    fn take(&mut self, number: usize, step: Step) {
        match step {
            Step::Put(key, length, wish, at) => {
                let json = format!("{number:0>length$}");
                let expected = self.expected(key, wish);
                self.world.wall = at;
                let put = self.world.put_of(key.0, key.1, &json, expected.clone());
                let ConfigCommand::Put { incarnation, .. } = put else {
                    unreachable!("it is a put")
                };
                let given: (Incarnation, i64) = (incarnation, at);
                let answer = self.present.put(key, &json, &expected, given, QUOTAS);
                self.changed(key, put, &answer);
            }
            Step::Rollback(key, to, wish, at) => {
                let expected = self.expected(key, wish);
                self.world.wall = at;
                let rollback = self.world.rollback_of(key.0, key.1, to, expected.clone());
                let answer = self.present.rollback(key, to, &expected, at, QUOTAS);
                self.changed(key, rollback, &answer);
            }
            Step::Delete(key, wish) => {
                let expected = self.expected(key, wish);
                let answer = self.present.delete(key, &expected);
                self.changed(key, delete(key.0, key.1, expected), &answer);
            }
            Step::Get(key, number) => self.look(key, number),
            Step::Commit(count) => {
                self.world.commit(count);
                for _ in 0..count {
                    if let Some(state) = self.on_its_way.pop_front() {
                        self.durable = state;
                    }
                }
            }
            Step::CatchUp => self.world.catch_up(),
            Step::Refuse => {
                self.world.refuse();
                self.lose();
            }
            Step::Crash => {
                self.world.crash();
                self.lose();
            }
        }
        for account in 1..3 {
            assert_eq!(self.world.names(account), self.present.names(account));
        }
    }

    fn lose(&mut self) {
        self.present = self.durable.clone();
        self.on_its_way.clear();
    }

    fn changed(&mut self, key: Key, command: ConfigCommand, answer: &Answer) {
        let before = self.world.on_its_way().len();
        let outcome = self.world.outcome(command);
        let records = self.world.on_its_way().len() - before;
        match (&outcome, answer) {
            (ConfigOutcome::Written(entry), Answer::Written(expected)) => {
                assert_eq!(&row(entry), expected);
                self.past.insert(key, entry.etag());
                self.on_its_way.push_back(self.present.clone());
            }
            (ConfigOutcome::Deleted, Answer::Deleted) => {
                self.on_its_way.push_back(self.present.clone());
            }
            (ConfigOutcome::NotFound, Answer::NotFound)
            | (ConfigOutcome::Unexpected, Answer::Unexpected)
            | (ConfigOutcome::OverQuota(_), Answer::OverQuota) => assert_eq!(records, 0),
            _ => panic!("{outcome:?}, but {answer:?}"),
        }
    }

    fn look(&mut self, key: Key, number: u64) {
        if !self.world.waits(get(key.0, key.1)) {
            assert_eq!(self.present.keys.get(&key), self.durable.keys.get(&key), "told too early");
        }
        let present = self.world.found(get(key.0, key.1));
        assert_eq!(present.as_ref().map(row).as_ref(), self.present.last(key));
        let rows = self.present.keys.get(&key).cloned().unwrap_or_default();
        let by_version = ConfigCommand::Get {
            account: account(key.0),
            key: config_key(key.1),
            version: Some(version(number)),
        };
        let found = self.world.found(by_version);
        let expected = rows.iter().find(|row| row.version == number);
        assert_eq!(found.as_ref().map(row).as_ref(), expected);
        let kept = match self.world.outcome(history(key.0, key.1)) {
            ConfigOutcome::History(entries) => entries.iter().rev().map(row).collect(),
            ConfigOutcome::NotFound => Vec::new(),
            other => panic!("{other:?}"),
        };
        assert_eq!(kept, rows);
        if let Some(entry) = present.filter(|_| self.durable == self.present) {
            // It was told: nothing else may ever go by this name.
            let what = (key, entry.value.as_json().to_owned());
            let known = self.told.entry(entry.etag()).or_insert_with(|| what.clone());
            assert_eq!(*known, what, "two states have one etag");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x00c0_4f16),
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_is_the_reference_whatever_happens(steps in prop::collection::vec(step(), 1..150)) {
        let mut walk = Walk::new();
        for (number, step) in steps.into_iter().enumerate() {
            walk.take(number, step);
        }
    }
}
