//! The order of commit and acknowledgement.

use crate::{
    join,
    service::{
        Disk, First, HandClock, Parts, acquire, call, get, insist, lease, release, spoken_of,
    },
    spawn, wait_restlessly,
};
use octostore_actors::{
    actor::{NotTaken, ROOM_RETRY},
    domain::lock::{Lease, LockCommand, LockOutcome},
    reply::{Lost, Waiting},
    sync::Arc,
    time::Clock,
};

const FIRST: u8 = 1;
const SECOND: u8 = 2;

/// Waits for an answer and holds it against the disk in the instant it comes: a lease it speaks
/// of is there.
fn checked(disk: &Disk, answer: Waiting<LockOutcome>) -> LockOutcome {
    let outcome = wait_restlessly(answer).expect("nothing failed");
    if let Some(lease) = spoken_of(&outcome) {
        assert_eq!(disk.lease().as_ref(), Some(lease), "told before it was on disk");
    }
    outcome
}

/// Two clients want the lock: when the second is refused because of the first's grant, and when
/// the first is told of it, the grant is on disk.
///
/// In these two one thread plays both clients, who have both asked before either waits; it
/// waits for the refusal, or the read, first, because that is what might come too soon.
pub fn a_refusal_waits_for_the_grant_it_saw(parts: Parts) {
    let (second, lease) = grant_and(parts, &acquire(SECOND));
    assert_eq!(second, LockOutcome::Held(lease));
}

/// One client is granted the lock while another looks at it: what it is shown is on disk.
pub fn a_read_waits_for_the_grant_it_saw(parts: Parts) {
    let (second, lease) = grant_and(parts, &get());
    assert_eq!(second, LockOutcome::Status(Some(lease)));
}

fn grant_and(parts: Parts, command: &LockCommand) -> (LockOutcome, Lease) {
    let disk = Disk::new(None, First::Kept);
    let built = parts.build(&disk, 2);
    let first = built.service.ask(acquire(FIRST)).expect("it is empty");
    let running = built.start();
    let second = insist(&running.service, command).expect("it runs");
    let second = checked(&disk, second);
    let first = checked(&disk, first);
    running.stop().expect("nothing failed");
    let lease = spoken_of(&first).expect("the lock was free").clone();
    assert_eq!(first, LockOutcome::Granted(lease.clone()));
    (second, lease)
}

/// One client is granted the lock and told so by the time it is on disk; then it releases it,
/// and is told that when the lease is off the disk.
pub fn a_success_is_on_disk_when_it_is_told(parts: Parts) {
    let disk = Disk::new(None, First::Kept);
    let built = parts.build(&disk, 2);
    let first = built.service.ask(acquire(FIRST)).expect("it is empty");
    let running = built.start();
    let granted = checked(&disk, first);
    assert!(matches!(granted, LockOutcome::Granted(_)), "the lock was free");
    let released = call(&running.service, &release(FIRST)).expect("nothing failed");
    assert_eq!(released, LockOutcome::Released);
    assert_eq!(disk.lease(), None, "told before it was on disk");
    running.stop().expect("nothing failed");
}

/// One client releases the lock while another wants it: when the one is told of the release,
/// the old lease is off the disk; when the other is told that it has the lock, so is that.
pub fn a_release_makes_room_for_the_next(parts: Parts) {
    let old = lease(FIRST);
    let disk = Disk::new(Some(old.clone()), First::Kept);
    let built = parts.build(&disk, 2);
    let first = built.service.ask(release(FIRST)).expect("it is empty");
    let running = built.start();
    let releases = {
        let (disk, old) = (disk.clone(), old.clone());
        spawn(move || {
            let answer = wait_restlessly(first).expect("nothing failed");
            assert_eq!(answer, LockOutcome::Released);
            assert_ne!(disk.lease(), Some(old), "told before it was on disk");
        })
    };
    let second = insist(&running.service, &acquire(SECOND)).expect("it runs");
    let second = checked(&disk, second);
    let lease = spoken_of(&second).expect("the lock was free").clone();
    assert!(lease.token > old.token, "a token was given twice");
    assert_eq!(second, LockOutcome::Granted(lease));
    join(releases);
    running.stop().expect("nothing failed");
}

/// The first commit fails: neither the grant in it nor a refusal because of it is ever
/// acknowledged, nor is anything that is asked later; and everybody is told something.
pub fn after_a_failed_commit_nothing_succeeds(parts: Parts) {
    let disk = Disk::new(None, First::Fails);
    let built = parts.build(&disk, 1);
    let first = built.service.ask(acquire(FIRST)).expect("it is empty");
    let running = built.start();
    // The persistence actor may be gone by now, and the lock actor with it.
    let second = insist(&running.service, &acquire(SECOND));
    let answers = [second.map(wait_restlessly), Ok(wait_restlessly(first))];
    let later = insist(&running.service, &acquire(SECOND)).map(wait_restlessly);
    for answer in answers.into_iter().chain([later]) {
        assert!(
            matches!(answer, Err(NotTaken::Stopped) | Ok(Err(Lost::OutcomeUnknown))),
            "acknowledged after a failed commit: {answer:?}"
        );
    }
    assert_eq!(disk.lease(), None);
    assert!(running.stop().is_err(), "the failure was hidden");
}

/// The first commit finds no room: whoever depends on it is told that nothing was executed, and
/// nothing was; when there is room again the lock is granted, with a token that is higher yet.
pub fn a_grant_without_room_never_was(parts: Parts) {
    let disk = Disk::new(None, First::NoRoom);
    let clock = Arc::new(HandClock::default());
    let built = parts.build_with(&disk, 2, Arc::clone(&clock) as Arc<dyn Clock>);
    let first = built.service.ask(acquire(FIRST)).expect("it is empty");
    let running = built.start();
    // Refused because of the grant that will not be, or because there is no room by then.
    let second = call(&running.service, &acquire(SECOND));
    assert!(
        matches!(second, Err(Lost::StoreFull) | Ok(LockOutcome::NoRoom)),
        "a grant that never was is spoken of: {second:?}"
    );
    assert_eq!(wait_restlessly(first), Err(Lost::StoreFull));
    // The machine notices now, if it did not before.
    let second = call(&running.service, &acquire(SECOND));
    assert_eq!(second, Ok(LockOutcome::NoRoom), "a grant that never was is spoken of again");
    clock.go_on(ROOM_RETRY);
    // A turn that something else began may have read the clock before it went on. Only so many
    // things can begin one, so there is an end to asking again.
    let second = loop {
        let answer = call(&running.service, &acquire(SECOND)).expect("there is room");
        if answer != LockOutcome::NoRoom {
            break answer;
        }
    };
    let lease = spoken_of(&second).expect("the lock was free").clone();
    assert_eq!(second, LockOutcome::Granted(lease.clone()));
    assert_eq!(lease.token.get(), 2, "the first token was given twice");
    assert_eq!(disk.lease(), Some(lease));
    running.stop().expect("it only was full");
}
