//! Bells with a flaw.

use crate::bell::Waking;
use octostore_actors::sync::{Condvar, Mutex, lock};
use std::sync::PoisonError;

/// The sleeper looks whether there is something to do, and lies down in a second step.
#[derive(Debug)]
pub struct LooksThenSleeps(Parts);

/// Whoever rings does not say so to one who is about to sleep.
#[derive(Debug)]
pub struct RingsUnheard(Parts);

#[derive(Debug)]
struct Parts {
    asleep: Mutex<bool>,
    rung: Condvar,
}

impl Parts {
    fn new() -> Self {
        Self { asleep: Mutex::new(false), rung: Condvar::new() }
    }

    fn ring(&self) {
        if std::mem::replace(&mut *lock(&self.asleep), false) {
            self.rung.notify_one();
        }
    }
}

impl Default for LooksThenSleeps {
    fn default() -> Self {
        Self(Parts::new())
    }
}

impl Waking for LooksThenSleeps {
    fn ring(&self) {
        self.0.ring();
    }

    fn sleep_unless(&self, ready: impl FnOnce() -> bool) {
        if ready() {
            return;
        }
        let mut asleep = lock(&self.0.asleep);
        *asleep = true;
        while *asleep {
            asleep = self.0.rung.wait(asleep).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Default for RingsUnheard {
    fn default() -> Self {
        Self(Parts::new())
    }
}

impl Waking for RingsUnheard {
    fn ring(&self) {
        if *lock(&self.0.asleep) {
            self.0.rung.notify_one();
        }
    }

    fn sleep_unless(&self, ready: impl FnOnce() -> bool) {
        let mut asleep = lock(&self.0.asleep);
        if ready() {
            return;
        }
        *asleep = true;
        drop(asleep);
        let asleep = lock(&self.0.asleep);
        let mut asleep = self.0.rung.wait(asleep).unwrap_or_else(PoisonError::into_inner);
        *asleep = false;
    }
}
