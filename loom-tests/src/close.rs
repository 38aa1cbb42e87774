//! Sending to what is about to close.

use crate::{
    join,
    mailbox::{Receiving, Sending},
    service::{Disk, First, Parts, acquire, spoken_of},
    spawn, wait_restlessly,
};
use octostore_actors::{
    domain::lock::LockOutcome,
    reply::{Home, Lost, Reply, reply},
    sync::Arc,
};

struct Nowhere;

impl Home<u32> for Nowhere {
    fn give_back(&self, _: u32) {
        unreachable!("nobody gives up");
    }
}

/// A reply is sent to a mailbox that its owner drops at that moment: if the send said that it
/// was taken, whoever waits is told that no answer comes.
pub fn what_a_closing_mailbox_took_is_answered(
    (address, mailbox): (impl Sending<Reply<u32>>, impl Receiving<Reply<u32>>),
) {
    let closes = spawn(move || drop(mailbox));
    let (reply, waiting) = reply(Arc::new(Nowhere) as Arc<dyn Home<u32>>);
    if address.try_send(reply).is_ok() {
        assert_eq!(wait_restlessly(waiting), Err(Lost::OutcomeUnknown));
    }
    join(closes);
}

/// A client asks a service that is being stopped: if its command was taken it is answered, and
/// a grant it is told of is on disk when the service has ended.
pub fn what_a_stopping_service_took_is_answered(parts: Parts) {
    let disk = Disk::new(None, First::Kept);
    let running = parts.build(&disk, 1).start();
    let asks = {
        let service = Arc::clone(&running.service);
        spawn(move || service.ask(acquire(1)).map(wait_restlessly))
    };
    running.service.stop();
    let answer = join(asks);
    running.ended().expect("nothing failed");
    match answer {
        Ok(Ok(outcome)) => {
            let lease = spoken_of(&outcome).expect("the lock was free").clone();
            assert_eq!(outcome, LockOutcome::Granted(lease.clone()));
            assert_eq!(disk.lease(), Some(lease), "the stop lost what was told");
        }
        Ok(Err(lost)) => {
            assert_eq!(lost, Lost::OutcomeUnknown);
            assert_eq!(disk.lease(), None, "a lock that nobody knows of");
        }
        Err(_not_taken) => assert_eq!(disk.lease(), None, "executed, though not taken"),
    }
}
