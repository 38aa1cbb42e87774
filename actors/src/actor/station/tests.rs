//! Who takes the turns, and when the actor's thread is woken for one.

use super::*;
use crate::{
    actor::tests::{Locks, acquire, at, lease, locks, sent},
    bell::Woken,
    commit::JournalMessage,
    domain::{
        Effects, Moment, Record, Ticket,
        lock::{LockCommand, LockMachine, LockOutcome, LockRecord, Tokens},
        values::{FencingToken, LockName},
    },
    mailbox::{Mailbox, mailbox},
    progress::Seq,
    reply::{Held, Lost},
    sync::{Mutex, lock},
};
use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
    thread,
};

fn station((actor, handle, turns): Locks) -> (Station<LockMachine>, Mailbox<JournalMessage>) {
    (Station::new(actor, handle), turns)
}

/// How many answers went on to the journal with each turn.
fn held(turns: &Mailbox<JournalMessage>) -> Vec<usize> {
    sent(turns).map(|turn| turn.held.len()).collect()
}

fn told<T>(waiting: &mut Waiting<T>) -> Poll<Result<T, Lost>> {
    Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop()))
}

/// Whether there is something for which the thread of the station would not sleep.
fn news(station: &Station<LockMachine>) -> Woken {
    station.arrivals.wait(Some(Duration::ZERO))
}

#[test]
fn with_nothing_to_do_the_thread_sleeps_until_somebody_comes() {
    assert_eq!(station(locks([])).0.turn(), ControlFlow::Continue(None));
}

#[test]
fn the_thread_sleeps_until_a_lease_ends_but_not_through_a_suspend() {
    let sleeps = |after| station(locks([lease(at(10) + after)])).0.turn();
    for millis in [1, 249, 250] {
        let span = Duration::from_millis(millis);
        assert_eq!(sleeps(span), ControlFlow::Continue(Some(span)));
    }
    let long = sleeps(Duration::from_secs(60));
    assert_eq!(long, ControlFlow::Continue(Some(LONGEST_SLEEP)));
}

#[test]
fn whoever_asks_takes_the_turn_if_nobody_is_at_the_loop() {
    let (station, turns) = station(locks([lease(at(3_600))]));
    assert!(station.turn().is_continue());
    let _unheard = station.ask(acquire(1)).unwrap();
    assert_eq!(held(&turns), [1]);
    let asked = (2..5).map(|number| station.handle().prepare(acquire(number)).0).collect();
    assert!(station.ask_all(asked, Then::WakeTheJournal), "there is something for the journal");
    assert_eq!(held(&turns), [3]);
    assert_eq!(news(&station), Woken::TimedOut, "there is nothing to wake the thread for");
    assert!(!station.attend(Then::WakeTheJournal), "nothing was decided");
}

/// Asks at once what the lock is that [`acquire`] takes first.
fn look(station: &Station<LockMachine>) -> Told<LockOutcome> {
    let Ok(name) = LockName::new("lock-1") else { panic!("it is a name") };
    station.ask_at_once(LockCommand::Get { name })
}

#[test]
fn what_depends_on_nothing_is_told_at_once_and_anything_else_when_it_is_on_disk() {
    let (station, turns) = station(locks([lease(at(3_600))]));
    assert!(station.turn().is_continue());
    assert!(matches!(look(&station), Told::Now(LockOutcome::Status(None))));
    assert!(turns.is_empty(), "there was nothing to write");
    let Told::Later(mut granted) = station.ask_at_once(acquire(1)) else { panic!("not on disk") };
    let Told::Later(mut seen) = look(&station) else { panic!("a look at what is not on disk") };
    assert!(told(&mut granted).is_pending() && told(&mut seen).is_pending());
    sent(&turns).flat_map(|turn| turn.held).for_each(Held::release);
    assert!(matches!(told(&mut granted), Poll::Ready(Ok(LockOutcome::Granted(_)))));
    assert!(matches!(told(&mut seen), Poll::Ready(Ok(LockOutcome::Status(Some(_))))));
}

#[test]
fn time_what_came_before_and_what_is_due_comes_before_what_is_asked_at_once() {
    let (station, _turns) = station(locks([]));
    let _unheard = station.handle().ask(acquire(1)).unwrap();
    assert!(matches!(look(&station), Told::Later(_)), "it sees what was in the mailbox");

    let (station, turns) = self::station(locks([lease(at(10))]));
    let Told::Later(mut seen) = look(&station) else { panic!("a lease was due to end") };
    assert!(!turns.is_empty(), "it has not");
    assert!(matches!(told(&mut seen), Poll::Ready(Ok(LockOutcome::Status(None)))));
}

#[test]
fn what_is_asked_at_once_while_somebody_is_at_the_loop_is_answered_by_him() {
    let (station, _turns) = station(locks([]));
    let seat = station.seat.take();
    let looked = thread::scope(|scope| scope.spawn(|| look(&station)).join().unwrap());
    let Told::Later(mut seen) = looked else { panic!("nobody was at the loop") };
    assert!(told(&mut seen).is_pending());
    drop(seat);
    assert!(station.turn().is_continue());
    assert!(matches!(told(&mut seen), Poll::Ready(Ok(LockOutcome::Status(None)))));
}

#[test]
fn whoever_finds_somebody_at_the_loop_leaves_it_to_the_thread() {
    let (station, turns) = station(locks([]));
    let seat = station.seat.take();
    let asked = || station.ask(acquire(1)).map(drop);
    thread::scope(|scope| scope.spawn(asked).join().unwrap()).unwrap();
    assert_eq!(held(&turns), []);
    drop(seat);
    assert!(station.turn().is_continue());
    assert_eq!(held(&turns), [1]);
}

#[test]
fn time_a_lease_that_ends_before_the_thread_looks_is_made_known_to_it() {
    let (station, _turns) = station(locks([]));
    assert_eq!(station.turn(), ControlFlow::Continue(None));
    let _unheard = station.ask(acquire(1)).unwrap();
    assert_eq!(news(&station), Woken::Rung, "it would sleep for ever");
    assert!(station.turn().is_continue());
    let _unheard = station.ask(acquire(2)).unwrap();
    assert_eq!(news(&station), Woken::TimedOut, "it looks long before that one ends");
}

#[test]
fn time_after_nothing_was_due_a_lease_is_made_known_to_a_thread_that_was_to_look_before() {
    let (station, _turns) = station(locks([lease(at(10) + Duration::from_millis(1))]));
    assert_eq!(station.turn(), ControlFlow::Continue(Some(Duration::from_millis(1))));
    let held = lease(at(10));
    let (name, account, lease) = (held.name, held.holder.account, held.id);
    let _unheard = station.ask(LockCommand::Release { name, account, lease }).unwrap();
    assert_eq!(station.turn(), ControlFlow::Continue(None), "it does not look by itself any more");
    let _unheard = station.ask(acquire(1)).unwrap();
    assert_eq!(news(&station), Woken::Rung, "it would sleep for ever");
}

/// What the clock of a bench shows, in seconds; after so many readings somebody acquires a lock, and
/// it is ten seconds later.
struct SleptBy {
    readings: AtomicU64,
    station: Mutex<Option<Handle<LockMachine>>>,
}

impl Clock for SleptBy {
    fn now(&self) -> Instant {
        if self.readings.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(handle) = lock(&self.station).take()
        {
            let _unheard = handle.ask(acquire(1));
            return at(10);
        }
        at(if lock(&self.station).is_some() { 10 } else { 20 })
    }
}

#[test]
fn time_a_lease_counts_from_after_the_wait_for_its_command_and_not_from_before() {
    let places = NonZeroUsize::new(10).unwrap();
    let (journal, turns) = mailbox(places);
    let last = FencingToken::new(1).unwrap();
    let tokens = Tokens::new(last, last.saturating_add(100), 10);
    let machine = LockMachine::new([lease(at(3_600))], tokens);
    let clock = Arc::new(SleptBy { readings: AtomicU64::new(u64::MAX), station: Mutex::default() });
    let (actor, handle) =
        Actor::new(machine, places, journal, Arc::clone(&clock) as Arc<dyn Clock>);
    *lock(&clock.station) = Some(handle.clone());
    let station = Station::new(actor, handle);
    // One reading for the turn, and one to know how long it may wait: then it comes.
    clock.readings.store(2, Ordering::Relaxed);
    assert_eq!(station.turn(), ControlFlow::Continue(Some(LONGEST_SLEEP)));
    assert!(station.turn().is_continue());
    let records: Vec<_> = sent(&turns).flat_map(|turn| turn.records).collect();
    let [Record::Lock(LockRecord::Held(granted))] = &records[..] else { panic!("{records:?}") };
    assert_eq!(granted.expires, at(20 + 60));
}

#[test]
fn bounded_whoever_asks_does_not_wait_for_the_journal_but_the_thread_does() {
    let (actor, handle, _) = locks([lease(at(3_600))]);
    let (journal, turns) = mailbox(NonZeroUsize::MIN);
    let station = Station::new(Actor { journal, ..actor }, handle);
    assert!(station.turn().is_continue());
    let ask = |number| station.ask(acquire(number)).unwrap();
    let mut unheard = vec![ask(1), ask(2)];
    // One turn is in the journal, and one waits for room there.
    assert_eq!((turns.len(), station.handle().queued()), (1, 0));
    assert_eq!(news(&station), Woken::Rung, "it would sleep, and that turn stay");
    // What comes then is not looked at.
    unheard.extend([ask(3), ask(4)]);
    assert_eq!(station.handle().queued(), 2);
    let sent = thread::scope(|scope| {
        let on_thread =
            scope.spawn(|| station.turn().is_continue() && station.turn().is_continue());
        let mut sent = 0;
        while sent < 4 {
            sent += held(&turns).into_iter().sum::<usize>();
            thread::yield_now();
        }
        assert!(on_thread.join().unwrap());
        sent
    });
    assert_eq!((sent, turns.len()), (4, 0), "each once");
}

#[test]
fn one_outcome_whoever_takes_the_turn_in_which_the_journal_is_gone_ends_the_actor() {
    let (station, turns) = station(locks([]));
    drop(turns);
    let mut waiting = station.ask(acquire(1)).unwrap();
    assert_eq!(told(&mut waiting), Poll::Ready(Err(Lost::OutcomeUnknown)));
    station.run();
    assert_eq!(station.ask(acquire(2)).map(drop), Err(NotTaken::Stopped));
    let Told::Later(mut waiting) = look(&station) else { panic!("nobody is there") };
    assert_eq!(told(&mut waiting), Poll::Ready(Err(Lost::OutcomeUnknown)));
}

/// Cannot do what it is asked.
struct Broken;

impl Machine for Broken {
    type Command = ();
    type Outcome = ();

    fn apply(&mut self, _: Moment, _: Ticket, (): (), _: &mut Effects<()>) {
        panic!("two holders");
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

#[test]
fn one_outcome_after_a_panic_on_the_actors_thread_nobody_goes_on() {
    let places = NonZeroUsize::new(8).unwrap();
    let (journal, _turns) = mailbox(places);
    let clock = Arc::new(SleptBy { readings: AtomicU64::new(0), station: Mutex::default() });
    let (actor, handle) = Actor::new(Broken, places, journal, clock);
    let station = Station::new(actor, handle);
    let mut first = station.handle().ask(()).unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| station.run())).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"two holders"));
    assert_eq!(told(&mut first), Poll::Ready(Err(Lost::OutcomeUnknown)));
    assert_eq!(station.ask(()).map(drop), Err(NotTaken::Stopped), "of a machine half changed");
}

#[test]
fn a_panic_of_the_machine_is_that_of_the_thread_of_the_actor_and_not_of_whoever_asks() {
    let places = NonZeroUsize::new(8).unwrap();
    let (journal, _turns) = mailbox(places);
    let clock = Arc::new(SleptBy { readings: AtomicU64::new(0), station: Mutex::default() });
    let (actor, handle) = Actor::new(Broken, places, journal, clock);
    let station = Station::new(actor, handle);
    let thread = |station: &Station<Broken>| catch_unwind(AssertUnwindSafe(|| station.run()));
    thread::scope(|scope| {
        let running = scope.spawn(|| thread(&station));
        while station.handle().queued() > 0 || station.seat.try_take().is_none() {
            thread::yield_now();
        }
        let Told::Later(mut waiting) = station.ask_at_once(()) else { panic!("two holders") };
        let panic = running.join().unwrap().unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"two holders"));
        assert_eq!(told(&mut waiting), Poll::Ready(Err(Lost::OutcomeUnknown)));
    });
    assert_eq!(station.ask(()).map(drop), Err(NotTaken::Stopped));
    assert!(thread(&station).is_ok(), "there is nothing left to run");
}
