//! How long a main file may be copied.

use super::*;

#[test]
fn a_main_file_stays_as_it_is_for_as_long_as_its_snapshot_holds() {
    let disk = Disk::new();
    let mut store = disk.start();
    commit(&mut store, &[account(), held(1)]);
    let snapshot = store.snapshot().unwrap().unwrap();
    let main = std::fs::read(disk.database()).unwrap();
    assert_eq!(lock::leases(&disk.main_file_alone()).unwrap(), [lease(1, 61)], "all of it");
    for number in 1.. {
        commit(&mut store, &[LockRecord::Held(lease(number % 5 + 1, 61 + number)).into()]);
        assert!(snapshot.held(), "a commit takes nobody's snapshot away");
        store.tend(Pressure::Busy).unwrap();
        store.tend(Pressure::Idle).unwrap();
        let frames = store.journal.frames();
        if !snapshot.held() {
            assert_eq!(frames, 0, "given up for a checkpoint");
            break;
        }
        assert!(frames < SMALL.held(), "{frames}: the journal grows without end");
        assert!(std::fs::read(disk.database()).unwrap() == main, "under whoever copies it");
    }
    assert!(std::fs::read(disk.database()).unwrap() != main);
}

#[test]
fn a_snapshot_is_given_up_before_the_journal_is_moved_and_not_once_it_is() {
    let disk = Disk::new();
    let mut store = disk.start();
    commit(&mut store, &[account(), held(1)]);
    let snapshot = store.snapshot().unwrap().unwrap();
    // In the middle of a commit SQLite moves nothing, and says so.
    store.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(store.checkpoint(CheckpointMode::PASSIVE).is_err());
    assert!(!snapshot.held(), "nobody knows how much of it was moved");
}
