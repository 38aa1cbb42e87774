//! The mailbox under loom: a mutex and a condition variable.

use super::{Received, Refused};
use crate::sync::{Arc, Condvar, Mutex, lock};
use std::{collections::VecDeque, num::NonZeroUsize, sync::PoisonError, time::Duration};

/// As [`super::mailbox`] promises.
pub fn mailbox<T>(capacity: NonZeroUsize) -> (Address<T>, Mailbox<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            queue: VecDeque::new(),
            capacity: capacity.get(),
            senders: 1,
            receiving: true,
        }),
        arrived: Condvar::new(),
        room: Condvar::new(),
    });
    (Address(Arc::clone(&shared)), Mailbox(shared))
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// A message came, or the last sender went.
    arrived: Condvar,
    /// A message was taken, or the receiver went.
    room: Condvar,
}

struct State<T> {
    queue: VecDeque<T>,
    capacity: usize,
    senders: usize,
    receiving: bool,
}

/// As [`super::Address`] promises.
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
        self.0.arrived.notify_one();
    }
}

impl<T> Address<T> {
    /// As [`super::Address::try_send`] promises.
    pub fn try_send(&self, message: T) -> Result<(), Refused<T>> {
        let mut state = lock(&self.0.state);
        if !state.receiving {
            return Err(Refused::Closed(message));
        }
        if state.queue.len() == state.capacity {
            return Err(Refused::Full(message));
        }
        state.queue.push_back(message);
        drop(state);
        self.0.arrived.notify_one();
        Ok(())
    }

    /// As [`super::Address::send`] promises.
    pub fn send(&self, message: T) -> Result<(), T> {
        let mut state = lock(&self.0.state);
        while state.receiving && state.queue.len() == state.capacity {
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

    /// As [`super::Address::queued`] promises.
    pub fn queued(&self) -> usize {
        lock(&self.0.state).queue.len()
    }
}

/// As [`super::Mailbox`] promises.
pub struct Mailbox<T>(Arc<Shared<T>>);

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        let left = {
            let mut state = lock(&self.0.state);
            state.receiving = false;
            std::mem::take(&mut state.queue)
        };
        self.0.room.notify_all();
        // Outside the lock: a message may own what sends to this very mailbox.
        drop(left);
    }
}

impl<T> Mailbox<T> {
    /// As [`super::Mailbox::receive`] promises; under loom no patience ever ends.
    pub fn receive(&self, patience: Option<Duration>) -> Received<T> {
        let mut state = lock(&self.0.state);
        loop {
            if let Some(message) = state.queue.pop_front() {
                drop(state);
                self.0.room.notify_one();
                return Received::Message(message);
            }
            if state.senders == 0 {
                return Received::Closed;
            }
            let Some(patience) = patience else {
                state = self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (guard, wait) = self
                .0
                .arrived
                .wait_timeout(state, patience)
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if wait.timed_out() && state.queue.is_empty() {
                return Received::TimedOut;
            }
        }
    }

    /// As [`super::Mailbox::try_receive`] promises.
    pub fn try_receive(&self) -> Option<T> {
        let message = lock(&self.0.state).queue.pop_front();
        if message.is_some() {
            self.0.room.notify_one();
        }
        message
    }

    /// As [`super::Mailbox::len`] promises.
    pub fn len(&self) -> usize {
        lock(&self.0.state).queue.len()
    }

    /// As [`super::Mailbox::is_empty`] promises.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
