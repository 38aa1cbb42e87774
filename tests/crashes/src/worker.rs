//! What one client does, left to chance.

use crate::{
    caller::{Caller, Manner},
    client::Account,
    history::{config, flag, lock::Holder},
    names::Names,
};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// How much the clients do.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// How many they are.
    pub clients: u32,
    /// After how many requests each is done, if not before.
    pub requests: u64,
    /// How many bytes of metadata a lock carries.
    pub metadata: usize,
    /// Whether some go away in the middle of a request.
    pub hang_ups: bool,
    /// Whether some leases last a second.
    pub short_leases: bool,
}

impl Work {
    /// Several clients, until the server is gone.
    pub const ENDLESS: Self =
        Self { clients: 6, requests: u64::MAX, metadata: 0, hang_ups: true, short_leases: true };

    /// The same, or one client alone, who is served in another way: what it changes is committed by
    /// the thread that serves it.
    pub fn endless(dice: &mut fastrand::Rng) -> Self {
        let clients = if dice.u32(0..3) == 0 { 1 } else { Self::ENDLESS.clients };
        Self { clients, ..Self::ENDLESS }
    }

    /// One client that always asks the same.
    pub const SCENARIO: Self =
        Self { clients: 1, requests: 40, metadata: 0, hang_ups: false, short_leases: false };
}

/// The holder that is the client of that number.
pub fn holder(client: u32) -> Holder {
    let account = if client.is_multiple_of(2) { Account::Alice } else { Account::Bob };
    Holder { account, owner: u8::try_from(client).unwrap_or(u8::MAX) }
}

/// A value that no other write has.
fn new_value() -> u64 {
    static VALUES: AtomicU64 = AtomicU64::new(1);
    VALUES.fetch_add(1, Ordering::Relaxed)
}

/// Asks until the work is done, `over` says so, or nobody listens any more.
pub fn work(caller: &mut Caller, names: &Names, work: Work, seed: u64, over: &AtomicBool) {
    let mut worker = Worker {
        locks: names.locks(),
        keys: names.keys(),
        flags: names.flags(),
        limits: names.limits(),
        leases: BTreeMap::new(),
        etags: BTreeMap::new(),
        dice: fastrand::Rng::with_seed(seed),
        hang_ups: work.hang_ups,
        short_leases: work.short_leases,
    };
    caller.metadata = "m".repeat(work.metadata);
    for _ in 0..work.requests {
        if over.load(Ordering::Relaxed) || caller.is_alone {
            break;
        }
        worker.step(caller);
    }
}

struct Worker {
    locks: Vec<String>,
    keys: Vec<String>,
    flags: Vec<String>,
    limits: Vec<(String, u64)>,
    leases: BTreeMap<usize, u128>,
    etags: BTreeMap<usize, String>,
    dice: fastrand::Rng,
    hang_ups: bool,
    short_leases: bool,
}

impl Worker {
    fn step(&mut self, caller: &mut Caller) {
        let manner = self.manner();
        match self.dice.u32(0..16) {
            0..=8 => self.lock(caller, manner),
            9..=11 => self.config(caller, manner),
            12..=13 => self.flag(caller, manner),
            _ => {
                let limit = self.dice.usize(..self.limits.len());
                let (name, most) = &self.limits[limit];
                caller.check(name, *most, manner);
            }
        }
    }

    fn manner(&mut self) -> Manner {
        match self.dice.u32(0..40) {
            0 | 1 if self.hang_ups => Manner::HangsUp,
            2 if self.hang_ups => Manner::StopsMidway,
            _ => Manner::Waits,
        }
    }

    /// Most leases outlast the run by far; some run out in it.
    fn ttl(&mut self) -> u32 {
        if self.short_leases && self.dice.u32(0..12) == 0 {
            1
        } else {
            self.dice.u32(2_400..=3_600)
        }
    }

    fn lock(&mut self, caller: &mut Caller, manner: Manner) {
        let ttl = self.ttl();
        let chosen = self.dice.usize(..self.locks.len());
        let name = &self.locks[chosen];
        let Some(&lease) = self.leases.get(&chosen) else {
            let asks = self.dice.u32(0..6);
            let found = if asks == 0 {
                // What it finds may be a lease of another client of the account, which may do as
                // it likes with it, or what it was granted without being told.
                caller.look(name)
            } else {
                caller.acquire(name, ttl, manner)
            };
            if let Some(lease) = found {
                self.leases.insert(chosen, lease);
            } else if manner != Manner::Waits && self.dice.bool() {
                // Tries again at once.
                if let Some(lease) = caller.acquire(name, ttl, Manner::Waits) {
                    self.leases.insert(chosen, lease);
                }
            }
            return;
        };
        match self.dice.u32(0..8) {
            0 => drop(caller.look(name)),
            1 => drop(caller.acquire(name, ttl, manner)),
            2 | 3 => {
                if caller.renew(name, lease, ttl, manner).is_none() && manner == Manner::Waits {
                    self.leases.remove(&chosen);
                }
            }
            _ => {
                caller.release(name, lease, manner);
                if self.dice.u32(0..8) > 0 {
                    self.leases.remove(&chosen);
                }
            }
        }
    }

    fn config(&mut self, caller: &mut Caller, manner: Manner) {
        let chosen = self.dice.usize(..self.keys.len());
        let key = &self.keys[chosen];
        let known = self.etags.get(&chosen).cloned();
        let etag = match (self.dice.u32(0..12), known) {
            (0..=5, Some(etag)) => caller.put(key, config::If::Matches(etag), new_value(), manner),
            (0..=2, None) => caller.put(key, config::If::New, new_value(), manner),
            (6 | 7, _) => caller.put(key, config::If::Always, new_value(), manner),
            (8, _) => {
                caller.delete(key, manner);
                None
            }
            (_, _) => caller.get(key),
        };
        match etag {
            Some(etag) => self.etags.insert(chosen, etag),
            None => self.etags.remove(&chosen),
        };
    }

    fn flag(&mut self, caller: &mut Caller, manner: Manner) {
        let chosen = self.dice.usize(..self.flags.len());
        let ask = match self.dice.u32(0..8) {
            0 => flag::Ask::Delete,
            1 | 2 => flag::Ask::Look,
            _ => flag::Ask::Set(self.dice.u8(0..=100)),
        };
        caller.flag(&self.flags[chosen], ask, manner);
    }
}

/// Looks at everything there is, and counts a check in every limiter.
pub fn audit(caller: &mut Caller, names: &Names) {
    for name in names.locks() {
        caller.look(&name);
    }
    for key in names.keys() {
        caller.get(&key);
    }
    for name in names.flags() {
        caller.flag(&name, flag::Ask::Look, Manner::Waits);
    }
    for (name, most) in names.limits() {
        caller.check(&name, most, Manner::Waits);
    }
}
