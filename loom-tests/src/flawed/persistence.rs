//! Persistence actors with a flaw. Each commits turn by turn, which is slow but no flaw.

use crate::{
    mailbox::Receiving,
    service::{Attend, Persist, Writer},
};
use octostore_actors::{
    commit::{JournalMessage, Store, StoreFailure, Turn, Verdict},
    mailbox::{Arrivals, Mailbox},
    reply::Held,
    sync::{Arc, Baton},
};

/// Lets the answers go and then commits what they depend on.
pub fn releases_before_it_commits(
    mut store: Writer,
    journal: Mailbox<JournalMessage>,
) -> (Attend, Persist) {
    on_its_thread(move || {
        while let Some(JournalMessage::Turn(turn)) = journal.receive() {
            turn.held.into_iter().for_each(Held::release);
            if !turn.records.is_empty()
                && let Verdict::Unknown(failure) = store.commit(&turn.records)
            {
                return Err(failure);
            }
        }
        Ok(())
    })
}

/// Says that all went well, and only then that it did not.
pub fn acknowledges_a_failed_commit(
    mut store: Writer,
    journal: Mailbox<JournalMessage>,
) -> (Attend, Persist) {
    on_its_thread(move || {
        while let Some(JournalMessage::Turn(turn)) = journal.receive() {
            let verdict = commit(&mut store, &turn);
            turn.held.into_iter().for_each(Held::release);
            if let Verdict::Unknown(failure) = verdict {
                return Err(failure);
            }
        }
        Ok(())
    })
}

/// Tells those in the failed commit that nobody knows, and goes on as if it had been the last
/// one to fail: what saw the lost grant is acknowledged.
pub fn goes_on_after_a_failed_commit(
    mut store: Writer,
    journal: Mailbox<JournalMessage>,
) -> (Attend, Persist) {
    on_its_thread(move || {
        let mut ended = Ok(());
        while let Some(JournalMessage::Turn(turn)) = journal.receive() {
            match commit(&mut store, &turn) {
                Verdict::Committed => turn.held.into_iter().for_each(Held::release),
                Verdict::NoRoom => turn.held.into_iter().for_each(Held::refuse),
                Verdict::Unknown(failure) => ended = Err(failure),
            }
        }
        ended
    })
}

/// Refuses what found no room, and tells the machine nothing of it: the grant that never was
/// stays in memory.
pub fn refuses_without_rewinding(
    store: Writer,
    journal: Mailbox<JournalMessage>,
) -> (Attend, Persist) {
    // It has no epoch to count on, as none of these has. In this model that is the flaw.
    goes_on_after_a_failed_commit(store, journal)
}

fn commit(store: &mut Writer, turn: &Turn) -> Verdict {
    if turn.records.is_empty() { Verdict::Committed } else { store.commit(&turn.records) }
}

/// Nobody else commits for it.
fn on_its_thread(
    run: impl FnOnce() -> Result<(), StoreFailure> + Send + 'static,
) -> (Attend, Persist) {
    (Arc::new(|| ()), Box::new(run))
}

/// Whoever brings something and finds somebody at the desk leaves it there, and rings for nobody.
pub fn leaves_it_on_the_desk(store: Writer, journal: Mailbox<JournalMessage>) -> (Attend, Persist) {
    let desk = Arc::new(Desk { arrivals: journal.arrivals(), seat: Baton::new((store, journal)) });
    let thread = Arc::clone(&desk);
    let attend = move || {
        if let Some(mut seat) = desk.seat.try_take() {
            work_off(&mut seat);
        }
    };
    (Arc::new(attend), Box::new(move || thread.run()))
}

struct Desk {
    arrivals: Arrivals<JournalMessage>,
    seat: Baton<(Writer, Mailbox<JournalMessage>)>,
}

impl Desk {
    fn run(&self) -> Result<(), StoreFailure> {
        loop {
            {
                let mut seat = self.seat.take();
                work_off(&mut seat);
                if seat.1.is_over() {
                    return Ok(());
                }
            }
            self.arrivals.wait(None);
        }
    }
}

fn work_off((store, journal): &mut (Writer, Mailbox<JournalMessage>)) {
    while let Some(JournalMessage::Turn(turn)) = journal.try_receive() {
        let Verdict::Committed = commit(store, &turn) else {
            unreachable!("it has room, and does not fail");
        };
        turn.held.into_iter().for_each(Held::release);
    }
}
