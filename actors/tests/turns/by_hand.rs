//! Turns that no actor made.

use crate::bench::Shared;
use octostore_actors::{
    commit::{JournalMessage, Persistence, Turn},
    domain::Record,
    mailbox::{Address, mailbox},
    progress::{Progress, Seq},
    reply::{Home, reply},
    sync::{Arc, Mutex, lock},
};
use std::num::NonZeroUsize;

/// Asks, whenever something comes home, how much is durable.
pub struct Witness(pub Arc<Progress>, pub Mutex<Vec<Seq>>);

impl Home<()> for Witness {
    fn give_back(&self, (): ()) {
        lock(&self.1).push(self.0.durable());
    }
}

/// A turn made by hand, and a way to see how much was durable when its answer was let go.
pub fn turn_of(progress: &Arc<Progress>, upto: Seq, records: Vec<Record>) -> (Turn, Arc<Witness>) {
    let witness = Arc::new(Witness(Arc::clone(progress), Mutex::new(Vec::new())));
    let (reply, waiting) = reply(Arc::clone(&witness) as Arc<dyn Home<()>>);
    drop(waiting);
    let turn = Turn {
        progress: Arc::clone(progress),
        epoch: progress.epoch(),
        upto,
        records,
        held: vec![reply.hold(())],
    };
    (turn, witness)
}

/// A persistence actor without any actor, and where to send turns by hand.
pub fn persistence() -> (Address<JournalMessage>, Persistence<Shared>, Shared) {
    let disk = Shared::default();
    let (journal, turns) = mailbox(NonZeroUsize::new(10).unwrap());
    (journal, Persistence::new(disk.clone(), turns), disk)
}
