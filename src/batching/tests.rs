use super::{courtesy::UNTIL_FORGOTTEN, *};
use crate::clock::SystemClock;
use octostore_actors::{
    actor::Actor,
    commit::{Persistence, Pressure, Store, StoreFailure, Unreadable, Verdict},
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

    fn audit(&mut self, _: &AuditQuery) -> Result<Result<AuditPage, Unreadable>, StoreFailure> {
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
    let (actor, handle) = Actor::new(Doubtful { changes }, places, journal, Arc::new(SystemClock));
    let station = Arc::new(Station::new(actor, handle));
    let mut persistence = Persistence::new(Full, turns);
    let alarm = RuntimeAlarm::new();
    let outbox = Outbox::new("doubtful", Arc::clone(&station), &alarm, Alone::nobody());
    assert!(Arc::ptr_eq(&outbox.lookers, &alarm.lookers), "the alarm would not hear of looks");
    assert!(Arc::ptr_eq(&outbox.waiters, alarm.waiters()), "no request would hear of them");
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
    const ANSWERED: usize = 10 * ANSWERS_AT_ONCE;
    let (alarm, woken) = (RuntimeAlarm::new(), Arc::new(Woken::default()));
    let mut before = 0;
    let mut in_a_turn = async || {
        yield_now().await;
        woken.count() - std::mem::replace(&mut before, woken.count())
    };
    alarm.wake(woken.sleepers(ANSWERED));
    assert_eq!(in_a_turn().await, ANSWERED, "nobody looks");
    alarm.lookers.have_looked();
    alarm.wake(woken.sleepers(ANSWERED));
    for _ in 0..ANSWERED / ANSWERS_AT_ONCE {
        assert_eq!(in_a_turn().await, ANSWERS_AT_ONCE, "all else has its turn in between");
    }
    assert_eq!(in_a_turn().await, 0);
    for _ in 0..UNTIL_FORGOTTEN {
        alarm.lookers.are_about();
    }
    alarm.wake(woken.sleepers(ANSWERED));
    assert_eq!(in_a_turn().await, ANSWERED, "nobody looks any more");
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
    alarm.wake(woken.sleepers(3 * ANSWERS_AT_ONCE));
    yield_now().await;
    assert_eq!(woken.count(), ANSWERS_AT_ONCE);
    drop(alarm);
    assert_eq!(woken.count(), 3 * ANSWERS_AT_ONCE);
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

#[tokio::test]
async fn whoever_has_asked_waits_until_there_is_an_answer_or_nobody_wants_it_any_more() {
    let ask = async |outbox: &Outbox<Doubtful>| {
        let waiting = || outbox.waiters.counted().0;
        let (one, other) = (outbox.ask(()), outbox.ask(()));
        assert_eq!(waiting(), 2);
        drop(other);
        assert_eq!(waiting(), 1);
        let told = one.await;
        assert_eq!(waiting(), 0);
        told
    };
    assert_eq!(told(0, ask).await, Ok(0));
    assert_eq!(told(1, ask).await, Err(Lost::StoreFull));
}
