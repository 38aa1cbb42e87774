//! The files of the simulated disk, as the store asks for them.

use super::{Failed, SharedDisk, vfs};
use octostore::store::{Files, JournalSize, LockFile, NotLocked, OpenError, ReadAt};
use std::{
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
};

/// A page of 4 KiB and its header, as the journal holds it.
const FRAME_BYTES: usize = 4096 + 24;

/// How many frames are set aside where there is no room for all.
const LITTLE_JOURNAL: u32 = 4;

/// The files on one disk.
#[derive(Debug)]
pub struct SimulatedFiles {
    /// The disk.
    pub disk: SharedDisk,
    /// How large the journal may grow.
    pub size: JournalSize,
}

impl Files for SimulatedFiles {
    fn real_path(&self, path: &Path) -> Result<PathBuf, OpenError> {
        Ok(path.to_owned())
    }

    fn lock(&self, _: &Path) -> Result<Option<LockFile>, NotLocked> {
        Ok(None)
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read + '_>> {
        let (disk, name) = (self.disk.get(), name(path));
        if !disk.exists(name) {
            return Ok(Box::new(io::empty()));
        }
        let mut content = vec![0; disk.length(name).map_err(error)?];
        disk.read(name, 0, &mut content).map_err(error)?;
        Ok(Box::new(Cursor::new(content)))
    }

    fn hold_journal(&self, journal: &Path) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(Held { disk: self.disk.clone(), name: name(journal).to_owned() }))
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        self.disk.get().create(name(path)).map_err(error)
    }

    fn set_aside(&self, journal: &Path, frames: u32) -> io::Result<()> {
        let name = name(journal);
        self.fill(name, frames)
            .or_else(|_| self.fill(name, LITTLE_JOURNAL.min(frames)))
            .or_else(|failed| self.disk.get().cut_short(name, 0).and(Err(failed)))
            .map_err(error)
    }

    fn flip(&self, path: &Path, at: u64, mask: u8) -> io::Result<()> {
        let (mut disk, name) = (self.disk.get(), name(path));
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let mut byte = [0];
        disk.read(name, at, &mut byte).map_err(error)?;
        disk.write(name, at, &[byte[0] ^ mask]).map_err(error)?;
        disk.sync(name).map_err(error)
    }

    fn settle(&self, path: &Path) -> io::Result<()> {
        let (mut disk, name) = (self.disk.get(), name(path));
        if !disk.exists(name) {
            return Ok(());
        }
        disk.sync(name).map_err(error)?;
        disk.forget(name).map_err(error)
    }

    fn journal_size(&self) -> JournalSize {
        self.size
    }

    fn vfs(&self) -> Option<&str> {
        Some(vfs::NAME)
    }
}

/// A file that is read beside SQLite.
struct Held {
    disk: SharedDisk,
    name: String,
}

impl ReadAt for Held {
    fn fill(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let read = self.disk.get().read(&self.name, at, buffer).map_err(error)?;
        Ok(read == buffer.len())
    }
}

impl SimulatedFiles {
    fn fill(&self, name: &str, frames: u32) -> Result<(), Failed> {
        let mut disk = self.disk.get();
        disk.cut_short(name, 0)?;
        for frame in 0..frames as usize {
            disk.write(name, frame * FRAME_BYTES, &[0; FRAME_BYTES])?;
        }
        disk.sync(name)
    }
}

/// The last part of a path: a disk has one folder.
fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn error(failed: Failed) -> io::Error {
    match failed {
        Failed::Io => io::Error::other("the simulated disk failed"),
        Failed::Full => io::ErrorKind::StorageFull.into(),
    }
}
