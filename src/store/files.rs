//! What the store asks of its files besides what SQLite does with them. A simulated disk answers
//! the same questions.

use super::{
    lock_file::{LockFile, NotLocked},
    refusal::OpenError,
};
use rustix::fs::{Advice, fadvise};
use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A page of 4 KiB and its header, as the journal holds it.
const FRAME_BYTES: usize = 4096 + 24;

/// How many frames are set aside on a disk that has not room for all.
const LITTLE_JOURNAL: u32 = 64;

/// How large the journal may grow, in frames of 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSize {
    /// How much in it is worth a checkpoint when nobody waits.
    pub idle: u32,
    /// Past how much a checkpoint is made between two commits.
    pub busy: u32,
    /// How much more than that one batch may need.
    pub slack: u32,
}

impl JournalSize {
    /// How large it may grow while a backup wants the main file to stay as it is. Past that the
    /// backup begins anew.
    pub fn held(self) -> u32 {
        self.busy.saturating_mul(32)
    }
}

impl Default for JournalSize {
    fn default() -> Self {
        Self { idle: 256, busy: 1000, slack: 100 }
    }
}

/// A file that stays open, and is read beside whoever writes it.
pub trait ReadAt: Send {
    /// Fills `buffer` with what begins at `at`; says no if there is not that much.
    ///
    /// # Errors
    /// It cannot be read.
    fn fill(&self, buffer: &mut [u8], at: u64) -> io::Result<bool>;
}

impl ReadAt for File {
    fn fill(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        unless_it_ends(self.read_exact_at(buffer, at))
    }
}

/// Whether there was as much as was to be read.
pub(super) fn unless_it_ends(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The files of one database.
pub trait Files {
    /// The path without links, so that one file has one lock. The file itself may not exist yet.
    ///
    /// # Errors
    /// It is no file, or in no folder.
    fn real_path(&self, path: &Path) -> Result<PathBuf, OpenError>;

    /// Keeps other servers off; `None` where there are none.
    ///
    /// # Errors
    /// See [`NotLocked`].
    fn lock(&self, path: &Path) -> Result<Option<LockFile>, NotLocked>;

    /// How many names (hard links) a file has; none if it does not exist.
    ///
    /// # Errors
    /// The system does not say.
    fn names(&self, path: &Path) -> io::Result<u64> {
        let _not_here = path;
        Ok(1)
    }

    /// A file from its beginning. One that does not exist is empty.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, path: &Path) -> io::Result<Box<dyn Read + '_>>;

    /// A file that stays open, to be read beside SQLite; `None` where that cannot be, and no
    /// backup can be made while a server runs.
    ///
    /// # Errors
    /// It cannot be read.
    fn hold_open(&self, path: &Path) -> io::Result<Option<File>> {
        let _not_here = path;
        Ok(None)
    }

    /// The journal, which is there, to be read beside SQLite.
    ///
    /// # Errors
    /// It cannot be opened.
    fn hold_journal(&self, journal: &Path) -> io::Result<Box<dyn ReadAt>>;

    /// Makes a file that is nobody else's to read, if there is none.
    ///
    /// # Errors
    /// It cannot be written.
    fn create(&self, path: &Path) -> io::Result<()>;

    /// Fills the journal, which is empty, with zeros: as many frames as that if there is room, or
    /// a few. They are on disk when this returns.
    ///
    /// # Errors
    /// There is no room. The journal is empty.
    fn set_aside(&self, journal: &Path, frames: u32) -> io::Result<()>;

    /// Changes the bits in `mask` of the byte at `at`. They are on disk when this returns.
    ///
    /// # Errors
    /// It cannot be read or written.
    fn flip(&self, path: &Path, at: u64, mask: u8) -> io::Result<()>;

    /// What is in the file is on disk when this returns, and what is read of it afterwards is what is
    /// there: after a sync that failed the system goes on showing what was written, as if it were
    /// safe, and never writes it again. A file that does not exist has nothing.
    ///
    /// # Errors
    /// It cannot be written.
    fn settle(&self, path: &Path) -> io::Result<()>;

    /// How large the journal may grow.
    fn journal_size(&self) -> JournalSize {
        JournalSize::default()
    }

    /// The name under which SQLite finds them, if it is not the system's.
    fn vfs(&self) -> Option<&str>;
}

/// The files of this system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn real_path(&self, path: &Path) -> Result<PathBuf, OpenError> {
        match path.metadata() {
            Ok(there) if there.is_dir() => {
                return Err(OpenError::IsFolder { path: path.to_owned() });
            }
            // To open a pipe is to wait for whoever is at its other end.
            Ok(there) if !there.is_file() => {
                return Err(OpenError::NoFile { path: path.to_owned() });
            }
            Ok(_) | Err(_) => {}
        }
        let real = path.canonicalize().or_else(|_| to_be_made(path, MOST_LINKS));
        real.map_err(|source| OpenError::of(path, source))
    }

    fn lock(&self, path: &Path) -> Result<Option<LockFile>, NotLocked> {
        LockFile::take(path).map(Some)
    }

    fn names(&self, path: &Path) -> io::Result<u64> {
        match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            found => Ok(found?.nlink()),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn Read + '_>> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(io::empty())),
            opened => Ok(Box::new(BufReader::new(opened?))),
        }
    }

    fn hold_open(&self, path: &Path) -> io::Result<Option<File>> {
        File::open(path).map(Some)
    }

    fn hold_journal(&self, journal: &Path) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(File::open(journal)?))
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map(drop)
    }

    fn set_aside(&self, journal: &Path, frames: u32) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(journal)?;
        // All of it or a little: on a small disk others need the rest.
        write_zeros(&mut file, frames)
            .or_else(|_| write_zeros(&mut file, LITTLE_JOURNAL))
            .or_else(|error| file.set_len(0).and(Err(error)))
    }

    fn flip(&self, path: &Path, at: u64, mask: u8) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        file.write_all_at(&[byte[0] ^ mask], at)?;
        file.sync_all()
    }

    fn settle(&self, path: &Path) -> io::Result<()> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        file.sync_all()?;
        // What is not to be written any more is forgotten, and read from the disk. Where there is no
        // such advice there is no disk behind the file either.
        let _none_needed = fadvise(&file, 0, None, Advice::DontNeed);
        Ok(())
    }

    fn vfs(&self) -> Option<&str> {
        None
    }
}

/// How many links lead from one to the next at most, as in the kernel.
const MOST_LINKS: u32 = 40;

/// Where the file is, without links, that is made by opening `path`: it may be a link to what is not there yet.
fn to_be_made(path: &Path, links_left: u32) -> io::Result<PathBuf> {
    match path.read_link() {
        Ok(_) if links_left == 0 => Err(io::ErrorKind::InvalidInput.into()),
        Ok(target) => to_be_made(&folder_of(path).join(target), links_left - 1),
        Err(_) => {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            Ok(folder_of(path).canonicalize()?.join(name))
        }
    }
}

/// Makes `journal` as long as `frames`, of zeros that are on disk.
fn write_zeros(journal: &mut File, frames: u32) -> io::Result<()> {
    journal.set_len(0)?;
    journal.rewind()?;
    for _ in 0..frames {
        journal.write_all(&[0; FRAME_BYTES])?;
    }
    journal.sync_all()
}

/// What belongs to a database, by the ends of their names: itself, what SQLite puts beside it, and its
/// lock.
pub const OF_A_DATABASE: [&str; 5] = ["", "-wal", "-shm", "-journal", "-lock"];

/// The end of the name of the file in which a first start puts its token.
pub const FIRST_TOKEN: &str = ".admin-token";

/// The file whose name is that of the file at `path`, and this `end` behind it.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Has the name of the file at `path` on disk, as its own syncs do not.
///
/// # Errors
/// The system refuses.
pub fn sync_name(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The folder that a file is in, also where its path does not say.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_what_is_not_there_yet_names_the_file_that_will_be() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("volume")).unwrap();
        let link = |name: &str, to: &str| {
            std::os::unix::fs::symlink(to, folder.join(name)).unwrap();
            SystemFiles.real_path(&folder.join(name))
        };
        let there = folder.join("volume/o.db");
        assert_eq!(link("one", "volume/o.db").unwrap(), there);
        assert_eq!(link("two", "one").unwrap(), there);
        link("three", "no-such-folder/o.db").unwrap_err();
        link("round", "round").unwrap_err();
        std::fs::write(&there, "").unwrap();
        assert_eq!(SystemFiles.real_path(&folder.join("two")).unwrap(), there);
    }

    #[test]
    fn one_bit_is_put_right_and_nothing_else_changes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [1, 2, 3]).unwrap();
        SystemFiles.flip(file.path(), 1, 0b100).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), [1, 6, 3]);
        assert!(SystemFiles.flip(file.path(), 3, 1).is_err(), "there is no such byte");
    }
}
