//! One server a file: a lock file beside the database, with the holder's pid in it.

use super::files::beside;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Held while a server uses the database. The kernel lets go of it when the process ends,
/// however it ends, so the file itself stays and means nothing.
#[derive(Debug)]
pub struct LockFile {
    file: File,
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
    /// The lock file cannot be used.
    Io(PathBuf, io::Error),
}

impl LockFile {
    /// Takes the lock of the database at `database`, without waiting.
    pub fn take(database: &Path) -> Result<Self, NotLocked> {
        let path = beside(database, "-lock");
        Self::take_at(&path).map_err(|error| error.unwrap_or_else(|io| NotLocked::Io(path, io)))
    }

    fn take_at(path: &Path) -> Result<Self, Result<NotLocked, io::Error>> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(Err)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let read = file.read_to_string(&mut text);
                return Err(Ok(NotLocked::HeldBy(
                    read.map_or_else(|_| Holder::default(), |_| Holder::parse(&text)),
                )));
            }
            Err(error) => return Err(Err(error.into())),
        }
        file.set_len(0).map_err(Err)?;
        file.rewind().map_err(Err)?;
        writeln!(file, "{}", std::process::id()).map_err(Err)?;
        Ok(Self { file })
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
}
