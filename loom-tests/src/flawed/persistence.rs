//! Persistence actors with a flaw. Each commits turn by turn, which is slow but no flaw.

use crate::service::Writer;
use octostore_actors::{
    commit::{JournalMessage, Store, StoreFailure, Turn, Verdict},
    mailbox::{Mailbox, Received},
    reply::Held,
};

/// Lets the answers go and then commits what they depend on.
///
/// # Errors
/// The store failed.
pub fn releases_before_it_commits(
    mut store: Writer,
    journal: Mailbox<JournalMessage>,
) -> Result<(), StoreFailure> {
    while let Received::Message(JournalMessage::Turn(turn)) = journal.receive(None) {
        turn.held.into_iter().for_each(Held::release);
        if !turn.records.is_empty()
            && let Verdict::Unknown(failure) = store.commit(&turn.records)
        {
            return Err(failure);
        }
    }
    Ok(())
}

/// Says that all went well, and only then that it did not.
///
/// # Errors
/// The store failed.
pub fn acknowledges_a_failed_commit(
    mut store: Writer,
    journal: Mailbox<JournalMessage>,
) -> Result<(), StoreFailure> {
    while let Received::Message(JournalMessage::Turn(turn)) = journal.receive(None) {
        let verdict = commit(&mut store, &turn);
        turn.held.into_iter().for_each(Held::release);
        if let Verdict::Unknown(failure) = verdict {
            return Err(failure);
        }
    }
    Ok(())
}

/// Tells those in the failed commit that nobody knows, and goes on as if it had been the last
/// one to fail: what saw the lost grant is acknowledged.
///
/// # Errors
/// The store failed.
pub fn goes_on_after_a_failed_commit(
    mut store: Writer,
    journal: Mailbox<JournalMessage>,
) -> Result<(), StoreFailure> {
    let mut ended = Ok(());
    while let Received::Message(JournalMessage::Turn(turn)) = journal.receive(None) {
        match commit(&mut store, &turn) {
            Verdict::Committed => turn.held.into_iter().for_each(Held::release),
            Verdict::NoRoom => turn.held.into_iter().for_each(Held::refuse),
            Verdict::Unknown(failure) => ended = Err(failure),
        }
    }
    ended
}

/// Refuses what found no room, and tells the machine nothing of it: the grant that never was
/// stays in memory.
///
/// # Errors
/// The store failed.
pub fn refuses_without_rewinding(
    store: Writer,
    journal: Mailbox<JournalMessage>,
) -> Result<(), StoreFailure> {
    // It has no epoch to count on, as none of these has. In this model that is the flaw.
    goes_on_after_a_failed_commit(store, journal)
}

fn commit(store: &mut Writer, turn: &Turn) -> Verdict {
    if turn.records.is_empty() { Verdict::Committed } else { store.commit(&turn.records) }
}
