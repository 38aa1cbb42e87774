//! The order of commit and acknowledgement.

use crate::{
    join,
    service::{
        Disk, First, HandClock, Parts, Service, acquire, call, get, insist, lease, release,
        spoken_of,
    },
    spawn,
};
use octostore_actors::{
    actor::ROOM_RETRY,
    domain::lock::{LockCommand, LockOutcome},
    reply::Lost,
    sync::{Arc, block_on},
    time::Clock,
};

const FIRST: u8 = 1;
const SECOND: u8 = 2;

/// Asks, and holds the answer against the disk in the instant it comes: a lease it speaks of is
/// there.
fn call_and_check(
    service: &Service,
    disk: &Disk,
    command: &LockCommand,
) -> Result<LockOutcome, Lost> {
    let answer = call(service, command);
    if let Some(lease) = answer.as_ref().ok().and_then(spoken_of) {
        assert_eq!(
            disk.lease().as_ref(),
            Some(lease),
            "told before it was on disk"
        );
    }
    answer
}

/// Two clients want the lock: when the one is told of its grant, and when the other is refused
/// because of it, the grant is on disk.
pub fn a_refusal_waits_for_the_grant_it_saw(parts: Parts) {
    grant_and(parts, acquire(SECOND), |one, other| {
        assert!(
            matches!(
                (one, other),
                (LockOutcome::Granted(_), LockOutcome::Held(_))
                    | (LockOutcome::Held(_), LockOutcome::Granted(_))
            ),
            "two holders, or none"
        );
    });
}

/// One client is granted the lock while another looks at it: what it is shown is on disk.
pub fn a_read_waits_for_the_grant_it_saw(parts: Parts) {
    grant_and(parts, get(), |one, _| {
        assert!(matches!(one, LockOutcome::Granted(_)), "the lock was free");
    });
}

fn grant_and(parts: Parts, other: LockCommand, check: fn(&LockOutcome, &LockOutcome)) {
    let disk = Disk::new(None, First::Kept);
    let running = parts.start(&disk, 2);
    let one = {
        let (service, disk) = (Arc::clone(&running.service), disk.clone());
        spawn(move || call_and_check(&service, &disk, &acquire(FIRST)))
    };
    let other = call_and_check(&running.service, &disk, &other).expect("nothing failed");
    let one = join(one).expect("nothing failed");
    check(&one, &other);
    running.stop().expect("nothing failed");
}

/// One client releases the lock while another wants it: when the one is told of the release,
/// the old lease is off the disk; when the other is told that it has the lock, so is that.
pub fn a_release_is_on_disk_when_it_is_told(parts: Parts) {
    let old = lease(FIRST);
    let disk = Disk::new(Some(old.clone()), First::Kept);
    let running = parts.start(&disk, 2);
    let releases = {
        let (service, disk, old) = (Arc::clone(&running.service), disk.clone(), old.clone());
        spawn(move || {
            let answer = call(&service, &release(FIRST)).expect("nothing failed");
            assert_eq!(answer, LockOutcome::Released);
            assert_ne!(disk.lease(), Some(old), "told before it was on disk");
        })
    };
    // A refusal because of the old lease waits for nothing, and may be overtaken on the disk.
    let answer = call(&running.service, &acquire(SECOND)).expect("nothing failed");
    if answer != LockOutcome::Held(old.clone()) {
        let lease = spoken_of(&answer).expect("the lock was free").clone();
        assert_eq!(answer, LockOutcome::Granted(lease.clone()));
        assert!(lease.token > old.token, "a token was given twice");
        assert_eq!(disk.lease(), Some(lease), "told before it was on disk");
    }
    join(releases);
    running.stop().expect("nothing failed");
}

/// The first commit fails: neither the grant in it nor a refusal because of it is ever
/// acknowledged, nor is anything that is asked later; and everybody is told something.
pub fn after_a_failed_commit_nothing_succeeds(parts: Parts) {
    let disk = Disk::new(None, First::Fails);
    let running = parts.start(&disk, 1);
    // The persistence actor may be gone by now, and the lock actor with it.
    let attempt = |service: &Service, command: &LockCommand| {
        let answer = insist(service, command).map(block_on);
        assert!(
            !matches!(answer, Ok(Ok(_)) | Ok(Err(Lost::StoreFull))),
            "acknowledged after a failed commit: {answer:?}"
        );
    };
    let one = {
        let service = Arc::clone(&running.service);
        spawn(move || attempt(&service, &acquire(FIRST)))
    };
    attempt(&running.service, &acquire(SECOND));
    attempt(&running.service, &acquire(SECOND));
    join(one);
    assert_eq!(disk.lease(), None);
    assert!(running.stop().is_err(), "the failure was hidden");
}

/// The first commit finds no room: whoever depends on it is told that nothing was executed, and
/// nothing was; when there is room again the lock is granted, with a token that is higher yet.
pub fn a_grant_without_room_never_was(parts: Parts) {
    let disk = Disk::new(None, First::NoRoom);
    let clock = Arc::new(HandClock::default());
    let running = parts.start_with(&disk, 2, Arc::clone(&clock) as Arc<dyn Clock>);
    let one = {
        let service = Arc::clone(&running.service);
        spawn(move || call(&service, &acquire(FIRST)))
    };
    let answers = [call(&running.service, &acquire(SECOND)), join(one)];
    assert!(
        answers.contains(&Err(Lost::StoreFull)),
        "somebody came first"
    );
    for answer in answers {
        assert!(
            matches!(answer, Err(Lost::StoreFull) | Ok(LockOutcome::NoRoom)),
            "acknowledged what was not kept: {answer:?}"
        );
    }
    // The machine knows of it now, if it did not before.
    assert_eq!(
        call(&running.service, &acquire(SECOND)),
        Ok(LockOutcome::NoRoom),
        "the grant that never was is in the way"
    );
    clock.go_on(ROOM_RETRY);
    let answer = call(&running.service, &acquire(SECOND)).expect("there is room");
    let lease = spoken_of(&answer).expect("the lock was free").clone();
    assert_eq!(answer, LockOutcome::Granted(lease.clone()));
    assert!(
        lease.token.get() > 1,
        "the token of the grant that never was"
    );
    assert_eq!(disk.lease(), Some(lease));
    running.stop().expect("it only was full");
}
