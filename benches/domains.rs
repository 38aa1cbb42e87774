//! The limiter, flag and config machines alone: what one decision costs, and how that grows with
//! what there is. As `machine.rs` does for locks.

use criterion::Criterion;
use octostore_actors::{
    domain::{
        Effects, Machine, Moment, Room, Ticket,
        audit::{AuditText, Provenance, Who},
        config::{
            ConfigCommand, ConfigKey, ConfigMachine, ConfigQuota, Expected, Incarnation, Value,
        },
        flag::{FlagCommand, FlagMachine, FlagName, FlagOutcome, Percentage},
        limiter::{LimitCommand, LimitMachine, LimitName, MaxRequests, Policy, Window},
        values::{AccountId, Quota, WallTime},
    },
    time::Instant,
};
use std::{hint::black_box, time::Duration};

/// How many limiters, flags and keys there are.
const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];

/// How many accounts have them.
const ACCOUNTS: u32 = 1_000;

const QUOTA: Quota = Quota::new(u32::MAX);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for size in SIZES {
        limits(&mut criterion, size);
        flags(&mut criterion, size);
        config(&mut criterion, size);
    }
    criterion.final_summary();
}

fn limits(criterion: &mut Criterion, size: u32) {
    let mut world = World::new(LimitMachine::default());
    (0..size).for_each(|number| drop(world.ask(check(number))));
    let mut number = numbers(size);
    criterion.bench_function(&format!("limit check/{size}"), |bencher| {
        bencher.iter(|| {
            world.now = world.now + Duration::from_millis(1);
            world.ask(check(number()))
        });
    });
}

fn flags(criterion: &mut Criterion, size: u32) {
    let mut world = World::new(FlagMachine::default());
    for number in 0..size {
        world.ask(FlagCommand::Set {
            account: account(number),
            name: flag(number),
            enabled: true,
            percentage: Percentage::new(50).ok(),
            quota: QUOTA,
            by: nobody(),
        });
    }
    let mut number = numbers(size);
    criterion.bench_function(&format!("flag evaluation/{size}"), |bencher| {
        bencher.iter(|| {
            let number = number();
            let command = FlagCommand::Get { account: account(number), name: flag(number) };
            match world.ask(command) {
                Some(FlagOutcome::Status(Some(flag))) => flag.is_on_for("customer-42"),
                other => panic!("the flag is not there: {other:?}"),
            }
        });
    });
}

fn config(criterion: &mut Criterion, size: u32) {
    let mut world = World::new(ConfigMachine::default());
    (0..size).for_each(|number| drop(world.ask(put(number))));
    let mut number = numbers(size);
    criterion.bench_function(&format!("config get/{size}"), |bencher| {
        bencher.iter(|| {
            let number = number();
            let (account, key) = (account(number), key(number));
            world.ask(ConfigCommand::Get { account, key, version: None })
        });
    });
    criterion.bench_function(&format!("config put/{size}"), |bencher| {
        bencher.iter(|| world.ask(put(number())));
    });
}

/// A machine, and what surrounds it.
struct World<M: Machine> {
    machine: M,
    effects: Effects<M::Outcome>,
    now: Instant,
}

impl<M: Machine> World<M> {
    fn new(machine: M) -> Self {
        Self { machine, effects: Effects::default(), now: Instant::from_nanos(1_000_000_000) }
    }

    fn ask(&mut self, command: M::Command) -> Option<M::Outcome> {
        let moment = Moment { now: self.now, room: Room::Available };
        self.machine.apply(moment, Ticket::new(0), command, &mut self.effects);
        let answer = self.effects.take_answers().next();
        black_box(self.effects.take_records());
        self.machine.settle(self.effects.last());
        answer.map(|answer| answer.outcome)
    }
}

/// Goes through all of `size`, in no order that a cache could know.
fn numbers(size: u32) -> impl FnMut() -> u32 {
    let mut next = 0_u32;
    move || {
        next = next.wrapping_add(1);
        next.wrapping_mul(2_654_435_761) % size
    }
}

fn check(number: u32) -> LimitCommand {
    let policy = Policy {
        max_requests: MaxRequests::new(10_000).expect("a possible quota"),
        window: Window::from_seconds(60).expect("a possible window"),
    };
    LimitCommand::Check {
        account: account(number),
        name: LimitName::new(&format!("login:{number:08}")).expect("a possible name"),
        policy,
        cost: policy.cost(1).expect("a possible cost"),
        quota: QUOTA,
    }
}

fn put(number: u32) -> ConfigCommand {
    ConfigCommand::Put {
        account: account(number),
        key: key(number),
        value: Value::from_json(r#"{"max": 250.00, "currency": "EUR"}"#).expect("a small value"),
        description: None,
        expected: Expected::Anything,
        incarnation: Incarnation([7; 16]),
        by: nobody(),
        quota: ConfigQuota { keys: QUOTA, bytes: u64::MAX, history: Quota::new(100) },
    }
}

fn nobody() -> Provenance {
    let none = AuditText::truncated("");
    let at = WallTime::from_millis(0);
    Provenance { who: Who::Server, from: none.clone(), request: none, at }
}

fn flag(number: u32) -> FlagName {
    FlagName::new(&format!("flag-{number:08}")).expect("a possible name")
}

fn key(number: u32) -> ConfigKey {
    ConfigKey::new(&format!("key.{number:08}")).expect("a possible key")
}

fn account(number: u32) -> AccountId {
    AccountId::from_bytes(u128::from(number % ACCOUNTS).to_be_bytes())
}
