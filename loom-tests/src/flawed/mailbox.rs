//! Mailboxes with a flaw.

use crate::mailbox::{Receiving, Sending};
use octostore_actors::{
    mailbox::Refused,
    sync::{Arc, Condvar, Mutex, MutexGuard, lock},
};
use std::{collections::VecDeque, sync::PoisonError};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The receiver looks, and then waits without having looked again: it sleeps through what
    /// came in between.
    LooksThenWaits,
    /// A sender looks for room, and then puts its message in without having looked again.
    LooksThenSends,
    /// The last sender goes without a word.
    SendersLeaveSilently,
    /// The receiver goes without waking those who wait for room.
    ClosesSilently,
    /// The receiver goes and leaves what is queued behind.
    ClosesWithoutEmptying,
}

/// Makes a mailbox for at most `capacity` messages.
pub fn mailbox<T>(capacity: usize, flaw: Flaw) -> (Address<T>, Mailbox<T>) {
    let shared = Arc::new(Shared {
        flaw,
        capacity,
        state: Mutex::new(State { queue: VecDeque::new(), senders: 1, receiving: true }),
        arrived: Condvar::new(),
        room: Condvar::new(),
    });
    (Address(Arc::clone(&shared)), Mailbox(shared))
}

struct Shared<T> {
    flaw: Flaw,
    capacity: usize,
    state: Mutex<State<T>>,
    arrived: Condvar,
    room: Condvar,
}

struct State<T> {
    queue: VecDeque<T>,
    senders: usize,
    receiving: bool,
}

impl<T> Shared<T> {
    /// Unlocks and locks again if it has the flaw, as between a look and a deed.
    fn blink<'a>(
        &'a self,
        flaw: Flaw,
        state: MutexGuard<'a, State<T>>,
    ) -> MutexGuard<'a, State<T>> {
        if self.flaw == flaw {
            drop(state);
            lock(&self.state)
        } else {
            state
        }
    }
}

/// The sending side.
pub struct Address<T>(Arc<Shared<T>>);

impl<T> Clone for Address<T> {
    fn clone(&self) -> Self {
        lock(&self.0.state).senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Address<T> {
    fn drop(&mut self) {
        lock(&self.0.state).senders -= 1;
        if self.0.flaw != Flaw::SendersLeaveSilently {
            self.0.arrived.notify_one();
        }
    }
}

impl<T: Send + 'static> Sending<T> for Address<T> {
    fn try_send(&self, message: T) -> Result<(), Refused<T>> {
        let state = lock(&self.0.state);
        if !state.receiving {
            return Err(Refused::Closed(message));
        }
        if state.queue.len() >= self.0.capacity {
            return Err(Refused::Full(message));
        }
        let mut state = self.0.blink(Flaw::LooksThenSends, state);
        state.queue.push_back(message);
        drop(state);
        self.0.arrived.notify_one();
        Ok(())
    }

    fn send(&self, message: T) -> Result<(), T> {
        let mut state = lock(&self.0.state);
        while state.receiving && state.queue.len() >= self.0.capacity {
            state = self.0.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.receiving {
            return Err(message);
        }
        state.queue.push_back(message);
        drop(state);
        self.0.arrived.notify_one();
        Ok(())
    }
}

/// The receiving side.
pub struct Mailbox<T>(Arc<Shared<T>>);

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.receiving = false;
        let left = if self.0.flaw == Flaw::ClosesWithoutEmptying {
            VecDeque::new()
        } else {
            std::mem::take(&mut state.queue)
        };
        drop(state);
        if self.0.flaw != Flaw::ClosesSilently {
            self.0.room.notify_all();
        }
        drop(left);
    }
}

impl<T: Send + 'static> Receiving<T> for Mailbox<T> {
    fn receive(&self) -> Option<T> {
        let mut state = lock(&self.0.state);
        loop {
            if let Some(message) = state.queue.pop_front() {
                drop(state);
                self.0.room.notify_one();
                return Some(message);
            }
            if state.senders == 0 {
                return None;
            }
            state = self.0.blink(Flaw::LooksThenWaits, state);
            state = self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn waiting(&self) -> usize {
        lock(&self.0.state).queue.len()
    }
}
