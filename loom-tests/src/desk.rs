//! The journal, committed by whoever brings something.

use crate::{
    join,
    service::{Disk, First, Writer, places},
    spawn, wait_restlessly,
};
use octostore_actors::{
    commit::{AuditLog, Desk, JournalMessage, Persistence, Turn},
    domain::audit::{AuditPage, AuditQuery},
    mailbox::mailbox,
    progress::{Progress, Seq},
    sync::Arc,
};

/// Somebody reads the log while another, who commits for himself, finds that question in the mailbox,
/// and leaves it on the desk: the thread answers, also if it was just about to sleep.
pub fn what_is_left_on_the_desk_is_done() {
    let (address, messages) = mailbox(places(2));
    let writer = Writer::of(&Disk::new(None, First::Kept));
    let desk = Arc::new(Desk::new(Persistence::new(writer, messages)));
    let thread = {
        let desk = Arc::clone(&desk);
        spawn(move || desk.run().map(drop))
    };
    let log = AuditLog::new(address.clone());
    let reader = spawn(move || wait_restlessly(log.read(AuditQuery::default())));
    let progress = Arc::new(Progress::default());
    let epoch = progress.epoch();
    let turn = Turn { progress, epoch, upto: Seq::NONE, records: Vec::new(), held: Vec::new() };
    address.try_leave(JournalMessage::Turn(turn)).expect("there is room, and it runs");
    desk.attend();
    assert_eq!(join(reader), Ok(Ok(AuditPage::default())));
    drop(address);
    join(thread).expect("nothing failed");
}
