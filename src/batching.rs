//! Between the runtime and the actors' threads: what happens in one turn of the runtime's loop
//! crosses over together.
//!
//! A thread that sleeps costs a system call to wake, and a context switch. Commands that come in
//! one turn go to their actor as one message; answers that come with one commit wake one task,
//! which wakes the others where they run.

use crate::traces::{Hop, hop};
use octostore_actors::{
    actor::{Asked, Handle},
    domain::Machine,
    reply::{Alarm, Waiting},
    sync::lock,
};
use std::{
    sync::{Arc, Mutex},
    task::Waker,
};
use tokio::{
    sync::Notify,
    task::{JoinHandle, yield_now},
};

/// A task that ends with whoever owns it.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks one actor, a turn's commands at a time.
pub struct Outbox<M: Machine> {
    name: &'static str,
    handle: Handle<M>,
    queue: Arc<Queue<M>>,
    _flush: Owned,
}

struct Queue<M: Machine> {
    asked: Mutex<Vec<Asked<M>>>,
    filled: Notify,
}

impl<M> Outbox<M>
where
    M: Machine + 'static,
    M::Command: Send + 'static,
    M::Outcome: Send + 'static,
{
    /// An outbox to the actor of `handle`, which is called `name`. Must be called on a tokio runtime.
    pub fn new(name: &'static str, handle: Handle<M>) -> Self {
        let queue = Arc::new(Queue { asked: Mutex::new(Vec::new()), filled: Notify::new() });
        let flush = tokio::spawn(flush(Arc::clone(&queue), handle.clone()));
        Self { name, handle, queue, _flush: Owned(flush) }
    }

    /// Asks the actor. The command is answered exactly once; if the actor has no room for it, by
    /// saying so.
    pub fn ask(&self, command: M::Command) -> Hop<Waiting<M::Outcome>> {
        let (asked, waiting) = self.handle.prepare(command);
        let first = {
            let mut queue = lock(&self.queue.asked);
            queue.push(asked);
            queue.len() == 1
        };
        if first {
            self.queue.filled.notify_one();
        }
        hop(self.name, waiting)
    }

    /// Takes back an answer that was picked up, and then could not be passed on.
    pub fn give_back(&self, outcome: M::Outcome) {
        self.handle.give_back(outcome);
    }
}

async fn flush<M: Machine>(queue: Arc<Queue<M>>, handle: Handle<M>) {
    loop {
        queue.filled.notified().await;
        // Whatever else is ready in this turn comes first, and adds to the queue.
        yield_now().await;
        handle.ask_all(std::mem::take(&mut *lock(&queue.asked)));
    }
}

/// Wakes many tasks at the price of one.
pub struct RuntimeAlarm {
    sleepers: Arc<Sleepers>,
    _rouse: Owned,
}

#[derive(Default)]
struct Sleepers {
    wakers: Mutex<Vec<Waker>>,
    added: Notify,
}

impl RuntimeAlarm {
    /// Wakes tasks of the runtime this is called on.
    pub fn new() -> Self {
        let sleepers = Arc::new(Sleepers::default());
        let rouse = tokio::spawn(rouse(Arc::clone(&sleepers)));
        Self { sleepers, _rouse: Owned(rouse) }
    }
}

impl Default for RuntimeAlarm {
    fn default() -> Self {
        Self::new()
    }
}

impl Alarm for RuntimeAlarm {
    fn wake(&self, mut sleepers: Vec<Waker>) {
        if sleepers.len() == 1 {
            // A task in between would only take time.
            sleepers.drain(..).for_each(Waker::wake);
        } else if !sleepers.is_empty() {
            lock(&self.sleepers.wakers).append(&mut sleepers);
            self.sleepers.added.notify_one();
        }
    }
}

impl Drop for RuntimeAlarm {
    fn drop(&mut self) {
        // Whoever still waits must hear what it was told.
        let left = std::mem::take(&mut *lock(&self.sleepers.wakers));
        left.into_iter().for_each(Waker::wake);
    }
}

async fn rouse(sleepers: Arc<Sleepers>) {
    loop {
        sleepers.added.notified().await;
        let wakers = std::mem::take(&mut *lock(&sleepers.wakers));
        wakers.into_iter().for_each(Waker::wake);
    }
}
