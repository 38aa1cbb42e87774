//! The databases that scenarios begin with, each made once a process.

use super::plan::{Beginning, plain_setup};
use crate::{
    dice::Dice,
    disk::{Disk, Image, Mounted, SharedDisk, SimulatedFiles, Syncs},
    server::Server,
    time::Time,
};
use octostore::store::{JournalSize, open_on};
use octostore_actors::{
    commit::Store,
    domain::{Record, lock::LockRecord, values::FencingToken},
};
use std::{sync::LazyLock, time::Duration};

/// How many tokens are left in a database where they are nearly used up: three starts take more.
const LAST_TOKENS: u64 = 40_000_000;

/// What lies on the disk.
pub fn image(beginning: Beginning) -> &'static Image {
    static EMPTY: Image = Image::new();
    static FRESH: LazyLock<Image> = LazyLock::new(|| make(None));
    static LAST: LazyLock<Image> =
        LazyLock::new(|| make(FencingToken::new(FencingToken::MAX.get() - LAST_TOKENS)));
    match beginning {
        Beginning::Empty => &EMPTY,
        Beginning::Fresh => &FRESH,
        Beginning::LastTokens => &LAST,
    }
}

/// A database that a server has made, and closed.
///
/// # Panics
/// If it cannot be made: then nothing can be simulated.
#[expect(clippy::expect_used, reason = "nothing can be simulated without it")]
fn make(mark: Option<FencingToken>) -> Image {
    let disk = SharedDisk::new(Disk::new(&Image::new(), Dice::new(0, 2), Syncs::Honest));
    let mounted = Mounted::new(disk.clone());
    let files = SimulatedFiles { disk, size: JournalSize { idle: 1, busy: 8, slack: 8 } };
    let time = Time::new(Duration::from_secs(1), false);
    let (setup, path) = (plain_setup(None), mounted.path());
    let clocks = time.clocks();
    let server = Server::start(&setup, &files, &path, &time.boot(), &clocks);
    server.expect("a server starts").stop().expect("a server stops");
    if let Some(mark) = mark {
        let opened = open_on(&files, &path, &time.boot(), time.lease());
        let (mut store, _) = opened.expect("what was closed opens");
        store.commit(&[Record::Lock(LockRecord::TokenMark(mark))]);
        store.close().expect("what was opened closes");
    }
    mounted.disk().get().image()
}
