//! Reading the audit log, by way of the persistence actor.

use crate::{
    bench::{Shared, Trouble, free},
    by_hand::{persistence, turn_of},
    common::seq,
};
use octostore_actors::{
    commit::{AuditLog, Desk, JournalMessage, Persistence, Unreadable},
    domain::audit::{AuditId, AuditPage, AuditQuery},
    mailbox::mailbox,
    progress::Progress,
    reply::{Lost, Waiting},
    snapshot::Snapshots,
    sync::{Arc, lock},
};
use std::{
    num::NonZeroUsize,
    pin::Pin,
    task::{Context, Poll, Waker},
};

type Looked = Result<AuditPage, Unreadable>;
type Told = Poll<Result<Looked, Lost>>;

fn told(waiting: &mut Waiting<Looked>) -> Told {
    Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop()))
}

/// A question, told apart by its number.
fn query(number: u64) -> AuditQuery {
    AuditQuery { before: Some(AuditId(number)), ..AuditQuery::default() }
}

/// How many commits there were before each question was looked up.
fn reads(disk: &Shared) -> Vec<(usize, u64)> {
    let number = |query: &AuditQuery| query.before.unwrap().0;
    lock(&disk.0).reads.iter().map(|(commits, query)| (*commits, number(query))).collect()
}

const NOTHING: Told = Poll::Ready(Ok(Ok(AuditPage { entries: Vec::new(), next: None })));
const OVERLOADED: Told = Poll::Ready(Err(Lost::Overloaded));
const UNKNOWN: Told = Poll::Ready(Err(Lost::OutcomeUnknown));

#[test]
fn durability_a_read_sees_what_was_sent_before_it() {
    let (journal, mut persistence, disk) = persistence();
    let log = AuditLog::new(journal.clone());
    let progress = Arc::new(Progress::default());
    let (before, _) = turn_of(&progress, seq(1), vec![free("a")]);
    let (after, _) = turn_of(&progress, seq(2), vec![free("b")]);
    assert!(journal.try_send(before.into()).is_ok());
    let mut read = log.read(query(1));
    assert!(journal.try_send(after.into()).is_ok());
    assert!(told(&mut read).is_pending());
    persistence.step().unwrap();
    assert_eq!(told(&mut read), NOTHING);
    assert_eq!((disk.commits(), reads(&disk)), (1, vec![(1, 1)]), "with its batch, and after it");
}

#[test]
fn bounded_between_two_commits_one_reader_is_answered() {
    let (journal, mut persistence, disk) = persistence();
    let log = AuditLog::new(journal.clone());
    let progress = Arc::new(Progress::default());
    let mut waiting: Vec<_> = (1..=3).map(|number| log.read(query(number))).collect();
    for number in 1..=3 {
        let (turn, witness) = turn_of(&progress, seq(number), vec![free("a")]);
        assert!(journal.try_send(turn.into()).is_ok());
        persistence.step().unwrap();
        assert_eq!(*lock(&witness.1), [seq(number)], "no reader is in the way of a commit");
    }
    assert_eq!(reads(&disk), [(1, 1), (2, 2), (3, 3)], "in the order of their questions");
    assert!(waiting.iter_mut().all(|waiting| told(waiting) == NOTHING));
    persistence.step().unwrap();
    assert_eq!(disk.commits(), 3, "a read alone commits nothing");
}

#[test]
fn bounded_a_full_mailbox_takes_no_reader() {
    let (journal, messages) = mailbox(NonZeroUsize::MIN);
    let log = AuditLog::new(journal);
    let disk = Shared::default();
    let mut persistence = Persistence::new(disk.clone(), messages);
    let (mut first, mut second) = (log.read(query(1)), log.read(query(2)));
    assert_eq!(told(&mut second), OVERLOADED);
    persistence.step().unwrap();
    assert_eq!(told(&mut first), NOTHING);
    assert_eq!(reads(&disk), [(0, 1)]);
}

#[test]
fn bounded_so_many_readers_wait_and_no_more() {
    let (journal, messages) = mailbox(NonZeroUsize::new(1_000).unwrap());
    let log = AuditLog::new(journal);
    let disk = Shared::default();
    let mut persistence = Persistence::new(disk.clone(), messages);
    let mut waiting: Vec<_> = (0..100).map(|number| log.read(query(number))).collect();
    persistence.step().unwrap();
    let refused = waiting.iter_mut().filter_map(|waiting| match told(waiting) {
        told @ Poll::Ready(Err(_)) => Some(told),
        Poll::Ready(Ok(_)) | Poll::Pending => None,
    });
    assert!(refused.map(|told| assert_eq!(told, OVERLOADED)).count() == 36);
    (1..64).for_each(|_| persistence.step().unwrap());
    assert_eq!(reads(&disk).len(), 64);
}

#[test]
fn a_read_is_answered_although_a_commit_found_no_room() {
    let (journal, mut persistence, disk) = persistence();
    disk.expect_trouble([Trouble::NoRoom]);
    let mut read = AuditLog::new(journal.clone()).read(query(1));
    let progress = Arc::new(Progress::default());
    assert!(journal.try_send(turn_of(&progress, seq(1), vec![free("a")]).0.into()).is_ok());
    persistence.step().unwrap();
    assert_eq!(told(&mut read), NOTHING);
}

#[test]
fn one_outcome_after_a_failed_commit_readers_are_told_so_too() {
    let (journal, mut persistence, disk) = persistence();
    disk.expect_trouble([Trouble::Unknown]);
    let log = AuditLog::new(journal.clone());
    let mut read = log.read(query(1));
    let progress = Arc::new(Progress::default());
    assert!(journal.try_send(turn_of(&progress, seq(1), vec![free("a")]).0.into()).is_ok());
    let mut behind = log.read(query(2));
    assert!(persistence.step().is_err());
    drop(persistence);
    assert_eq!((told(&mut read), told(&mut behind)), (UNKNOWN, UNKNOWN));
    assert_eq!(told(&mut log.read(query(3))), UNKNOWN);
    assert_eq!(reads(&disk), []);
}

#[test]
fn a_store_that_cannot_be_read_is_as_bad_as_one_that_cannot_be_written() {
    let (journal, persistence, disk) = persistence();
    disk.expect_trouble([Trouble::Unknown]);
    let mut read = AuditLog::new(journal).read(query(1));
    assert!(Desk::new(persistence).run().is_err());
    assert_eq!(told(&mut read), UNKNOWN);
}

#[test]
fn an_entry_that_cannot_be_read_is_no_failure_of_the_store() {
    let (journal, mut persistence, disk) = persistence();
    lock(&disk.0).unreadable = true;
    let mut read = AuditLog::new(journal).read(query(1));
    persistence.step().unwrap();
    assert_eq!(told(&mut read), Poll::Ready(Ok(Err(Unreadable))));
}

#[test]
fn a_reader_that_has_gone_is_in_nobody_s_way() {
    let (journal, mut persistence, disk) = persistence();
    let log = AuditLog::new(journal);
    drop(log.read(query(1)));
    let mut second = log.read(query(2));
    persistence.step().unwrap();
    persistence.step().unwrap();
    assert_eq!(told(&mut second), NOTHING);
    assert_eq!(reads(&disk).len(), 2);
}

#[test]
fn one_outcome_it_stops_when_told_so_although_readers_could_still_ask() {
    let (journal, persistence, disk) = persistence();
    let log = AuditLog::new(journal.clone());
    let progress = Arc::new(Progress::default());
    let (kept, _) = turn_of(&progress, seq(1), vec![free("a")]);
    let (late, _) = turn_of(&progress, seq(2), vec![free("b")]);
    assert!(journal.try_send(kept.into()).is_ok());
    assert!(journal.try_send(JournalMessage::Stop).is_ok());
    assert!(journal.try_send(late.into()).is_ok());
    let mut read = log.read(query(1));
    Desk::new(persistence).run().unwrap();
    assert_eq!(disk.latest(), [free("a")]);
    assert_eq!(disk.commits(), 1);
    assert_eq!(told(&mut read), UNKNOWN);
}

#[test]
fn one_outcome_readers_are_answered_although_nothing_is_committed_any_more() {
    let (journal, persistence, disk) = persistence();
    let log = AuditLog::new(journal.clone());
    let mut waiting: Vec<_> = (1..=3).map(|number| log.read(query(number))).collect();
    drop((journal, log));
    Desk::new(persistence).run().map(drop).unwrap();
    assert!(waiting.iter_mut().all(|waiting| told(waiting) == NOTHING));
    assert_eq!(reads(&disk), [(0, 1), (0, 2), (0, 3)]);
}

#[test]
fn a_snapshot_is_made_after_the_batch_it_came_with() {
    let (journal, mut persistence, disk) = persistence();
    let snapshots = Snapshots::new(journal.clone());
    let progress = Arc::new(Progress::default());
    let (turn, _) = turn_of(&progress, seq(1), vec![free("a")]);
    assert!(journal.try_send(turn.into()).is_ok());
    let mut taken: Vec<_> = (0..5).map(|_| snapshots.take()).collect();
    persistence.step().unwrap();
    assert_eq!(disk.commits(), 1);
    let mut told = taken.iter_mut().map(|waiting| {
        match Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(snapshot)) => Some(snapshot.is_some()),
            Poll::Ready(Err(lost)) => {
                assert_eq!(lost, Lost::Overloaded);
                None
            }
            Poll::Pending => panic!("nobody answers"),
        }
    });
    // This store has none; and not everybody can have one at once.
    assert!(told.by_ref().take(4).all(|told| told == Some(false)));
    assert_eq!(told.next(), Some(None));
}
