//! A client that disconnects in the instant of its grant.

use crate::{
    reply::look,
    service::{Disk, First, Parts, Service, acquire, call, get, insist, spoken_of},
    wait_restlessly,
};
use octostore_actors::{
    domain::lock::{Lease, LockOutcome},
    reply::Waiting,
    sync::Arc,
};

const FIRST: u8 = 1;
const SECOND: u8 = 2;

fn granted(outcome: LockOutcome) -> Option<Lease> {
    let who = spoken_of(&outcome)?.clone();
    (outcome == LockOutcome::Granted(who.clone())).then_some(who)
}

/// When the second client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// Before the first hangs up.
    AsksBefore,
    /// When the first has hung up.
    AsksAfter,
    /// Before the first hangs up, and into mailboxes of one place: the persistence actor is
    /// started when it has, so that it need not be tried again and again whether there is room.
    AsksBeforeInOnePlace,
}

/// The first client asks for the lock, looks once for its answer and hangs up, while the grant
/// is on its way; the second wants the same lock. Either the first took its grant, or the lock
/// becomes free and the second gets it, with a higher token.
///
/// One thread plays both clients, in either order: neither the asking nor the hanging up waits
/// for anybody, so no interleaving is lost by that, and three threads are few enough to be
/// explored.
pub fn a_grant_meets_a_disconnect(parts: Parts, order: Second) {
    let disk = Disk::new(None, First::Kept);
    let room = match order {
        Second::AsksBefore | Second::AsksAfter => 2,
        Second::AsksBeforeInOnePlace => 1,
    };
    let built = parts.build(&disk, room);
    let service = Arc::clone(&built.service);
    let ask = || insist(&service, &acquire(SECOND)).expect("it runs");
    let first = service.ask(acquire(FIRST)).expect("it is empty");
    let (running, second, taken) = match order {
        Second::AsksBefore => {
            let running = built.start();
            let second = ask();
            (running, second, hang_up(first))
        }
        Second::AsksAfter => {
            let running = built.start();
            let taken = hang_up(first);
            (running, ask(), taken)
        }
        Second::AsksBeforeInOnePlace => {
            let (running, second) = built.start_after(ask);
            (running, second, hang_up(first))
        }
    };
    let second = wait_restlessly(second).expect("nothing failed");
    match taken {
        Some(answer) => {
            let lease = granted(answer).expect("it was the first");
            assert_eq!(second, LockOutcome::Held(lease.clone()));
            assert_eq!(disk.lease(), Some(lease), "a grant was taken away");
        }
        None => {
            let lease = granted(second).unwrap_or_else(|| once_freed(&service, &disk));
            assert_eq!(lease.token.get(), 2, "the first token was the first client's");
            assert_eq!(disk.lease(), Some(lease));
        }
    }
    drop(service);
    running.stop().expect("nothing failed");
}

/// Looks once for the answer, and is gone.
fn hang_up(mut waiting: Waiting<LockOutcome>) -> Option<LockOutcome> {
    look(&mut waiting).map(|answer| answer.expect("nothing failed"))
}

/// The second client gets the lock that the first gave back.
fn once_freed(service: &Service, disk: &Disk) -> Lease {
    disk.wait_until_freed();
    let answer = call(service, &acquire(SECOND)).expect("nothing failed");
    granted(answer).expect("nobody holds the lock")
}

/// The give-back of a grant where both mailboxes have one place, and all of them are full: the
/// persistence actor must not wait for room at the lock actor, which waits for room at the
/// journal. It takes three messages behind the grant to fill them: two reads, and the stop,
/// which waits for room. The last turns of the stopping actor end the lease.
pub fn a_give_back_waits_for_nobody(parts: Parts) {
    let disk = Disk::new(None, First::Kept);
    let built = parts.build(&disk, 1);
    let service = Arc::clone(&built.service);
    drop(service.ask(acquire(FIRST)).expect("it is empty"));
    // When the second is in, the grant is in the journal, and the actor waits for room behind it.
    let (running, reads) =
        built.start_after(|| [(); 2].map(|()| insist(&service, &get()).expect("it runs")));
    drop(service);
    running.stop().expect("nothing failed");
    for mut read in reads {
        let outcome = look(&mut read).expect("all are told").expect("nothing failed");
        assert!(matches!(outcome, LockOutcome::Status(_)));
    }
    assert_eq!(disk.lease(), None, "a lock that nobody holds");
}
