//! The commit, the checkpoints between commits, and what a start makes of what an earlier one left.

mod full_disk;
mod snapshot;
mod unclear;

use super::*;
use crate::clock::BootId;
use octostore_actors::{
    domain::{
        account::{Account, AccountRecord, Allowance, Origin, Role, Standing, Subject},
        limiter::{Admitted, LimitName, LimitRecord, MaxRequests, Policy, Reservation, Window},
        lock::{Holder, Lease, after_restore},
        values::{
            AccountId, AccountName, FencingToken, LeaseId, LockName, Metadata, Ttl, WallTime,
        },
    },
    time::Instant,
};
use std::{
    cell::RefCell,
    fs::File,
    io,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

const SECOND: u64 = 1_000_000_000;

/// So many frames: enough for a few commits between two checkpoints.
const SMALL: JournalSize = JournalSize { idle: 6, busy: 12, slack: 6 };

/// A page of 4 KiB and its header, as the journal holds it.
const FRAME_BYTES: u64 = 4096 + 24;

/// The files of this system, with a small journal.
#[derive(Default)]
struct SmallJournal {
    /// What was in the journal each time it was to be synced.
    synced: RefCell<Vec<Vec<u8>>>,
}

impl Files for SmallJournal {
    fn real_path(&self, path: &Path) -> Result<PathBuf, OpenError> {
        SystemFiles.real_path(path)
    }

    fn lock(&self, path: &Path) -> Result<Option<LockFile>, NotLocked> {
        SystemFiles.lock(path)
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn io::Read + '_>> {
        SystemFiles.read(path)
    }

    fn hold_open(&self, path: &Path) -> io::Result<Option<File>> {
        SystemFiles.hold_open(path)
    }

    fn hold_journal(&self, journal: &Path) -> io::Result<Box<dyn ReadAt>> {
        SystemFiles.hold_journal(journal)
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        SystemFiles.create(path)
    }

    fn set_aside(&self, journal: &Path, frames: u32) -> io::Result<()> {
        SystemFiles.set_aside(journal, frames)
    }

    fn flip(&self, path: &Path, at: u64, mask: u8) -> io::Result<()> {
        SystemFiles.flip(path, at, mask)
    }

    fn settle(&self, path: &Path) -> io::Result<()> {
        self.synced.borrow_mut().push(std::fs::read(path).unwrap_or_default());
        SystemFiles.settle(path)
    }

    fn journal_size(&self) -> JournalSize {
        SMALL
    }

    fn vfs(&self) -> Option<&str> {
        None
    }
}

/// A folder with one database in it.
struct Disk(TempDir, SmallJournal);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap(), SmallJournal::default())
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("octostore.db")
    }

    /// Opens the store in this boot, so many seconds after it began.
    fn open(&self, boot: &str, seconds: u64) -> (SqliteStore, Recovered) {
        let now = Instant::from_nanos(seconds * SECOND);
        open_on(&self.1, &self.database(), &BootId::named(boot), now).unwrap()
    }

    fn start(&self) -> SqliteStore {
        self.open("this boot", 1).0
    }

    fn journal(&self) -> Vec<u8> {
        std::fs::read(self.0.path().join("octostore.db-wal")).unwrap()
    }

    /// The main file as it would be without its journal.
    fn main_file_alone(&self) -> Connection {
        let copy = self.0.path().join("alone.db");
        std::fs::copy(self.database(), &copy).unwrap();
        Connection::open(copy).unwrap()
    }
}

fn ask<T: rusqlite::types::FromSql>(store: &SqliteStore, pragma: &str) -> T {
    store.connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap()
}

fn token(number: u64) -> FencingToken {
    FencingToken::new(number).unwrap()
}

const HOLDER: AccountId = AccountId::from_bytes([7; 16]);

fn account() -> Record {
    AccountRecord::Account(Account {
        id: HOLDER,
        origin: Origin::Static,
        subject: Subject::new("ci").unwrap(),
        name: AccountName::new("ci").unwrap(),
        role: Role::Member,
        standing: Standing::Enabled,
        allowance: Allowance::default(),
        created_at: WallTime::from_millis(0),
    })
    .into()
}

fn lease(number: u64, ends: u64) -> Lease {
    Lease {
        name: LockName::new(&format!("lock-{number}")).unwrap(),
        holder: Holder { account: HOLDER, owner: None },
        id: LeaseId::from_bytes(u128::from(number).to_be_bytes()),
        token: token(number),
        ttl: Ttl::from_seconds(60).unwrap(),
        expires: Instant::from_nanos(ends * SECOND),
        metadata: Some(Metadata::new(&"m".repeat(1000)).unwrap()),
    }
}

fn held(number: u64) -> Record {
    LockRecord::Held(lease(number, 61)).into()
}

#[track_caller]
fn commit(store: &mut SqliteStore, records: &[Record]) {
    let verdict = store.commit(records);
    assert!(matches!(verdict, Verdict::Committed), "{verdict:?}");
}

#[test]
fn durability_sqlite_syncs_every_commit_and_nobody_else_comes_between() {
    let store = Disk::new().start();
    assert_eq!(ask::<u8>(&store, "synchronous"), 2, "FULL: the journal is synced by each commit");
    assert_eq!(ask::<String>(&store, "journal_mode"), "wal");
    assert_eq!(ask::<String>(&store, "locking_mode"), "exclusive");
    assert_eq!(ask::<u8>(&store, "wal_autocheckpoint"), 0, "no commit waits for a checkpoint");
    assert_eq!(ask::<u8>(&store, "fullfsync"), 0);
    assert_eq!(ask::<u8>(&store, "query_only"), 0);
}

#[test]
fn durability_a_commit_lies_in_the_journal_when_it_is_told() {
    let disk = Disk::new();
    let mut store = disk.start();
    let (before, main) = (disk.journal(), std::fs::read(disk.database()).unwrap());
    commit(&mut store, &[account(), held(1)]);
    assert_ne!(disk.journal(), before);
    assert_eq!(std::fs::read(disk.database()).unwrap(), main, "a checkpoint comes later");
}

#[test]
fn a_commit_is_whole_or_nothing_of_it_is_there() {
    let disk = Disk::new();
    let mut store = disk.start();
    commit(&mut store, &[account(), held(1)]);
    let pages: u32 = ask(&store, "page_count");
    store.connection.pragma_update(None, "max_page_count", pages + 2).unwrap();
    let many: Vec<Record> = (2..100).map(held).collect();
    assert!(matches!(store.commit(&many), Verdict::NoRoom));
    let kept = lock::leases(&store.connection).unwrap();
    assert_eq!(kept, [lease(1, 61)], "nothing of what had no room");
    assert!(store.connection.is_autocommit(), "no transaction is left open");

    // What there is room for goes on, and so does the rest when there is more.
    commit(&mut store, &[LockRecord::Free(lease(1, 61).name).into()]);
    assert!(lock::leases(&store.connection).unwrap().is_empty());
    store.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    commit(&mut store, &many);
    assert_eq!(lock::leases(&store.connection).unwrap().len(), many.len());
}

#[test]
fn a_store_that_fails_in_another_way_than_for_room_says_that_it_does_not_know() {
    let mut store = Disk::new().start();
    store.connection.pragma_update(None, "query_only", 1).unwrap();
    assert!(matches!(store.commit(&[held(1)]), Verdict::Unknown(_)));
}

#[test]
fn fencing_a_raised_mark_is_in_the_main_file_before_its_commit_is_told() {
    let disk = Disk::new();
    let mut store = disk.start();
    let raised = token(3 * TOKEN_BLOCK);
    commit(&mut store, &[held(1), LockRecord::TokenMark(raised).into()]);
    assert_eq!(lock::token_mark(&disk.main_file_alone()).unwrap(), raised);
}

#[test]
fn durability_a_start_builds_on_nothing_that_may_still_vanish() {
    let disk = Disk::new();
    let mut store = disk.start();
    assert!(matches!(store.commit(&[account(), held(1)]), Verdict::Committed));
    drop(store);
    // As a server leaves it that is killed when it has written, and before it has synced.
    let left = disk.journal();
    assert!(left.iter().any(|&byte| byte != 0));
    disk.start();
    let synced = disk.1.synced.borrow();
    assert!(synced.last() == Some(&left), "it was synced as it was left, before anything else");
}

#[test]
fn fencing_a_start_has_its_tokens_reserved_in_the_main_file() {
    let disk = Disk::new();
    for start in 1..=3 {
        let (store, recovered) = disk.open("this boot", 1);
        let mark = lock::token_mark(&disk.main_file_alone()).unwrap();
        assert_eq!(mark, token(start * TOKEN_BLOCK), "whatever becomes of the journal");
        let before = FencingToken::ZERO.saturating_add((start - 1) * TOKEN_BLOCK);
        assert_eq!(recovered.tokens.last(), before, "none that may have been granted is again");
        drop((store, recovered));
    }
}

#[test]
fn fencing_restores_go_on_above_a_store_that_has_crashed_all_the_time() {
    let at = |millis: i64| WallTime::from_millis(1_795_000_000_000 + millis);
    let mut mark = after_restore(FencingToken::ZERO, at(0));
    for start in 1..=1000 {
        // None takes less.
        let now = at(16 * start);
        mark = mark.saturating_add(TOKEN_BLOCK);
        assert!(after_restore(FencingToken::ZERO, now) > mark, "after {start} crashes");
    }
}

#[test]
fn bounded_the_journal_is_checkpointed_past_its_size_and_grows_no_further() {
    let disk = Disk::new();
    let mut store = disk.start();
    let set_aside = disk.journal().len() as u64;
    assert_eq!(set_aside, u64::from(SMALL.busy + SMALL.slack) * FRAME_BYTES, "and not a byte less");
    commit(&mut store, &[account()]);
    for number in 1..200 {
        let before = store.journal.frames();
        assert!(before <= SMALL.busy, "before {number}");
        // A row that is written as it is writes nothing.
        commit(&mut store, &[LockRecord::Held(lease(number % 5 + 1, 61 + number)).into()]);
        let frames = store.journal.frames();
        assert!(frames > before, "{frames} after {before}: a commit makes no checkpoint");
        assert_eq!(store.patience().is_some(), frames >= SMALL.idle, "worth one when idle");
        assert_eq!(store.is_pressed(), frames >= SMALL.busy, "worth one at once");
        store.tend(Pressure::Busy).unwrap();
        let left = store.journal.frames();
        assert_eq!(left, if frames >= SMALL.busy { 0 } else { frames });
        assert_eq!(disk.journal().len() as u64, set_aside, "it is written over from its beginning");
    }
}

#[test]
fn bounded_an_idle_store_brings_home_what_its_journal_holds() {
    let disk = Disk::new();
    let mut store = disk.start();
    commit(&mut store, &[account()]);
    store.tend(Pressure::Idle).unwrap();
    assert!(store.journal.frames() > 0, "too little to be worth it");
    for number in 1..100 {
        commit(&mut store, &[held(number)]);
        if store.journal.frames() >= SMALL.idle {
            break;
        }
    }
    assert_eq!(store.patience(), Some(Duration::from_millis(50)));
    store.tend(Pressure::Idle).unwrap();
    assert_eq!(store.patience(), None, "nothing is left to do");
    let alone = lock::leases(&disk.main_file_alone()).unwrap();
    assert_eq!(alone, lock::leases(&store.connection).unwrap());
    assert!(!alone.is_empty());
}

#[test]
fn a_store_that_is_closed_is_one_file_with_everything_in_it() {
    let disk = Disk::new();
    let mut store = disk.start();
    commit(&mut store, &[account(), held(1)]);
    store.close().unwrap();
    let mut left: Vec<_> =
        std::fs::read_dir(disk.0.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["octostore.db", "octostore.db-lock"]);
    assert_eq!(lock::leases(&disk.main_file_alone()).unwrap(), [lease(1, 61)]);
}

#[test]
fn time_a_restart_leaves_a_lease_what_was_left_and_never_more_than_its_whole_time() {
    let disk = Disk::new();
    let mut store = disk.start();
    let unbelievable = lease(2, 1_000_000);
    commit(&mut store, &[account(), held(1), LockRecord::Held(unbelievable).into()]);
    drop(store);
    let (_store, recovered) = disk.open("this boot", 31);
    let mut ends: Vec<_> = recovered.leases.iter().map(|lease| lease.expires).collect();
    ends.sort();
    assert_eq!(ends, [61, 31 + 60].map(|ends| Instant::from_nanos(ends * SECOND)));
}

#[test]
fn time_a_reboot_counts_once() {
    let disk = Disk::new();
    let mut store = disk.start();
    commit(&mut store, &[account(), held(1)]);
    drop(store);
    for (now, ends) in [(500, 560), (510, 560), (559, 560)] {
        let (store, recovered) = disk.open("the next boot", now);
        let lease = &recovered.leases[0];
        assert_eq!(lease.expires, Instant::from_nanos(ends * SECOND), "at {now}");
        drop(store);
    }
}

#[test]
fn limits_what_a_reboot_makes_of_a_limit_is_written_down_too() {
    let row = Reservation {
        account: HOLDER,
        name: LimitName::new("a").unwrap(),
        policy: Policy {
            max_requests: MaxRequests::new(10).unwrap(),
            window: Window::from_seconds(60).unwrap(),
        },
        horizon: Window::from_seconds(60).unwrap(),
        admitted: vec![Admitted { at: Instant::from_nanos(SECOND), count: 3 }],
        credit: 2,
    };
    let disk = Disk::new();
    let mut store = disk.start();
    commit(&mut store, &[LimitRecord::Reserved(row).into()]);
    drop(store);
    let (store, at_once) = disk.open("the next boot", 500);
    drop(store);
    let (mut store, later) = disk.open("the next boot", 510);
    assert_eq!(later.limits, at_once.limits);
    let row = &later.limits[0];
    let admitted: u32 = row.admitted.iter().map(|admitted| admitted.count).sum();
    assert_eq!(admitted, 5, "and what may have been admitted since");

    commit(&mut store, &[LimitRecord::Gone(row.account, row.name.clone()).into()]);
    drop(store);
    assert!(disk.open("the next boot", 511).1.limits.is_empty(), "gone is gone");
}

#[test]
fn rows_of_a_server_that_knew_no_checksum_are_taken_and_others_are_checked() {
    let disk = Disk::new();
    let mut store = disk.start();
    commit(&mut store, &[account(), held(1)]);
    let change = |store: &SqliteStore, sql| store.connection.execute(sql, []).unwrap();
    change(&store, "UPDATE locks SET token = 2, sum = NULL");
    assert_eq!(lock::leases(&store.connection).unwrap()[0].token, token(2));
    commit(&mut store, &[held(1)]);
    change(&store, "UPDATE locks SET token = 2");
    assert!(lock::leases(&store.connection).is_err());
}
