//! The store alone: what a commit of so many rows costs, the sync to disk included.
//!
//! Batches alternate between taking locks and freeing the same ones, as a busy service does, and
//! the store is tended after each, as the persistence actor does.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use octostore::{clock::BootId, store};
use octostore_actors::{
    commit::{Pressure, Store, Verdict},
    domain::{
        Record,
        lock::{Holder, Lease, LockRecord},
        values::{AccountId, FencingToken, LeaseId, LockName, Ttl},
    },
    time::Instant,
};
use std::path::Path;

/// How many rows a batch has.
const ROWS: [u32; 4] = [1, 8, 64, 512];

/// How many batches differ, so that the rows lie on more than one page.
const BATCHES: usize = 32;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    // Where the build is, for a file system that really syncs; /tmp may be in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut group = criterion.benchmark_group("commit");
    for rows in ROWS {
        let mut store = open(&folder.path().join(format!("{rows}.db")));
        let batches = batches(rows);
        let mut turn = 0;
        group.throughput(Throughput::Elements(rows.into()));
        group.bench_function(BenchmarkId::new("rows", rows), |bencher| {
            bencher.iter_batched_ref(
                || {
                    turn += 1;
                    batches[turn % batches.len()].clone()
                },
                |records| {
                    let verdict = store.commit(records);
                    assert!(matches!(verdict, Verdict::Committed), "{verdict:?}");
                    store.tend(Pressure::Busy).expect("the store can be tended");
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    criterion.final_summary();
}

fn open(path: &Path) -> store::SqliteStore {
    let (store, _) =
        store::open(path, &BootId::named("bench"), Instant::from_nanos(1)).expect("a store");
    store
}

/// Batches of grants, each with the batch of its releases after all of the grants.
fn batches(rows: u32) -> Vec<Vec<Record>> {
    let names = |batch: usize| {
        (0..rows).map(move |row| {
            // Names of one batch lie all over the table.
            LockName::new(&format!("jobs/{row:06}/{batch:04}")).expect("a possible name")
        })
    };
    let grants = (0..BATCHES).map(|batch| names(batch).map(|name| held(name).into()).collect());
    let releases =
        (0..BATCHES).map(|batch| names(batch).map(|name| LockRecord::Free(name).into()).collect());
    grants.chain(releases).collect()
}

fn held(name: LockName) -> LockRecord {
    LockRecord::Held(Lease {
        name,
        holder: Holder { account: AccountId::from_bytes([3; 16]), owner: None },
        id: LeaseId::from_bytes([7; 16]),
        token: FencingToken::ZERO.saturating_add(1),
        ttl: Ttl::from_seconds(60).expect("a possible time to live"),
        expires: Instant::from_nanos(60_000_000_000),
        metadata: None,
    })
}
