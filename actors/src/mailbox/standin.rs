//! The mailbox under loom: a mutex, and threads that sleep.
//!
//! loom tries every order of whatever synchronizes. So this does so as little as it can: once an
//! operation, and whoever sleeps is woken within it.

use super::Refused;
use crate::{
    bell::Woken,
    sync::{
        Arc, Mutex, MutexGuard, lock,
        thread::{self, Thread},
    },
};
use std::{collections::VecDeque, num::NonZeroUsize, time::Duration};

/// As [`super::mailbox`] promises.
pub fn mailbox<T>(capacity: NonZeroUsize) -> (Address<T>, Mailbox<T>) {
    let shared = Arc::new(Shared(Mutex::new(State {
        queue: VecDeque::new(),
        capacity: capacity.get(),
        senders: 1,
        receiving: true,
        called: false,
        for_mail: Vec::new(),
        for_room: Vec::new(),
    })));
    (Address(Arc::clone(&shared)), Mailbox(shared))
}

struct Shared<T>(Mutex<State<T>>);

struct State<T> {
    queue: VecDeque<T>,
    capacity: usize,
    senders: usize,
    receiving: bool,
    called: bool,
    /// The receiver, if it waits for a message.
    for_mail: Vec<Thread>,
    /// Those who wait for room.
    for_room: Vec<Thread>,
}

impl<T> State<T> {
    /// Wakes the receiver, if it sleeps, to look again.
    fn wake(&mut self) {
        self.for_mail.drain(..).for_each(|sleeper| sleeper.unpark());
    }

    fn call(&mut self) {
        self.called = true;
        self.wake();
    }

    fn leave(&mut self, message: T) -> Result<(), Refused<T>> {
        if !self.receiving {
            return Err(Refused::Closed(message));
        }
        if self.queue.len() == self.capacity {
            return Err(Refused::Full(message));
        }
        self.queue.push_back(message);
        Ok(())
    }

    fn pop(&mut self) -> Option<T> {
        let message = self.queue.pop_front()?;
        self.for_room.drain(..).for_each(|sleeper| sleeper.unpark());
        Some(message)
    }
}

impl<T> Shared<T> {
    /// Sleeps until something has changed, in this list. Under loom nothing comes between the entry
    /// in the list and the sleep, and nobody is woken who has no entry there.
    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<T>>,
        list: fn(&mut State<T>) -> &mut Vec<Thread>,
    ) -> MutexGuard<'a, State<T>> {
        list(&mut state).push(thread::current());
        drop(state);
        thread::park();
        lock(&self.0)
    }
}

/// As [`super::Address`] promises.
pub struct Address<T>(Arc<Shared<T>>);

impl<T> Clone for Address<T> {
    fn clone(&self) -> Self {
        lock(&self.0.0).senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Address<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        state.senders -= 1;
        if state.senders == 0 {
            state.wake();
        }
    }
}

impl<T> Address<T> {
    /// As [`super::Address::try_send`] promises.
    pub fn try_send(&self, message: T) -> Result<(), Refused<T>> {
        let mut state = lock(&self.0.0);
        state.leave(message)?;
        state.wake();
        Ok(())
    }

    /// As [`super::Address::try_leave`] promises.
    pub fn try_leave(&self, message: T) -> Result<(), Refused<T>> {
        lock(&self.0.0).leave(message)
    }

    /// As [`super::Address::wake`] promises.
    pub fn wake(&self) {
        lock(&self.0.0).wake();
    }

    /// As [`super::Address::call`] promises.
    pub fn call(&self) {
        lock(&self.0.0).call();
    }

    /// As [`super::Address::send`] promises.
    pub fn send(&self, message: T) -> Result<(), T> {
        let mut state = lock(&self.0.0);
        while state.receiving && state.queue.len() == state.capacity {
            state = self.0.sleep(state, |state| &mut state.for_room);
        }
        if !state.receiving {
            return Err(message);
        }
        state.queue.push_back(message);
        state.wake();
        Ok(())
    }

    /// As [`super::Address::queued`] promises.
    pub fn queued(&self) -> usize {
        lock(&self.0.0).queue.len()
    }
}

/// As [`super::Mailbox`] promises.
pub struct Mailbox<T>(Arc<Shared<T>>);

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        let left = {
            let mut state = lock(&self.0.0);
            state.receiving = false;
            state.wake();
            state.for_room.drain(..).for_each(|sleeper| sleeper.unpark());
            std::mem::take(&mut state.queue)
        };
        // Outside the lock: a message may own what sends to this very mailbox.
        drop(left);
    }
}

impl<T> Mailbox<T> {
    /// As [`super::Mailbox::arrivals`] promises.
    pub fn arrivals(&self) -> Arrivals<T> {
        Arrivals(Arc::clone(&self.0))
    }

    /// As [`super::Mailbox::try_receive`] promises.
    pub fn try_receive(&self) -> Option<T> {
        lock(&self.0.0).pop()
    }

    /// As [`super::Mailbox::len`] promises.
    pub fn len(&self) -> usize {
        lock(&self.0.0).queue.len()
    }

    /// As [`super::Mailbox::is_empty`] promises.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As [`super::Mailbox::is_over`] promises.
    pub fn is_over(&self) -> bool {
        let state = lock(&self.0.0);
        state.senders == 0 && state.queue.is_empty()
    }
}

/// As [`super::Arrivals`] promises.
pub struct Arrivals<T>(Arc<Shared<T>>);

impl<T> Arrivals<T> {
    /// As [`super::Arrivals::wait`] promises, but for the patience: it ends at once if there is none
    /// at all, and otherwise never.
    pub fn wait(&self, patience: Option<Duration>) -> Woken {
        let mut state = lock(&self.0.0);
        let news =
            state.called || !state.queue.is_empty() || state.senders == 0 || !state.receiving;
        if !news && patience == Some(Duration::ZERO) {
            return Woken::TimedOut;
        }
        if !news {
            state = self.0.sleep(state, |state| &mut state.for_mail);
        }
        state.called = false;
        Woken::Rung
    }

    /// As [`super::Arrivals::call`] promises.
    pub fn call(&self) {
        lock(&self.0.0).call();
    }
}
