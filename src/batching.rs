//! Between the runtime and the actors' threads: what comes in a few turns of the runtime's loop
//! crosses over together.
//!
//! A thread that sleeps costs a system call to wake, and a context switch. Commands that come in
//! one burst go to their actor as one message; answers that come with one commit wake one task,
//! which wakes the others where they run.

use crate::traces::{Hop, hop};
use octostore_actors::{
    actor::{Asked, Handle},
    domain::Machine,
    gather::Gather,
    reply::{Alarm, Waiting},
};
use std::{sync::Arc, task::Waker};
use tokio::task::{JoinHandle, yield_now};

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
    queue: Arc<Gather<Asked<M>>>,
    _flush: Owned,
}

impl<M> Outbox<M>
where
    M: Machine + 'static,
    M::Command: Send + 'static,
    M::Outcome: Send + 'static,
{
    /// An outbox to the actor of `handle`, which is called `name`. Must be called on a tokio runtime.
    pub fn new(name: &'static str, handle: Handle<M>) -> Self {
        let queue = Arc::new(Gather::default());
        let flush = tokio::spawn(flush(Arc::clone(&queue), handle.clone()));
        Self { name, handle, queue, _flush: Owned(flush) }
    }

    /// Asks the actor. The command is answered exactly once; if the actor has no room for it, by
    /// saying so.
    pub fn ask(&self, command: M::Command) -> Hop<Waiting<M::Outcome>> {
        let (asked, waiting) = self.handle.prepare(command);
        let answer = hop(self.name, waiting);
        self.queue.add(asked);
        answer
    }

    /// Takes back an answer that was picked up, and then could not be passed on.
    pub fn give_back(&self, outcome: M::Outcome) {
        self.handle.give_back(outcome);
    }
}

/// For how many turns of the runtime's loop commands are gathered while more come.
const MOST_TURNS: usize = 4;

async fn flush<M: Machine>(queue: Arc<Gather<Asked<M>>>, handle: Handle<M>) {
    loop {
        queue.filled().await;
        // Whatever else is ready comes first, and adds to the queue; as long as it does, wait.
        let mut gathered = queue.len();
        for _ in 0..MOST_TURNS {
            yield_now().await;
            let before = std::mem::replace(&mut gathered, queue.len());
            if gathered == before {
                break;
            }
        }
        handle.ask_all(queue.take());
    }
}

/// Wakes many tasks at the price of one.
pub struct RuntimeAlarm {
    sleepers: Arc<Gather<Waker>>,
    _rouse: Owned,
}

impl RuntimeAlarm {
    /// Wakes tasks of the runtime this is called on.
    pub fn new() -> Self {
        let sleepers = Arc::new(Gather::default());
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
        } else {
            self.sleepers.append(&mut sleepers);
        }
    }
}

impl Drop for RuntimeAlarm {
    fn drop(&mut self) {
        // Whoever still waits must hear what it was told.
        self.sleepers.take().into_iter().for_each(Waker::wake);
    }
}

async fn rouse(sleepers: Arc<Gather<Waker>>) {
    loop {
        sleepers.filled().await;
        sleepers.take().into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
        time::Duration,
    };
    use tokio::time::timeout;

    /// Tasks that sleep, and how many of them were woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Woken {
        fn sleepers(self: &Arc<Self>, count: usize) -> Vec<Waker> {
            vec![Waker::from(Arc::clone(self)); count]
        }

        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn everybody_who_sleeps_is_woken_alone_or_with_others() {
        let (alarm, woken) = (RuntimeAlarm::new(), Arc::new(Woken::default()));
        let mut all = 0;
        for count in [0, 1, 2, 1, 3, 100] {
            alarm.wake(woken.sleepers(count));
            all += count;
            let waken = async {
                while woken.count() < all {
                    yield_now().await;
                }
            };
            timeout(Duration::from_secs(60), waken).await.expect("one of them sleeps for ever");
            assert_eq!(woken.count(), all);
        }
    }

    #[tokio::test]
    async fn an_alarm_that_goes_wakes_those_who_still_wait_for_it() {
        let (alarm, woken) = (RuntimeAlarm::new(), Arc::new(Woken::default()));
        alarm.wake(woken.sleepers(3));
        assert_eq!(woken.count(), 0, "the runtime has not come to it");
        drop(alarm);
        assert_eq!(woken.count(), 3);
    }
}
