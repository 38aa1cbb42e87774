//! A sync that failed: what was written is seen as if it were safe, and is not. Whatever a start makes
//! of it, a power cut in the middle of that start leaves all of a transaction or nothing.

mod machine;

use machine::{Machine, account, lease};
use octostore::store::JournalSize;
use octostore_actors::{
    commit::{Store, Verdict},
    domain::{Record, lock::LockRecord},
};
use octostore_simulator::disk::{Kind, Trap, Trouble};

const SIZE: JournalSize = JournalSize { idle: 60, busy: 120, slack: 60 };

/// So many leases in each transaction: several pages.
const LEASES: u64 = 30;

/// Leases of one transaction, as they are written.
fn leases(from: u64) -> Vec<Record> {
    (from..from + LEASES).map(|number| LockRecord::Held(lease(number, 500)).into()).collect()
}

/// How many leases there are in the end, if the start after the failed sync dies at its operation
/// `dies_after`, and then the power goes.
fn left(seed: u64, dies_after: u32) -> Result<usize, String> {
    let machine = Machine::new(seed, SIZE);
    let (disk, open) = (&machine.disk, || machine.open());

    let mut store = open()?.0;
    assert!(matches!(store.commit(&[account()]), Verdict::Committed));
    assert!(matches!(store.commit(&leases(0)), Verdict::Committed));
    disk.get().set_trap(Trap { after: 0, kind: Some(Kind::Sync), trouble: Trouble::Once });
    assert!(matches!(store.commit(&leases(LEASES)), Verdict::Unknown(_)));
    disk.get().kill();
    drop(store);

    disk.get().revive();
    disk.get().die_after(dies_after);
    drop(open());
    disk.get().kill();
    disk.get().cut_power();

    disk.get().revive();
    Ok(open()?.1.leases.len())
}

/// How many leases there are in the end, if the sync number `failing` of the first start failed, the
/// next one served, and then the power went.
fn left_after_making(seed: u64, failing: u32) -> Result<usize, String> {
    let machine = Machine::new(seed, SIZE);
    let (disk, open) = (&machine.disk, || machine.open());

    disk.get().set_trap(Trap { after: failing, kind: Some(Kind::Sync), trouble: Trouble::Once });
    drop(open());
    disk.get().kill();

    disk.get().revive();
    disk.get().clear_trap();
    let mut store = open()?.0;
    assert!(matches!(store.commit(&[account()]), Verdict::Committed));
    assert!(matches!(store.commit(&leases(0)), Verdict::Committed));
    disk.get().kill();
    disk.get().cut_power();

    disk.get().revive();
    Ok(open()?.1.leases.len())
}

#[test]
fn a_failed_sync_and_a_power_cut_leave_all_of_a_transaction_or_nothing() {
    let (once, twice) = (LEASES as usize, 2 * LEASES as usize);
    let mut seen = [false; 2];
    for seed in 0..40 {
        for dies_after in 0..40 {
            let left = left(seed, dies_after);
            assert!(left == Ok(once) || left == Ok(twice), "{left:?}: {seed}, {dies_after}");
            seen[usize::from(left == Ok(twice))] = true;
        }
    }
    assert_eq!(seen, [true; 2], "the disk sometimes has it, and sometimes has not");
}

#[test]
fn a_database_that_was_made_while_a_sync_failed_keeps_what_it_acknowledges() {
    for seed in 0..40 {
        for failing in 0..12 {
            let left = left_after_making(seed, failing);
            assert_eq!(left, Ok(LEASES as usize), "{seed}, {failing}");
        }
    }
}
