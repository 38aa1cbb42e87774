//! Between the runtime and the actors' threads: what comes in a few turns of the runtime's loop
//! crosses over together.
//!
//! A thread that sleeps costs a system call to wake, and a context switch. Commands that come in
//! one burst go to their actor as one message, and are decided upon where they were gathered if the
//! actor is free ([`Station`]); answers that come with one commit wake one task, which wakes the
//! others where they run. What a client asks who is [`Alone`] is committed here as well. Who looks and is
//! answered at once does not wait for a crowd that a commit has answered: see [`Lookers`].

use crate::{
    alone::Alone,
    traces::{Hop, hop},
};
use octostore_actors::{
    actor::{Asked, Station, Then, Told},
    domain::Machine,
    gather::Gather,
    reply::{Alarm, Lost, Waiting},
};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
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
    _flush: Owned,
}

impl<M> Outbox<M>
where
    M: Machine + Send + 'static,
    M::Command: Send + 'static,
    M::Outcome: Send + 'static,
{
    /// An outbox to the actor of `station`, which is called `name`, and whose answers `alarm` wakes
    /// for. What a client asks who is `alone` is committed here. Must be called on a tokio runtime.
    pub fn new(
        name: &'static str,
        station: Arc<Station<M>>,
        alarm: &RuntimeAlarm,
        alone: Arc<Alone>,
    ) -> Self {
        let lookers = Arc::clone(&alarm.lookers);
        let queue = Arc::new(Gather::default());
        let flush = tokio::spawn(flush(Arc::clone(&queue), Arc::clone(&station), alone));
        Self { name, station, queue, lookers, _flush: Owned(flush) }
    }

    /// How to ask without taking the turn.
    #[cfg(test)]
    pub fn handle(&self) -> &octostore_actors::actor::Handle<M> {
        self.station.handle()
    }

    /// Asks the actor. The command is answered exactly once; if the actor has no room for it, by
    /// saying so.
    pub fn ask(&self, command: M::Command) -> Hop<Waiting<M::Outcome>> {
        let (asked, waiting) = self.station.handle().prepare(command);
        let answer = hop(self.name, waiting);
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
                    offer_the_core();
                    waiting.await
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

/// For so many commands the core is not offered to the journal: they are work for a while, and it
/// begins when it can.
const MANY: usize = 4;

async fn flush<M>(queue: Arc<Gather<Asked<M>>>, station: Arc<Station<M>>, alone: Arc<Alone>)
where
    M: Machine + Send + 'static,
    M::Command: Send + 'static,
    M::Outcome: Send + 'static,
{
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
        let (is_lone, is_little) = (asked.len() == 1, asked.len() < MANY);
        if is_lone && alone.is_alone_and_quick() {
            if station.ask_all(asked, Then::LeaveIt) {
                alone.commit();
            }
        } else if station.ask_all(asked, Then::WakeTheJournal) && is_little {
            offer_the_core();
        }
    }
}

/// The journal may have been woken on the core of this thread, and would wait as long as the system
/// lets that go on: milliseconds, for what takes it microseconds.
fn offer_the_core() {
    std::thread::yield_now();
}

/// Whether somebody looks, or asks something else that is answered at once.
///
/// A commit answers everybody who had waited for it, and to send all of that takes the runtime longer
/// than some fifty looks. Those who wait for the disk have waited long; so while somebody looks,
/// a few of them at a time go on, and who looks goes in between.
#[derive(Debug, Default)]
struct Lookers {
    /// So many times more they are taken to be about.
    left: AtomicU32,
}

/// Nobody has looked any more while [`FEW`] answers went so many times: some fifty milliseconds of a
/// server that is busy.
const UNTIL_FORGOTTEN: u32 = 1024;

/// So many answers of a commit go together while somebody looks.
const FEW: usize = 6;

impl Lookers {
    fn have_looked(&self) {
        self.left.store(UNTIL_FORGOTTEN, Ordering::Relaxed);
    }

    /// Counts down, and says whether there are some; asked once for each few answers. That a look
    /// which comes in between is overlooked does no harm: where it matters, there are more.
    fn are_about(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }
}

/// Wakes many tasks at the price of one.
pub struct RuntimeAlarm {
    sleepers: Arc<Gather<Waker>>,
    lookers: Arc<Lookers>,
    retired: AtomicBool,
    _rouse: Owned,
}

impl RuntimeAlarm {
    /// Wakes tasks of the runtime this is called on.
    pub fn new() -> Self {
        let (sleepers, lookers) = (Arc::new(Gather::default()), Arc::new(Lookers::default()));
        let rouse = tokio::spawn(rouse(Arc::clone(&sleepers), Arc::clone(&lookers)));
        Self { sleepers, lookers, retired: AtomicBool::new(false), _rouse: Owned(rouse) }
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
    fn wake(&self, mut sleepers: Vec<Waker>) {
        if sleepers.len() == 1 {
            // A task in between would only take time.
            sleepers.drain(..).for_each(Waker::wake);
        } else {
            self.sleepers.append(&mut sleepers);
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
            sleepers.take_at_most(FEW).into_iter().for_each(Waker::wake);
            // The sockets are looked at before this goes on.
            yield_now().await;
        } else {
            sleepers.take().into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use octostore_actors::{
        actor::Actor,
        commit::{Persistence, Pressure, Store, StoreFailure, Verdict},
        domain::{
            Effects, Moment, Record, Ticket,
            audit::{AuditPage, AuditQuery},
            lock::LockRecord,
            values::FencingToken,
        },
        mailbox::mailbox,
        progress::Seq,
        snapshot::Snapshot,
        time::Instant,
    };
    use std::{
        num::NonZeroUsize,
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

    /// Tells of changes that are not on disk so many times, and then of none.
    struct Doubtful {
        changes: u32,
    }

    impl Machine for Doubtful {
        type Command = ();
        type Outcome = u32;

        fn apply(&mut self, _: Moment, ticket: Ticket, (): (), effects: &mut Effects<u32>) {
            let mut seen = Seq::NONE;
            if let Some(left) = self.changes.checked_sub(1) {
                seen = effects.record(LockRecord::TokenMark(FencingToken::ZERO));
                self.changes = left;
            }
            effects.answer(ticket, self.changes, seen);
        }

        fn undelivered(&mut self, _: u32, _: &mut Effects<u32>) {}

        fn next_deadline(&self) -> Option<Instant> {
            None
        }

        fn on_deadline(&mut self, _: Instant, _: &mut Effects<u32>) {}

        fn settle(&mut self, _: Seq) {}

        fn rewind(&mut self, _: Seq) {}

        fn close(&mut self, _: &mut Effects<u32>) {}
    }

    /// Has no room.
    struct Full;

    impl Store for Full {
        fn commit(&mut self, _: &[Record]) -> Verdict {
            Verdict::NoRoom
        }

        fn patience(&self) -> Option<Duration> {
            None
        }

        fn is_pressed(&self) -> bool {
            false
        }

        fn audit(&mut self, _: &AuditQuery) -> Result<AuditPage, StoreFailure> {
            unreachable!("nobody reads the log")
        }

        fn snapshot(&mut self) -> Result<Option<Snapshot>, StoreFailure> {
            Ok(None)
        }

        fn tend(&mut self, _: Pressure) -> Result<(), StoreFailure> {
            Ok(())
        }
    }

    /// What is told on a full disk when so many changes are undone, by `ask` of the outbox.
    async fn told<A: AsyncFnOnce(&Outbox<Doubtful>) -> Result<u32, Lost>>(
        changes: u32,
        ask: A,
    ) -> Result<u32, Lost> {
        let places = NonZeroUsize::new(8).unwrap();
        let (journal, turns) = mailbox(places);
        let (actor, handle) =
            Actor::new(Doubtful { changes }, places, journal, Arc::new(SystemClock));
        let station = Arc::new(Station::new(actor, handle));
        let mut persistence = Persistence::new(Full, turns);
        let alarm = RuntimeAlarm::new();
        let outbox = Outbox::new("doubtful", Arc::clone(&station), &alarm, Alone::nobody());
        assert!(Arc::ptr_eq(&outbox.lookers, &alarm.lookers), "the alarm would not hear of looks");
        let steps = async {
            loop {
                station.attend(Then::WakeTheJournal);
                persistence.step().unwrap();
                yield_now().await;
            }
        };
        tokio::select! {
            told = ask(&outbox) => told,
            () = steps => unreachable!("they have no end"),
        }
    }

    #[tokio::test]
    async fn a_look_that_saw_what_was_undone_looks_again_and_a_change_is_refused() {
        let ask = async |outbox: &Outbox<Doubtful>| outbox.ask(()).await;
        let look = async |outbox: &Outbox<Doubtful>| outbox.look(()).await;
        assert_eq!(told(1, ask).await, Err(Lost::StoreFull));
        for changes in 0..=MOST_UNDONE {
            assert_eq!(told(changes, look).await, Ok(0));
        }
        assert_eq!(told(MOST_UNDONE + 1, look).await, Err(Lost::StoreFull), "it has an end");
    }

    #[tokio::test]
    async fn looks_do_not_wait_for_a_crowd_that_a_commit_has_answered() {
        const CROWD: usize = 10 * FEW;
        let (alarm, woken) = (RuntimeAlarm::new(), Arc::new(Woken::default()));
        let mut before = 0;
        let mut in_a_turn = async || {
            yield_now().await;
            woken.count() - std::mem::replace(&mut before, woken.count())
        };
        alarm.wake(woken.sleepers(CROWD));
        assert_eq!(in_a_turn().await, CROWD, "nobody looks");
        alarm.lookers.have_looked();
        alarm.wake(woken.sleepers(CROWD));
        for _ in 0..CROWD / FEW {
            assert_eq!(in_a_turn().await, FEW, "all else has its turn in between");
        }
        assert_eq!(in_a_turn().await, 0);
        for _ in 0..UNTIL_FORGOTTEN {
            alarm.lookers.are_about();
        }
        alarm.wake(woken.sleepers(CROWD));
        assert_eq!(in_a_turn().await, CROWD, "nobody looks any more");
    }

    #[tokio::test]
    async fn who_looks_is_noticed_and_who_changes_something_is_not() {
        let ask = async |outbox: &Outbox<Doubtful>| {
            let lookers = &outbox.lookers;
            assert!(!lookers.are_about());
            outbox.ask(()).await?;
            assert!(!lookers.are_about());
            let told = outbox.look(()).await;
            assert!(lookers.are_about());
            told
        };
        assert_eq!(told(0, ask).await, Ok(0));
    }

    #[tokio::test]
    async fn a_crowd_of_which_some_still_wait_is_woken_when_the_alarm_goes() {
        let (alarm, woken) = (RuntimeAlarm::new(), Arc::new(Woken::default()));
        alarm.lookers.have_looked();
        alarm.wake(woken.sleepers(3 * FEW));
        yield_now().await;
        assert_eq!(woken.count(), FEW);
        drop(alarm);
        assert_eq!(woken.count(), 3 * FEW);
    }

    #[tokio::test]
    async fn an_alarm_that_has_retired_leaves_nothing_to_the_runtime() {
        let (alarm, woken) = (RuntimeAlarm::new(), Arc::new(Woken::default()));
        alarm.wake(woken.sleepers(3));
        assert_eq!(woken.count(), 0, "the runtime has not come to it");
        alarm.retire();
        assert_eq!(woken.count(), 3);
        alarm.wake(woken.sleepers(3));
        assert_eq!(woken.count(), 6);
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
