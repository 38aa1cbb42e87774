//! The lock machine alone: what one decision costs, and how that grows with the locks held.
//!
//! No channel, no disk, no HTTP. What every turn of the actor does with the effects is done here
//! too: records and answers are taken, and the change is settled.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock; nothing here decides anything by it"
)]

use criterion::{BenchmarkId, Criterion, Throughput};
use octostore_actors::{
    domain::{
        Effects, Machine, Moment, Room, Ticket,
        lock::{Holder, Lease, LockCommand, LockMachine, LockOutcome, Tokens},
        values::{AccountId, FencingToken, LeaseId, LockName, Quota, Ttl},
    },
    time::Instant,
};
use std::{hint::black_box, time::Duration};

/// How many locks are held.
const HELD: [u32; 3] = [1_000, 100_000, 1_000_000];

/// How many accounts hold them.
const ACCOUNTS: u32 = 1_000;

/// How many names the measured commands go through, so that no cache knows the one entry.
const NAMES: u32 = 4_096;

/// How many leases expire at once.
const EXPIRING: u32 = 512;

/// When the measured commands come. The held locks end a minute later, or an hour once renewed.
const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for held in HELD {
        bench(&mut criterion, held);
    }
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion, held: u32) {
    let mut world = World::with(held);
    let mut group = criterion.benchmark_group("machine");
    let mut next = 0;
    let mut number = move || {
        next = (next + 1) % NAMES;
        next
    };

    group.throughput(Throughput::Elements(2));
    group.bench_function(BenchmarkId::new("acquire+release", held), |bencher| {
        bencher.iter(|| {
            let (name, lease) = (free_name(number()), LeaseId::from_bytes([7; 16]));
            black_box(world.ask(acquire(name.clone(), 1, lease, 60)));
            world.ask(LockCommand::Release { name, account: account(1), lease })
        });
    });

    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new("renew", held), |bencher| {
        bencher.iter(|| {
            let number = spread(number(), held);
            // Each goes further than the one before.
            world.now = world.now + Duration::from_nanos(1);
            world.ask(LockCommand::Renew {
                name: held_name(number),
                account: account(number),
                lease: lease_id(number),
                ttl: ttl(3600),
            })
        });
    });

    group.bench_function(BenchmarkId::new("get", held), |bencher| {
        bencher.iter(|| {
            let name = held_name(spread(number(), held));
            world.ask(LockCommand::Get { name })
        });
    });

    group.bench_function(BenchmarkId::new("contended acquire", held), |bencher| {
        bencher.iter(|| {
            let number = spread(number(), held);
            let stranger = number + 1;
            world.ask(acquire(held_name(number), stranger, lease_id(0), 60))
        });
    });

    group.throughput(Throughput::Elements(EXPIRING.into()));
    group.bench_function(BenchmarkId::new("expiry", held), |bencher| {
        bencher.iter_custom(|iterations| (0..iterations).map(|_| world.expire()).sum());
    });
    group.finish();
}

/// A machine, and what surrounds it.
struct World {
    machine: LockMachine,
    effects: Effects<LockOutcome>,
    now: Instant,
}

impl World {
    fn with(held: u32) -> Self {
        let last = FencingToken::ZERO.saturating_add(held.into());
        let leases = (0..held).map(|number| Lease {
            name: held_name(number),
            holder: holder(number),
            id: lease_id(number),
            token: FencingToken::ZERO.saturating_add(u64::from(number) + 1),
            ttl: ttl(3600),
            expires: NOW + Duration::from_secs(60) + Duration::from_nanos(number.into()),
            metadata: None,
        });
        let tokens = Tokens::new(last, FencingToken::MAX, 1);
        Self { machine: LockMachine::new(leases, tokens), effects: Effects::default(), now: NOW }
    }

    fn ask(&mut self, command: LockCommand) -> Option<LockOutcome> {
        let moment = Moment { now: self.now, room: Room::Available };
        self.machine.apply(moment, Ticket::new(0), command, &mut self.effects);
        let answer = self.effects.take_answers().next();
        self.settle();
        answer.map(|answer| answer.outcome)
    }

    fn settle(&mut self) {
        black_box(self.effects.take_records());
        self.machine.settle(self.effects.last());
    }

    /// Has leases expire, and says how long that took.
    fn expire(&mut self) -> Duration {
        for number in 0..EXPIRING {
            self.ask(acquire(free_name(number), 1, lease_id(number), 1));
        }
        let due = self.now + Duration::from_secs(1);
        let began = std::time::Instant::now();
        self.machine.on_deadline(due, &mut self.effects);
        self.settle();
        began.elapsed()
    }
}

fn acquire(name: LockName, account: u32, lease: LeaseId, seconds: u64) -> LockCommand {
    LockCommand::Acquire {
        name,
        holder: holder(account),
        ttl: ttl(seconds),
        lease,
        metadata: None,
        quota: Quota::new(u32::MAX),
    }
}

/// Spreads the measured names over all that are held.
fn spread(number: u32, held: u32) -> u32 {
    number.wrapping_mul(2_654_435_761) % held
}

fn held_name(number: u32) -> LockName {
    name(&format!("jobs/nightly/{number:08}"))
}

fn free_name(number: u32) -> LockName {
    name(&format!("jobs/hourly/{number:08}"))
}

fn name(text: &str) -> LockName {
    LockName::new(text).expect("a possible name")
}

fn ttl(seconds: u64) -> Ttl {
    Ttl::from_seconds(seconds).expect("a possible time to live")
}

fn holder(number: u32) -> Holder {
    Holder { account: account(number), owner: None }
}

fn account(number: u32) -> AccountId {
    AccountId::from_bytes(id(number % ACCOUNTS))
}

fn lease_id(number: u32) -> LeaseId {
    LeaseId::from_bytes(id(number))
}

fn id(number: u32) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}
