//! Who commits, and what the thread of the persistence actor has to do with it.

use super::*;
use crate::{
    commit::{AuditLog, CROWD, RECORDS_AT_ONCE, Turn, Unreadable, Verdict},
    domain::{
        Record,
        audit::{AuditPage, AuditQuery},
    },
    mailbox::{Address, mailbox},
    progress::{Epoch, Progress, Seq},
    reply::{Lost, Waiting, reply},
    snapshot::Snapshot,
    sync::{Arc, Mutex, lock},
};
use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
    thread,
};

/// What a store was asked, in order.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    Committed,
    Tended(Pressure),
}

/// How the commits of a store end.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    Well,
    WithAFailure,
    InAPanic,
}

/// With so many commits after it was tended, it should be again.
const PRESSED_AFTER: usize = 32;

struct Told {
    ends: Ends,
    patience: Option<Duration>,
    done: Arc<Mutex<Vec<Done>>>,
}

impl Store for Told {
    fn commit(&mut self, _: &[Record]) -> Verdict {
        match self.ends {
            Ends::Well => {
                lock(&self.done).push(Done::Committed);
                Verdict::Committed
            }
            Ends::WithAFailure => Verdict::Unknown(StoreFailure("the disk is gone".into())),
            Ends::InAPanic => panic!("what cannot be"),
        }
    }

    fn patience(&self) -> Option<Duration> {
        self.patience
    }

    fn is_pressed(&self) -> bool {
        let done = lock(&self.done);
        done.iter().rev().take_while(|done| **done == Done::Committed).count() >= PRESSED_AFTER
    }

    fn audit(&mut self, _: &AuditQuery) -> Result<Result<AuditPage, Unreadable>, StoreFailure> {
        Ok(Ok(AuditPage::default()))
    }

    fn snapshot(&mut self) -> Result<Option<Snapshot>, StoreFailure> {
        Ok(None)
    }

    fn tend(&mut self, pressure: Pressure) -> Result<(), StoreFailure> {
        lock(&self.done).push(Done::Tended(pressure));
        Ok(())
    }
}

struct Bench {
    desk: Desk<Told>,
    journal: Address<JournalMessage>,
    done: Arc<Mutex<Vec<Done>>>,
}

fn bench(ends: Ends, patience: Option<Duration>) -> Bench {
    let (journal, messages) = mailbox(NonZeroUsize::new(8).expect("it is not zero"));
    let done = Arc::default();
    let store = Told { ends, patience, done: Arc::clone(&done) };
    Bench { desk: Desk::new(Persistence::new(store, messages)), journal, done }
}

/// Leaves a change for the journal, and rings for nobody.
fn leave(journal: &Address<JournalMessage>) -> Waiting<()> {
    leave_so_many(journal, 1)
}

fn leave_so_many(journal: &Address<JournalMessage>, records: usize) -> Waiting<()> {
    let (reply, waiting) = reply(Arc::new(crate::reply::Nowhere));
    let record =
        crate::domain::lock::LockRecord::TokenMark(crate::domain::values::FencingToken::ZERO);
    let turn = Turn {
        progress: Arc::new(Progress::default()),
        epoch: Epoch::default(),
        upto: Seq::NONE,
        records: vec![record.into(); records],
        held: vec![reply.hold(())],
    };
    journal.try_leave(turn.into()).expect("there is room");
    waiting
}

/// Whether the thread would look, and not sleep. Forgets that it was called.
fn is_called(desk: &Desk<Told>) -> bool {
    desk.arrivals.wait(Some(Duration::ZERO)) == Woken::Rung
}

fn told<T>(waiting: &mut Waiting<T>) -> Poll<Result<T, Lost>> {
    Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn whoever_attends_a_free_desk_commits_and_leaves_the_rest_to_the_thread() {
    let Bench { desk, journal, done } = bench(Ends::Well, None);
    assert_eq!(desk.turn(), ControlFlow::Continue(None));
    let mut waiting = [leave(&journal), leave(&journal)];
    desk.attend();
    assert!(waiting.iter_mut().all(|waiting| told(waiting) == Poll::Ready(Ok(()))));
    assert_eq!(*lock(&done), [Done::Committed], "both in one commit, and nothing tended");
}

#[test]
fn the_journal_waits_for_more_only_where_the_last_commit_was_for_a_crowd() {
    let Bench { desk, journal, .. } = bench(Ends::Well, None);
    let expects_a_crowd = |last: usize| {
        let _waiting: Vec<_> = (0..last).map(|_| leave(&journal)).collect();
        desk.attend();
        let seat = desk.seat.take();
        seat.work.get().expect("it has not ended").expects_a_crowd
    };
    for (last, expected) in [(1, false), (CROWD, true), (CROWD - 1, false), (2 * CROWD, true)] {
        assert_eq!(expects_a_crowd(last), expected, "{last}");
    }
}

#[test]
fn a_desk_that_is_taken_is_left_alone_and_the_thread_is_called() {
    let Bench { desk, journal, done } = bench(Ends::Well, None);
    let mut waiting = leave(&journal);
    let seat = desk.seat.take();
    desk.attend();
    drop(seat);
    assert_eq!(told(&mut waiting), Poll::Pending);
    assert!(is_called(&desk));
    assert_eq!(desk.turn(), ControlFlow::Continue(None));
    assert_eq!(told(&mut waiting), Poll::Ready(Ok(())));
    assert_eq!(*lock(&done), [Done::Committed, Done::Tended(Pressure::Busy)]);
}

#[test]
fn the_thread_is_called_if_it_does_not_look_by_itself_and_has_reason_to() {
    let span = Duration::from_millis(1);
    let Bench { desk, journal, done } = bench(Ends::Well, None);
    assert_eq!(desk.turn(), ControlFlow::Continue(None));
    let commit_with = |patience| {
        if let Work::GoesOn(persistence) = &mut desk.seat.take().work {
            persistence.store.patience = patience;
        }
        let mut waiting = leave(&journal);
        desk.attend();
        assert_eq!(told(&mut waiting), Poll::Ready(Ok(())));
        is_called(&desk)
    };
    assert!(!commit_with(None), "it sleeps, and may");
    assert!(commit_with(Some(span)), "it sleeps for ever, and there is something to do in a while");
    assert_eq!(desk.turn(), ControlFlow::Continue(Some(span)));
    assert!(!commit_with(Some(span)), "it looks by itself");
    lock(&done).clear();
    for _ in 0..2 {
        desk.seat.take().tend();
    }
    let pressures = [Pressure::Busy, Pressure::Idle].map(Done::Tended);
    assert_eq!(*lock(&done), pressures, "idle is when nobody has committed in between");
}

#[test]
fn one_outcome_what_else_lies_in_the_mailbox_is_for_the_thread_and_it_is_called() {
    let Bench { desk, journal, done: _ } = bench(Ends::Well, None);
    assert_eq!(desk.turn(), ControlFlow::Continue(None));
    let mut page = AuditLog::new(journal.clone()).read(AuditQuery::default());
    desk.attend();
    assert_eq!(told(&mut page), Poll::Pending, "a read may take its time");
    assert!(is_called(&desk));
    assert_eq!(desk.turn(), ControlFlow::Continue(None));
    assert_eq!(told(&mut page), Poll::Ready(Ok(Ok(AuditPage::default()))));
    journal.try_leave(JournalMessage::Stop).unwrap();
    desk.attend();
    assert!(is_called(&desk));
    assert_eq!(desk.turn(), ControlFlow::Break(()));
}

#[test]
fn durability_a_commit_that_fails_under_somebody_elses_hands_ends_the_thread_and_tells_all() {
    let Bench { desk, journal, done: _ } = bench(Ends::WithAFailure, None);
    thread::scope(|scope| {
        let thread = scope.spawn(|| desk.run().map(drop));
        let mut waiting = leave(&journal);
        desk.attend();
        assert!(thread.join().unwrap().is_err());
        assert_eq!(told(&mut waiting), Poll::Ready(Err(Lost::OutcomeUnknown)));
        assert!(journal.try_leave(JournalMessage::Stop).is_err(), "nothing is taken any more");
        desk.attend();
    });
}

#[test]
fn durability_nothing_is_done_with_a_store_that_panicked_on_whichever_thread() {
    for attends in [false, true] {
        let Bench { desk, journal, done: _ } = bench(Ends::InAPanic, None);
        let mut waiting = leave(&journal);
        if attends {
            desk.attend();
        }
        let panic = catch_unwind(AssertUnwindSafe(|| desk.run().map(drop))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"what cannot be"));
        assert_eq!(told(&mut waiting), Poll::Ready(Err(Lost::OutcomeUnknown)));
        assert!(journal.try_leave(JournalMessage::Stop).is_err(), "nothing is taken any more");
        desk.attend();
    }
}

#[test]
fn one_outcome_what_does_not_go_into_one_commit_is_for_the_thread() {
    let Bench { desk, journal, done } = bench(Ends::Well, None);
    assert_eq!(desk.turn(), ControlFlow::Continue(None));
    let mut large = leave_so_many(&journal, RECORDS_AT_ONCE);
    let mut second = leave(&journal);
    desk.attend();
    assert_eq!(told(&mut large), Poll::Ready(Ok(())));
    assert_eq!(told(&mut second), Poll::Pending);
    assert!(is_called(&desk));
    assert_eq!(desk.turn(), ControlFlow::Continue(None));
    assert_eq!(told(&mut second), Poll::Ready(Ok(())));
    assert_eq!(lock(&done).iter().filter(|it| **it == Done::Committed).count(), 2);
}

#[test]
fn bounded_the_store_is_tended_although_the_thread_has_nothing_to_commit() {
    let Bench { desk, journal, done } = bench(Ends::Well, Some(Duration::from_secs(3_600)));
    let patience = desk.turn();
    for count in 1..=PRESSED_AFTER {
        assert!(!is_called(&desk), "{count}");
        drop(leave(&journal));
        desk.attend();
    }
    assert!(is_called(&desk));
    assert_eq!(desk.turn(), patience);
    assert_eq!(lock(&done).last(), Some(&Done::Tended(Pressure::Busy)));
}

#[test]
fn the_thread_sleeps_beside_those_who_attend_and_ends_when_it_is_told() {
    let Bench { desk, journal, done } = bench(Ends::Well, Some(Duration::from_secs(3_600)));
    thread::scope(|scope| {
        let thread = scope.spawn(|| desk.run().map(drop));
        for _ in 0..100 {
            let waiting = leave(&journal);
            desk.attend();
            assert_eq!(crate::sync::block_on(waiting), Ok(()));
        }
        journal.try_leave(JournalMessage::Stop).unwrap();
        desk.attend();
        assert!(thread.join().unwrap().is_ok());
    });
    assert!(lock(&done).iter().filter(|done| **done == Done::Committed).count() == 100);
}
