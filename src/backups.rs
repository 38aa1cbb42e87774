//! Backups of the store while it serves.
//!
//! The thread that owns the store holds its main file still and goes on committing to the journal;
//! the copy is made on another thread, at the speed of the disk, into a file without a name. Only
//! then is it sent, as slowly as whoever asked for it reads.

use crate::store::copy_main_file;
use octostore_actors::{
    reply::Lost,
    snapshot::{Snapshot, Snapshots},
};
use rustix::fs::fstatvfs;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much room must be left on the disk when a copy is on it: the journal needs some.
const ROOM_LEFT: u64 = 256 << 20;

/// How often a copy is begun. The store gives a snapshot up when its journal grows too large
/// meanwhile.
const ATTEMPTS: u32 = 5;

/// Makes backups, one at a time.
pub struct Backups {
    snapshots: Snapshots,
    /// The main file; `None` where the store has none that could be copied.
    main: Option<Arc<File>>,
    /// Where copies are put.
    folder: PathBuf,
    turn: Arc<Semaphore>,
}

/// The turn to make a backup: nobody else makes one before this, or the backup that was made with it, is
/// dropped.
#[derive(Debug)]
pub struct Turn(OwnedSemaphorePermit);

/// A backup, whole. Its file disappears with it.
pub struct FinishedBackup {
    /// The bytes, from the first.
    pub file: Arc<File>,
    /// How many.
    pub length: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
    /// The next backup is made when this is dropped.
    _turn: OwnedSemaphorePermit,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum NoBackup {
    /// Another one is being made, or being sent.
    #[error("another backup is being made")]
    Busy,
    /// The disk has no room for a copy.
    #[error("the disk has no room for a copy of the database")]
    NoRoom,
    /// So much was written that the store could not hold still.
    #[error("more was written than the journal may hold while the copy was made")]
    GivenUp,
    /// The store answers nobody, or there is none that could be copied.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The copy failed.
    #[error("the copy failed: {0}")]
    Io(#[from] io::Error),
}

impl Backups {
    /// Backups of the store whose main file is `main`; copies are put into `folder`.
    pub fn new(snapshots: Snapshots, main: Option<Arc<File>>, folder: PathBuf) -> Self {
        Self { snapshots, main, folder, turn: Arc::new(Semaphore::new(1)) }
    }

    /// The turn to make one.
    ///
    /// # Errors
    /// [`NoBackup::Busy`].
    pub fn turn(&self) -> Result<Turn, NoBackup> {
        Arc::clone(&self.turn).try_acquire_owned().map(Turn).map_err(|_| NoBackup::Busy)
    }

    /// Makes one. Everything that was acknowledged before is in it.
    ///
    /// # Errors
    /// See [`NoBackup`].
    pub async fn make(&self, Turn(turn): Turn) -> Result<FinishedBackup, NoBackup> {
        for _ in 0..ATTEMPTS {
            let (Some(main), Some(snapshot)) = (self.main.clone(), self.snapshots.take().await?)
            else {
                return Err(NoBackup::NoRoom);
            };
            let folder = self.folder.clone();
            let copying = tokio::task::spawn_blocking(move || copy(&main, &folder, &snapshot));
            // It does not panic; if the process ends, nobody reads this.
            let copied = copying.await.map_err(|_| NoBackup::Lost(Lost::OutcomeUnknown))?;
            if let Some((file, length, sha256)) = copied? {
                return Ok(FinishedBackup { file: Arc::new(file), length, sha256, _turn: turn });
            }
        }
        Err(NoBackup::GivenUp)
    }
}

type Copied = (File, u64, [u8; 32]);

/// Copies `main`; `None` if the snapshot did not hold.
fn copy(
    main: &File,
    folder: &std::path::Path,
    snapshot: &Snapshot,
) -> Result<Option<Copied>, NoBackup> {
    let file = tempfile::tempfile_in(folder)?;
    let disk = fstatvfs(&file).map_err(io::Error::from)?;
    let length = main.metadata()?.len();
    if disk.f_bavail.saturating_mul(disk.f_frsize) < length.saturating_add(ROOM_LEFT) {
        return Err(NoBackup::NoRoom);
    }
    let mut to = Copy { file, length: 0, sum: Sha256::new(), snapshot };
    match copy_main_file(main, &mut to) {
        Err(_) if !snapshot.held() => return Ok(None),
        copied => copied?,
    }
    let Copy { file, length, sum, .. } = to;
    Ok(snapshot.held().then(|| (file, length, sum.finalize().into())))
}

/// Where a copy goes, and what is to be known of it.
struct Copy<'a> {
    file: File,
    length: u64,
    sum: Sha256,
    snapshot: &'a Snapshot,
}

impl Write for Copy<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.snapshot.held() {
            return Err(io::ErrorKind::Other.into());
        }
        let length = self.file.write(bytes)?;
        self.sum.update(&bytes[..length]);
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use octostore_actors::snapshot::SnapshotHold;

    #[test]
    fn a_copy_is_none_if_the_store_did_not_hold_still_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        // Nothing is written of an empty file, so that only the last look can tell.
        let main = tempfile::tempfile_in(folder.path()).unwrap();
        let mut hold = SnapshotHold::default();
        let snapshot = hold.give_out();
        assert!(copy(&main, folder.path(), &snapshot).unwrap().is_some());
        hold.give_up();
        assert!(copy(&main, folder.path(), &snapshot).unwrap().is_none());
    }
}
