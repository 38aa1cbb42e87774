//! A client that disconnects in the instant of its grant.

use crate::{
    join,
    reply::look,
    service::{Disk, First, Parts, acquire, call, get, insist, spoken_of},
    spawn,
};
use octostore_actors::{
    domain::lock::{Lease, LockOutcome},
    sync::block_on,
};

const FIRST: u8 = 1;
const SECOND: u8 = 2;

fn granted(outcome: LockOutcome) -> Option<Lease> {
    let who = spoken_of(&outcome)?.clone();
    (outcome == LockOutcome::Granted(who.clone())).then_some(who)
}

/// The first client asks for the lock, looks once for its answer and hangs up, while the grant
/// is on its way; the second wants the same lock. Either the first took its grant, or the lock
/// becomes free and the second gets it, with a higher token.
///
/// `room` is that of both mailboxes.
pub fn a_grant_meets_a_disconnect(parts: Parts, room: usize) {
    let disk = Disk::new(None, First::Kept);
    let running = parts.start(&disk, room);
    let mut waiting = insist(&running.service, &acquire(FIRST)).expect("it runs");
    let first = spawn(move || look(&mut waiting));
    let second = call(&running.service, &acquire(SECOND)).expect("nothing failed");
    let first = join(first).map(|answer| answer.expect("nothing failed"));

    let seen = spoken_of(&second).cloned().expect("it asked second");
    match first.and_then(granted) {
        Some(taken) => {
            assert_eq!(second, LockOutcome::Held(taken.clone()));
            assert_eq!(disk.lease(), Some(taken), "a grant was taken away");
        }
        None => {
            let lease = match granted(second) {
                Some(lease) => lease,
                None => {
                    disk.wait_until_freed();
                    let again = call(&running.service, &acquire(SECOND)).expect("nothing failed");
                    granted(again).expect("nobody holds the lock")
                }
            };
            assert!(lease.token > seen.token || lease == seen);
            assert!(
                lease.token.get() == 2,
                "the first token was given to the first client"
            );
            assert_eq!(disk.lease(), Some(lease));
        }
    }
    running.stop().expect("nothing failed");
}

/// The give-back of a grant to mailboxes of one place each, all of them full: the persistence
/// actor must not wait for room at the lock actor, which waits for room at the journal. That
/// takes three more commands behind the first client's, all of one other client here.
pub fn a_give_back_waits_for_nobody(parts: Parts) {
    let disk = Disk::new(None, First::Kept);
    let running = parts.start(&disk, 1);
    drop(insist(&running.service, &acquire(FIRST)).expect("it runs"));
    let answers = [acquire(SECOND), get(), get()]
        .map(|command| insist(&running.service, &command).expect("it runs"));
    let [second, ..] = answers.map(|answer| block_on(answer).expect("nothing failed"));
    if granted(second).is_none() {
        disk.wait_until_freed();
        let again = call(&running.service, &acquire(SECOND)).expect("nothing failed");
        assert_eq!(
            granted(again).expect("nobody holds the lock").token.get(),
            2
        );
    }
    running.stop().expect("nothing failed");
}
