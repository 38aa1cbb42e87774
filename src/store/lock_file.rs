//! One server a file: a lock file beside the database, with the holder's pid in it.

use super::files::beside;
use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, open},
    io::Errno,
};
use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Held while a server uses the database, and let go of when this is dropped. The kernel lets go of it
/// when the process ends, however it ends, so the file itself stays and means nothing.
#[derive(Debug)]
pub struct LockFile {
    file: File,
    /// The process that took it.
    pid: u32,
}

/// Who has the lock, as far as the lock file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its process.
    pub pid: Option<u32>,
    /// Where it listens, as `--bind` has it.
    pub addresses: Vec<String>,
}

impl Holder {
    /// Reads the pid, on the first line, and the addresses, on the others.
    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let pid = lines.next().and_then(|line| line.trim().parse().ok());
        Self { pid, addresses: lines.map(str::to_owned).collect() }
    }

    /// ` (pid 7)`, to be put behind what it is; nothing if that is not known.
    pub fn in_brackets(&self) -> String {
        self.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    }
}

/// Why the lock was not taken.
#[derive(Debug)]
pub enum NotLocked {
    /// Another server has it.
    HeldBy(Holder),
    /// What stands in the place of the lock file is another thing: a link of either kind, a pipe, a device.
    NoFile(PathBuf),
    /// The lock file cannot be used.
    Io(PathBuf, io::Error),
}

impl LockFile {
    /// Takes the lock of the database at `database`, without waiting.
    pub fn take(database: &Path) -> Result<Self, NotLocked> {
        let path = beside(database, "-lock");
        let io = |source| NotLocked::Io(path.clone(), source);
        // Not through a link, and without waiting for who is at the other end of a pipe: whoever may write
        // into this folder must not have us write over any other file of ours.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut file = match open(&path, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => File::from(file),
            Err(Errno::LOOP) => return Err(NotLocked::NoFile(path)),
            Err(error) => return Err(io(error.into())),
        };
        let found = file.metadata().map_err(io)?;
        // With a second name (hard link) it is another's file too.
        if !found.is_file() || found.nlink() > 1 {
            return Err(NotLocked::NoFile(path));
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let read = file.read_to_string(&mut text);
                let holder = read.map_or_else(|_| Holder::default(), |_| Holder::parse(&text));
                return Err(NotLocked::HeldBy(holder));
            }
            Err(error) => return Err(io(error.into())),
        }
        let mut lock = Self { file, pid: std::process::id() };
        lock.begin().map_err(io)?;
        Ok(lock)
    }

    /// Writes who holds it, over whatever is there.
    fn begin(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{}", self.pid)
    }

    /// Says where the server listens, for commands on this machine.
    ///
    /// # Errors
    /// The lock file cannot be written.
    pub fn announce(&mut self, addresses: &[String]) -> io::Result<()> {
        for address in addresses {
            writeln!(self.file, "{address}")?;
        }
        Ok(())
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // To close it is not enough: a child that another thread has just started has a copy until it
        // becomes another program, and the lock is held as long as there is one. And if this is such a
        // copy, in a child that goes on as it is, the lock is not its own to let go of.
        if self.pid == std::process::id() {
            // It is held, so nothing can be wrong with it; if something is, closing it is what is left.
            let _closed_then = flock(&self.file, FlockOperation::Unlock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_says_of_its_holder_alone_whatever_an_earlier_one_left_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("octostore.db");
        let earlier = "4194304\nhttp://127.0.0.1:3000\nunix:/run/octostore.sock\n";
        std::fs::write(folder.path().join("octostore.db-lock"), earlier).unwrap();
        let _lock = LockFile::take(&database).unwrap();
        let NotLocked::HeldBy(holder) = LockFile::take(&database).unwrap_err() else {
            panic!("it is there")
        };
        assert_eq!(holder, Holder { pid: Some(std::process::id()), addresses: Vec::new() });
    }

    #[test]
    fn what_a_link_in_its_place_leads_to_is_neither_written_nor_made() {
        let folder = tempfile::tempdir().unwrap();
        let (database, other) = (folder.path().join("octostore.db"), folder.path().join("other"));
        std::os::unix::fs::symlink(&other, folder.path().join("octostore.db-lock")).unwrap();
        assert!(matches!(LockFile::take(&database), Err(NotLocked::NoFile(_))));
        assert!(!other.exists());
        std::fs::write(&other, "of somebody else").unwrap();
        assert!(matches!(LockFile::take(&database), Err(NotLocked::NoFile(_))));
        std::fs::remove_file(folder.path().join("octostore.db-lock")).unwrap();
        std::fs::hard_link(&other, folder.path().join("octostore.db-lock")).unwrap();
        assert!(matches!(LockFile::take(&database), Err(NotLocked::NoFile(_))));
        assert_eq!(std::fs::read(&other).unwrap(), b"of somebody else");
    }

    #[test]
    fn a_lock_is_free_once_it_is_dropped_although_a_child_has_a_copy_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("octostore.db");
        let lock = LockFile::take(&database).unwrap();
        let _of_a_child = lock.file.try_clone().unwrap();
        drop(lock);
        LockFile::take(&database).unwrap();
    }

    #[test]
    fn a_child_that_drops_its_copy_of_a_lock_does_not_free_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("octostore.db");
        let lock = LockFile::take(&database).unwrap();
        let of_a_parent = std::os::unix::process::parent_id();
        drop(LockFile { file: lock.file.try_clone().unwrap(), pid: of_a_parent });
        assert!(matches!(LockFile::take(&database), Err(NotLocked::HeldBy(_))));
    }
}
