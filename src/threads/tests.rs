//! Threads that panic, that are busy, and that stand still.

use super::*;
use crate::clock::SystemClock;
use octostore_actors::{
    domain::{Effects, Moment, Ticket},
    progress::Seq,
    reply::Lost,
    time::Instant,
};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::timeout;

#[tokio::test]
async fn a_panic_in_an_actor_ends_the_process_with_a_clear_message() {
    let (sender, mut failures) = mpsc::unbounded_channel();
    let threads = Threads::new(Arc::new(RuntimeAlarm::new()), sender);
    let thread = threads.spawn("locks", || panic!("two holders")).unwrap();
    thread.join().unwrap();
    let said = failures.recv().await.unwrap().to_string();
    assert!(said.contains("locks") && said.contains("two holders"), "{said}");
}

/// Begins a command, and does not end it before it may.
struct Busy {
    begun: std::sync::mpsc::Sender<()>,
    may_end: std::sync::mpsc::Receiver<()>,
}

impl Machine for Busy {
    type Command = ();
    type Outcome = ();

    fn apply(&mut self, _: Moment, ticket: Ticket, (): (), effects: &mut Effects<()>) {
        self.begun.send(()).unwrap();
        // Once nobody can say so any more, all may.
        let _may = self.may_end.recv();
        effects.answer(ticket, (), Seq::NONE);
    }

    fn undelivered(&mut self, (): (), _: &mut Effects<()>) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn on_deadline(&mut self, _: Instant, _: &mut Effects<()>) {}

    fn settle(&mut self, _: Seq) {}

    fn rewind(&mut self, _: Seq) {}

    fn close(&mut self, _: &mut Effects<()>) {}
}

async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn bounded_an_actor_that_is_busy_lets_as_many_messages_wait_as_the_setting_says() {
    let (sender, _failures) = mpsc::unbounded_channel();
    let (journal, _messages) = mailbox(NonZeroUsize::MIN);
    let mut actors = Actors {
        threads: &mut Threads::new(Arc::new(RuntimeAlarm::new()), sender),
        journal,
        capacity: NonZeroUsize::new(3).unwrap(),
        clock: Arc::new(SystemClock),
        alone: Alone::nobody(),
        watched: Vec::new(),
    };
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (end, may_end) = std::sync::mpsc::channel();
    let outbox = actors.start("busy", Busy { begun, may_end }).unwrap();
    // On the thread of the actor: this one must not wait in the machine for what it is to allow.
    let first = outbox.handle().ask(()).unwrap();
    until(|| has_begun.try_recv().is_ok()).await;
    let queued = || (actors.watched[0].queued)();
    let mut waiting = Vec::new();
    for number in 1..=3 {
        waiting.push(outbox.ask(()));
        until(|| queued() == number).await;
    }
    let refused = timeout(Duration::from_secs(60), outbox.ask(())).await.expect("no room");
    assert_eq!(refused, Err(Lost::Overloaded));
    drop(end);
    assert_eq!(first.await, Ok(()));
    for one in waiting {
        assert_eq!(one.await, Ok(()));
    }
}

/// Has something to do at its deadline, and says whenever it looks and when it does it.
struct Due {
    deadline: Option<Instant>,
    looked: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl Machine for Due {
    type Command = ();
    type Outcome = ();

    fn apply(&mut self, _: Moment, ticket: Ticket, (): (), effects: &mut Effects<()>) {
        effects.answer(ticket, (), Seq::NONE);
    }

    fn undelivered(&mut self, (): (), _: &mut Effects<()>) {}

    fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn on_deadline(&mut self, _: Instant, _: &mut Effects<()>) {
        self.deadline = None;
        self.done.store(true, Ordering::SeqCst);
    }

    fn settle(&mut self, _: Seq) {
        self.looked.fetch_add(1, Ordering::SeqCst);
    }

    fn rewind(&mut self, _: Seq) {}

    fn close(&mut self, _: &mut Effects<()>) {}
}

#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn time_nothing_expires_while_whoever_serves_waits_for_the_disk() {
    let (sender, _failures) = mpsc::unbounded_channel();
    let (journal, _messages) = mailbox(NonZeroUsize::MIN);
    let (clock, alone) = (Arc::new(Hands::default()), Alone::nobody());
    let mut actors = Actors {
        threads: &mut Threads::new(Arc::new(RuntimeAlarm::new()), sender),
        journal,
        capacity: NonZeroUsize::MIN,
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        alone: Arc::clone(&alone),
        watched: Vec::new(),
    };
    let (looked, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let deadline = Some(Instant::default() + Duration::from_millis(50));
    let due = Due { deadline, looked: Arc::clone(&looked), done: Arc::clone(&done) };
    let outbox = actors.start("due", due).unwrap();
    let looks = || looked.load(Ordering::SeqCst);
    alone.standstill().during(&*clock, || {
        // Not so late that it would count as slept through.
        clock.0.store(100_000_000, Ordering::SeqCst);
        let before = looks();
        while looks() < before + 2 {
            outbox.handle().give_back(());
            std::thread::yield_now();
        }
        assert!(!done.load(Ordering::SeqCst), "it looked, and nobody has stood still");
    });
    clock.0.store(200_000_000, Ordering::SeqCst);
    until(|| done.load(Ordering::SeqCst)).await;
}
