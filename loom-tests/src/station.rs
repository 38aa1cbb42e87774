//! An event loop that is handed from thread to thread.

use crate::{
    join,
    service::{Disk, First, Parts, acquire, get, insist, lease, spoken_of},
    spawn, wait_restlessly,
};
use octostore_actors::{domain::lock::LockOutcome, sync::Arc};

const FIRST: u8 = 1;
const SECOND: u8 = 2;

/// Two clients ask on threads of their own, and there is the actor's: whoever is at the loop, both
/// are answered.
pub fn whoever_is_at_the_loop_both_are_answered(parts: Parts) {
    let disk = Disk::new(Some(lease(FIRST)), First::Kept);
    let running = parts.build(&disk, 2).start();
    let other = {
        let service = Arc::clone(&running.service);
        spawn(move || wait_restlessly(insist(&service, &get()).expect("it runs")))
    };
    let answer = wait_restlessly(insist(&running.service, &get()).expect("it runs"));
    for answer in [answer, join(other)] {
        assert_eq!(answer, Ok(LockOutcome::Status(Some(lease(FIRST)))));
    }
    running.stop().expect("nothing failed");
}

/// Two clients want the same lock, on threads of their own: one gets it, and both are answered, which
/// takes the journal for both.
pub fn of_two_who_want_it_both_are_answered(parts: Parts) {
    let disk = Disk::new(None, First::Kept);
    let running = parts.build(&disk, 2).start();
    let other = {
        let service = Arc::clone(&running.service);
        spawn(move || wait_restlessly(insist(&service, &acquire(SECOND)).expect("it runs")))
    };
    let answer = wait_restlessly(insist(&running.service, &acquire(FIRST)).expect("it runs"));
    let answers = [answer, join(other)].map(|answer| answer.expect("nothing failed"));
    let granted = answers.iter().filter(|it| matches!(it, LockOutcome::Granted(_))).count();
    assert_eq!(granted, 1, "{answers:?}");
    running.stop().expect("nothing failed");
}

/// A client takes a turn for whose effects the journal has no place, and which nobody else knows of:
/// the actor's thread sends them on when there is one, also if it was just about to sleep.
pub fn what_found_no_place_is_sent_on(parts: Parts) {
    let disk = Disk::new(None, First::Kept);
    let built = parts.build(&disk, 1);
    let service = Arc::clone(&built.service);
    let ask = |command| insist(&service, &command).expect("it runs");
    let (running, [grant, read]) = built.start_after(|| [acquire(FIRST), get()].map(ask));
    let grant = wait_restlessly(grant).expect("nothing failed");
    let lease = spoken_of(&grant).expect("the lock was free").clone();
    let read = wait_restlessly(read).expect("nothing failed");
    assert_eq!(read, LockOutcome::Status(Some(lease)));
    drop(service);
    running.stop().expect("nothing failed");
}
