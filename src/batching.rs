//! Between the runtime and the actors' threads: what comes in a few turns of the runtime's loop
//! crosses over together.
//!
//! A thread that sleeps costs a system call to wake, and a context switch. Commands that come in
//! one burst go to their actor as one message, and are decided upon where they were gathered if the
//! actor is free ([`Station`]); answers that come with one commit wake one task, which wakes the
//! others where they run. What a client that is [`Alone`] asks is committed here as well. Whoever looks,
//! and is answered at once, does not wait for a crowd that a commit has answered; and a few who wait for
//! the disk do not wait for the core: see [`courtesy`].

mod courtesy;

pub use courtesy::Waiters;

use crate::{
    alone::Alone,
    traces::{Hop, hop},
};
use courtesy::{ANSWERS_AT_ONCE, Lookers, Waits, offer_the_core};
use octostore_actors::{
    actor::{Asked, Station, Then, Told},
    commit::CROWD,
    domain::Machine,
    gather::Gather,
    reply::{Alarm, Lost, Waiting},
};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};
use tokio::task::{JoinHandle, yield_now};

/// A task that ends with whoever owns it.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks one actor, what comes in a burst together.
pub struct Outbox<M: Machine> {
    name: &'static str,
    station: Arc<Station<M>>,
    queue: Arc<Gather<Asked<M>>>,
    lookers: Arc<Lookers>,
    waiters: Arc<Waiters>,
    _flush: Owned,
}

impl<M: Machine> Outbox<M> {
    /// An outbox to the actor of `station`, which is called `name`, and whose answers `alarm` wakes
    /// for. What a client that is `alone` asks is committed here. Must be called on a tokio runtime.
    pub fn new(
        name: &'static str,
        station: Arc<Station<M>>,
        alarm: &RuntimeAlarm,
        alone: Arc<Alone>,
    ) -> Self {
        let (lookers, waiters) = (Arc::clone(&alarm.lookers), Arc::clone(&alarm.waiters));
        let queue = Arc::new(Gather::default());
        let flush = tokio::spawn(flush(Arc::clone(&queue), Arc::clone(&station), alone));
        Self { name, station, queue, lookers, waiters, _flush: Owned(flush) }
    }

    /// How to ask without taking the turn.
    #[cfg(test)]
    pub fn handle(&self) -> &octostore_actors::actor::Handle<M> {
        self.station.handle()
    }

    /// Asks the actor. The command is answered exactly once; if the actor has no room for it, by
    /// saying so. It is on its way when this returns, whether or not anybody waits for the answer.
    pub fn ask(&self, command: M::Command) -> Hop<Waits<Waiting<M::Outcome>>> {
        let (asked, waiting) = self.station.handle().prepare(command);
        let answer = hop(self.name, self.waiters.wait(waiting));
        if self.queue.add(asked) >= MOST_AT_ONCE {
            self.station.ask_all(self.queue.take(), Then::WakeTheJournal);
        }
        answer
    }

    /// The same, but does not wait for others that may come: for commands of which most are answered
    /// without the journal, and wake nobody.
    pub async fn ask_at_once(&self, command: M::Command) -> Result<M::Outcome, Lost> {
        self.lookers.have_looked();
        let told = pin!(async {
            match self.station.ask_at_once(command) {
                Told::Now(outcome) => Ok(outcome),
                Told::Later(waiting) => {
                    // It comes alone, and so is little.
                    offer_the_core();
                    self.waiters.wait(waiting).await
                }
            }
        });
        hop(self.name, told).await
    }

    /// Asks what changes nothing. What it would have told may be of a change that is undone then,
    /// because the disk has no room for it: that is no reason to refuse a look, and the actor is asked
    /// again.
    pub async fn look(&self, command: M::Command) -> Result<M::Outcome, Lost>
    where
        M::Command: Clone,
    {
        let mut undone = 0;
        loop {
            match self.ask_at_once(command.clone()).await {
                Err(Lost::StoreFull) if undone < MOST_UNDONE => undone += 1,
                told => return told,
            }
        }
    }

    /// Takes back an answer that was picked up, and then could not be passed on.
    pub fn give_back(&self, outcome: M::Outcome) {
        self.station.handle().give_back(outcome);
    }
}

/// How often in a row what a look sees may be undone, and is looked at again.
const MOST_UNDONE: u32 = 2;

/// So many commands cross over at once, although more may come in this turn of the runtime's loop:
/// the journal is busy with them while the next are read.
const MOST_AT_ONCE: usize = 16;

/// For how many turns of the runtime's loop commands are gathered while more come.
const MOST_TURNS: usize = 4;

async fn flush<M: Machine>(
    queue: Arc<Gather<Asked<M>>>,
    station: Arc<Station<M>>,
    alone: Arc<Alone>,
) {
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
        let asked = queue.take();
        let (is_lone, is_little) = (asked.len() == 1, asked.len() < CROWD);
        if is_lone && alone.is_alone_and_quick() {
            if station.ask_all(asked, Then::LeaveIt) {
                alone.commit();
            }
        } else if station.ask_all(asked, Then::WakeTheJournal) && is_little {
            offer_the_core();
        }
    }
}

/// Wakes many tasks at the price of one.
pub struct RuntimeAlarm {
    sleepers: Arc<Gather<Waker>>,
    lookers: Arc<Lookers>,
    waiters: Arc<Waiters>,
    retired: AtomicBool,
    _rouse: Owned,
}

impl RuntimeAlarm {
    /// Wakes tasks of the runtime this is called on.
    pub fn new() -> Self {
        let (sleepers, lookers) = (Arc::new(Gather::default()), Arc::new(Lookers::default()));
        let rouse = tokio::spawn(rouse(Arc::clone(&sleepers), Arc::clone(&lookers)));
        let (waiters, retired) = (Arc::default(), AtomicBool::new(false));
        Self { sleepers, lookers, waiters, retired, _rouse: Owned(rouse) }
    }

    /// Those whom it is to wake some time.
    pub fn waiters(&self) -> &Arc<Waiters> {
        &self.waiters
    }

    /// From now on each is woken at once: the runtime may be gone, or nobody drives it any more, and
    /// not all who sleep are tasks of it.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.sleepers.take().into_iter().for_each(Waker::wake);
    }
}

impl Default for RuntimeAlarm {
    fn default() -> Self {
        Self::new()
    }
}

impl Alarm for RuntimeAlarm {
    fn wake(&self, sleepers: Vec<Waker>) {
        if sleepers.len() == 1 {
            // A task in between would only take time.
            sleepers.into_iter().for_each(Waker::wake);
        } else {
            self.sleepers.append(sleepers);
            // After they are there: whoever retires meanwhile finds them, or is seen here.
            if self.retired.load(Ordering::SeqCst) {
                self.wake_all();
            }
        }
    }
}

impl Drop for RuntimeAlarm {
    fn drop(&mut self) {
        // Whoever still waits must hear what it was told.
        self.wake_all();
    }
}

async fn rouse(sleepers: Arc<Gather<Waker>>, lookers: Arc<Lookers>) {
    loop {
        sleepers.filled().await;
        if lookers.are_about() {
            sleepers.take_at_most(ANSWERS_AT_ONCE).into_iter().for_each(Waker::wake);
            // The sockets are looked at before this goes on.
            yield_now().await;
        } else {
            sleepers.take().into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests;
