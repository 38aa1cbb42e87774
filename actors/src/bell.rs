//! Where a thread that empties a queue sleeps, until whoever fills the queue wakes it.
//!
//! A channel's own way to wait is to look again and again for a while, giving the processor away
//! each time. On few cores that takes it from those who would fill the queue. Here the sleeper
//! sleeps at once, and costs nothing until it is woken; and whoever fills the queue pays for waking it
//! only if it sleeps.

use crate::sync::{Condvar, Mutex, lock};
use std::{sync::PoisonError, time::Duration};

/// For one sleeper.
#[derive(Debug, Default)]
pub struct Bell {
    /// Whether it sleeps.
    asleep: Mutex<bool>,
    rung: Condvar,
}

/// What ended a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The bell, or there was something to do already.
    Rung,
    /// Nothing, in the time given.
    TimedOut,
}

impl Bell {
    /// Wakes the sleeper, if it sleeps. To be called after each change that it may wait for.
    pub fn ring(&self) {
        let slept = std::mem::replace(&mut *lock(&self.asleep), false);
        // After the lock is free: the sleeper takes that when it wakes.
        if slept {
            self.rung.notify_one();
        }
    }

    /// Sleeps until the bell is rung: for ever, or `patience` long. Does not sleep at all if `ready`: a
    /// change of that is either seen by the sleeper, or made by somebody who then finds it asleep.
    pub fn sleep_unless(&self, ready: impl FnOnce() -> bool, patience: Option<Duration>) -> Woken {
        let mut asleep = lock(&self.asleep);
        if ready() {
            return Woken::Rung;
        }
        *asleep = true;
        while *asleep {
            let Some(patience) = patience else {
                asleep = self.rung.wait(asleep).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (guard, wait) =
                self.rung.wait_timeout(asleep, patience).unwrap_or_else(PoisonError::into_inner);
            asleep = guard;
            if wait.timed_out() && std::mem::replace(&mut *asleep, false) {
                return Woken::TimedOut;
            }
        }
        Woken::Rung
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a sleeper needs a thread to sleep on")]

    use super::*;
    use std::{
        sync::{Arc, mpsc::channel},
        thread::{spawn, yield_now},
    };

    /// Only what is broken takes longer than this.
    const FOR_EVER: Duration = Duration::from_secs(60);

    #[test]
    fn nobody_sleeps_who_has_something_to_do() {
        assert_eq!(Bell::default().sleep_unless(|| true, Some(FOR_EVER)), Woken::Rung);
    }

    #[test]
    fn whoever_sleeps_is_woken_by_the_bell() {
        for patience in [None, Some(10 * FOR_EVER)] {
            let bell = Arc::new(Bell::default());
            let (awake, is_awake) = channel();
            let sleeper = Arc::clone(&bell);
            let thread = spawn(move || awake.send(sleeper.sleep_unless(|| false, patience)));
            while !*lock(&bell.asleep) {
                yield_now();
            }
            bell.ring();
            assert_eq!(is_awake.recv_timeout(FOR_EVER), Ok(Woken::Rung));
            thread.join().unwrap().unwrap();
        }
    }

    #[test]
    fn patience_has_an_end() {
        let bell = Bell::default();
        // One that was rung for nobody is not heard later.
        bell.ring();
        let patience = Some(Duration::from_millis(1));
        assert_eq!(bell.sleep_unless(|| false, patience), Woken::TimedOut);
        assert_eq!(bell.sleep_unless(|| false, patience), Woken::TimedOut);
    }
}
