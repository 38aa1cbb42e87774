//! What SQLite says when a disk is full, and what the store makes of it.

use super::*;
use rusqlite::ffi::{Error as Code, SQLITE_FULL, SQLITE_IOERR};

fn sqlite_says(code: i32) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(Code::new(code), None)
}

#[test]
fn what_sqlite_leaves_half_done_for_want_of_room_is_undone() {
    let disk = Disk::new();
    let mut store = disk.start();
    commit(&mut store, &[account(), held(1)]);
    // It undoes the statement alone where it can.
    store.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    let freed = LockRecord::Free(lease(1, 61).name);
    lock::write(&mut Statements::new(&store.connection), &freed).unwrap();
    assert!(lock::leases(&store.connection).unwrap().is_empty());
    assert!(matches!(store.undo(sqlite_says(SQLITE_FULL)), Verdict::NoRoom));
    assert_eq!(lock::leases(&store.connection).unwrap(), [lease(1, 61)]);
    commit(&mut store, &[held(2)]);
}

/// Makes the store believe that it has committed no more than that, as if the rest had been refused.
fn forget_commits_after(store: &SqliteStore, frames: u32) {
    store.journal.miscount(frames);
}

#[test]
fn outcome_a_refused_commit_that_a_start_would_execute_is_not_told_as_refused() {
    let disk = Disk::new();
    let mut store = disk.start();
    let refused = |store: &SqliteStore| match store.undo(sqlite_says(SQLITE_FULL)) {
        Verdict::NoRoom => true,
        Verdict::Unknown(_) => false,
        Verdict::Committed => panic!("nothing was"),
    };
    assert!(refused(&store), "an empty journal");
    commit(&mut store, &[account(), held(1)]);
    let first = store.journal.frames();
    assert!(refused(&store), "what was acknowledged is none that was refused");
    commit(&mut store, &[held(2)]);
    assert!(refused(&store));
    forget_commits_after(&store, first);
    assert!(!refused(&store), "one that stands behind another");
    forget_commits_after(&store, 0);
    assert!(!refused(&store), "one that is the first");

    // What a checkpoint has moved stands there until the journal is begun anew.
    commit(&mut store, &[held(3)]);
    store.checkpoint(CheckpointMode::PASSIVE).unwrap();
    assert!(refused(&store));
    store.checkpoint(CheckpointMode::PASSIVE).unwrap();
    assert!(refused(&store));
    commit(&mut store, &[held(4)]);
    assert!(refused(&store));
    forget_commits_after(&store, 0);
    assert!(!refused(&store), "the first of a journal that was begun anew");
}

#[test]
fn a_full_disk_is_no_failure_of_a_checkpoint_and_a_broken_one_is() {
    let mut store = Disk::new().start();
    assert_eq!(store.unless_full(Ok(true)).unwrap(), Some(true));
    assert_eq!(store.unless_full(Ok(false)).unwrap(), Some(false));
    assert_eq!(store.unless_full(Err(sqlite_says(SQLITE_FULL))).unwrap(), None);
    store.unless_full(Err(sqlite_says(SQLITE_IOERR))).unwrap_err();
}

#[test]
fn a_disk_that_was_full_is_left_alone_for_a_while_and_no_longer_than_it_is_full() {
    let disk = Disk::new();
    let mut store = disk.start();
    commit(&mut store, &[account()]);
    for number in 1..=u64::from(SMALL.idle) {
        commit(&mut store, &[held(number)]);
    }
    let usual = store.patience();
    store.unless_full(Err(sqlite_says(SQLITE_FULL))).unwrap();
    assert_eq!(usual, Some(Duration::from_millis(50)));
    assert_eq!(store.patience(), Some(FULL_UNTIL_TRIED_AGAIN));
    store.unless_full(Ok(false)).unwrap();
    assert_eq!(store.patience(), usual);
}
