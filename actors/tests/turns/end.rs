//! Overload and the end.

use crate::{
    bench::{Bench, FREE, FULL, RELEASED, Trouble, UNKNOWN, free, granted, told},
    common::{acquire, at, get, holder, token},
};
use octostore_actors::{
    actor::{Handle, NotTaken, Station},
    commit::{Desk, StoreFailure},
    domain::lock::{LockMachine, LockOutcome, LockRecord},
    reply::Lost,
    sync::{Arc, thread},
};
use std::task::Poll;

#[test]
fn bounded_a_full_mailbox_refuses_and_executes_nothing() {
    let mut bench = Bench::with([], at(0), 2);
    let mut first = bench.acquire("a", holder(1), 10);
    let mut second = bench.acquire("b", holder(1), 10);
    for _ in 0..3 {
        assert_eq!(
            bench.handle.ask(acquire("c", holder(1), 10, 99)).map(drop),
            Err(NotTaken::Overloaded)
        );
    }
    bench.settle();
    granted(&mut first);
    granted(&mut second);
    assert_eq!(bench.status("c"), None);
    assert_eq!(bench.disk.lease("c"), None);
    bench.hold("c", holder(1), 10);
}

#[test]
fn bounded_commands_asked_together_are_all_taken_or_none_is() {
    let mut bench = Bench::with([], at(0), 1);
    let together = |bench: &Bench, locks: [&str; 2]| {
        let prepared = locks.map(|lock| bench.handle.prepare(acquire(lock, holder(1), 10, 9)));
        let (asked, waiting): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        bench.handle.ask_all(asked);
        waiting
    };
    let mut taken = together(&bench, ["a", "b"]);
    let mut refused = together(&bench, ["c", "d"]);
    for waiting in &mut refused {
        assert_eq!(told(waiting), Poll::Ready(Err(Lost::Overloaded)));
    }
    bench.settle();
    taken.iter_mut().for_each(|waiting| drop(granted(waiting)));
    assert_eq!(bench.status("c"), None);

    let Bench { actor, handle, persistence, .. } = bench;
    drop((actor, persistence));
    let (asked, mut waiting) = handle.prepare(get("a"));
    handle.ask_all(vec![asked]);
    assert_eq!(told(&mut waiting), UNKNOWN, "it will not come back");
}

#[test]
fn no_ghosts_a_grant_given_back_to_a_full_mailbox_is_not_forgotten() {
    let mut bench = Bench::with([], at(0), 1);
    let waiting = bench.acquire("a", holder(1), 10);
    bench.settle();
    let mut read = bench.ask(get("b"));
    drop(waiting);
    bench.settle();
    assert_eq!(told(&mut read), FREE);
    assert_eq!(bench.disk.lease("a"), None);
    assert_eq!(bench.status("a"), None);
}

#[test]
fn one_outcome_many_commands_in_one_turn_are_each_answered() {
    let mut bench = Bench::new();
    let mut all: Vec<_> = (0..1_000)
        .map(|number| bench.acquire(&format!("lock-{}", number % 50), holder(1), 10))
        .collect();
    bench.settle();
    let answers = all.iter_mut().map(told).collect::<Vec<_>>();
    let grants =
        answers.iter().filter(|told| matches!(told, Poll::Ready(Ok(LockOutcome::Granted(_)))));
    assert_eq!(grants.count(), 50);
    assert!(answers.iter().all(|told| matches!(
        told,
        Poll::Ready(Ok(LockOutcome::Granted(_) | LockOutcome::Confirmed(_)))
    )));
}

/// Runs both actors to their end, on two threads, as the service does.
fn run_to_the_end(bench: Bench) -> (Handle<LockMachine>, Result<(), StoreFailure>) {
    let Bench { actor, handle, persistence, .. } = bench;
    let actor = Arc::into_inner(actor).unwrap().into_inner().unwrap();
    let outcome = thread::scope(|scope| {
        let committing = scope.spawn(|| Desk::new(persistence).run().map(drop));
        Station::new(actor, handle.clone()).run();
        committing.join().unwrap()
    });
    (handle, outcome)
}

#[test]
fn one_outcome_a_stop_answers_everything_that_was_queued_before_it() {
    let mut bench = Bench::new();
    let lease = bench.hold("held", holder(1), 10);
    let mut all: Vec<_> = (0..300)
        .map(|number| bench.acquire(&format!("lock-{}", number % 90), holder(1), 10))
        .collect();
    let mut last = bench.release(&lease);
    bench.handle.stop();
    let mut too_late = bench.acquire("late", holder(1), 10);
    let disk = bench.disk.clone();
    let (handle, outcome) = run_to_the_end(bench);
    outcome.unwrap();
    assert!(all.iter_mut().all(|waiting| matches!(
        told(waiting),
        Poll::Ready(Ok(LockOutcome::Granted(_) | LockOutcome::Confirmed(_)))
    )));
    assert_eq!(told(&mut last), RELEASED);
    assert_eq!(told(&mut too_late), UNKNOWN, "one outcome for this one too");
    assert_eq!(disk.lease("late"), None);
    assert_eq!(handle.ask(get("a")).map(drop), Err(NotTaken::Stopped), "nothing is taken any more");
}

#[test]
fn fencing_the_last_record_of_a_clean_stop_is_the_exact_mark() {
    let mut bench = Bench::new();
    let last = bench.hold("a", holder(1), 10);
    let mut queued = bench.acquire("b", holder(1), 10);
    bench.handle.stop();
    let disk = bench.disk.clone();
    let (_handle, outcome) = run_to_the_end(bench);
    outcome.unwrap();
    let queued = granted(&mut queued);
    assert_eq!(queued.token.get(), last.token.get() + 1);
    assert_eq!(disk.mark(), Some(queued.token));
    assert_eq!(disk.latest().last(), Some(&LockRecord::TokenMark(queued.token).into()));
}

#[test]
fn no_ghosts_a_grant_that_reached_nobody_is_released_before_the_end() {
    let mut bench = Bench::new();
    let kept = bench.hold("kept", holder(1), 10);
    let committed = bench.acquire("committed", holder(1), 10);
    bench.settle();
    let decided = bench.acquire("decided", holder(1), 10);
    bench.turn();
    let queued = bench.acquire("queued", holder(1), 10);
    bench.handle.stop();
    drop((committed, decided, queued));
    let disk = bench.disk.clone();
    run_to_the_end(bench).1.unwrap();
    for lock in ["committed", "decided", "queued"] {
        assert_eq!(disk.lease(lock), None, "nobody knows that {lock} is held");
    }
    assert_eq!(disk.lease("kept"), Some(kept));
    assert_eq!(disk.mark(), Some(token(104)));
}

#[test]
fn one_outcome_a_stop_on_a_full_disk_tells_so() {
    let mut bench = Bench::new();
    bench.disk.expect_trouble([Trouble::NoRoom]);
    let mut waiting = bench.acquire("a", holder(1), 10);
    bench.handle.stop();
    let disk = bench.disk.clone();
    run_to_the_end(bench).1.unwrap();
    assert_eq!(told(&mut waiting), FULL);
    assert_eq!(disk.lease("a"), None);
    assert_eq!(
        disk.mark(),
        Some(token(101)),
        "the token of the refused grant is spent all the same"
    );
}

#[test]
fn no_ghosts_a_grant_that_reached_nobody_is_released_before_the_end_although_there_was_no_room() {
    let mut bench = Bench::new();
    let lost = bench.acquire("lost", holder(1), 3_600);
    let kept = bench.hold("kept", holder(1), 3_600);
    drop(lost);
    bench.disk.expect_trouble([Trouble::NoRoom]);
    bench.settle();
    assert_eq!(bench.disk.latest(), [free("lost")]);
    bench.handle.stop();
    let disk = bench.disk.clone();
    run_to_the_end(bench).1.unwrap();
    assert_eq!(disk.lease("lost"), None, "the next start could not tell that nobody knows of it");
    assert_eq!(disk.lease("kept"), Some(kept));
}
