//! A journal whose last transaction is incomplete, and nobody can say why.

use super::*;
use crate::store::journal::{self, Standing};

/// A journal with the account in one transaction, and a lock in the last one, in which one bit is wrong
/// that the sums do not tell apart from others.
fn unclear() -> Disk {
    let disk = Disk::new();
    let mut store = disk.start();
    commit(&mut store, &[account()]);
    commit(&mut store, &[held(1)]);
    drop(store);
    let mut bytes = disk.journal();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let is_unclear = |at: &usize| {
        bytes[*at] ^= 0x80;
        let standing = journal::inspect(&*bytes).unwrap();
        let found = matches!(standing, Ok(Standing::Unclear(_)));
        bytes[*at] ^= u8::from(!found) << 7;
        found
    };
    (0..=end).rev().find(is_unclear).unwrap();
    std::fs::write(disk.0.path().join("octostore.db-wal"), bytes).unwrap();
    disk
}

#[test]
fn durability_what_no_server_takes_is_neither_whole_nor_copied() {
    let disk = unclear();
    let same = BootId::named("this boot");
    let refused = [
        open_on(&disk.1, &disk.database(), &same, Instant::from_nanos(SECOND)).err().unwrap(),
        open_error(check(&disk.database(), &same).err().unwrap()),
        open_error(backup(&disk.database(), &disk.0.path().join("b"), &same).unwrap_err()),
    ];
    for error in refused {
        assert!(error.to_string().contains("has a wrong bit"), "{error}");
    }
}

#[test]
fn what_was_interrupted_by_a_power_cut_is_whole_without_it() {
    let disk = unclear();
    let other = BootId::named("another boot");
    let checked = check(&disk.database(), &other).unwrap();
    let contents = checked.contents.as_ref().unwrap();
    assert_eq!((contents.accounts.len(), contents.leases.len()), (1, 0));
    drop(checked);
    let copy = disk.0.path().join("b");
    std::fs::write(&copy, "").unwrap();
    backup(&disk.database(), &copy, &other).unwrap();
    assert_eq!(check(&copy, &other).unwrap().contents.as_ref().unwrap().accounts.len(), 1);
    assert_eq!(disk.open("another boot", 1).1.accounts.len(), 1);
}

fn open_error(error: BackupError) -> OpenError {
    let BackupError::Open(error) = error else { panic!("{error}") };
    error
}
