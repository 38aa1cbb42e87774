//! One server a file: a lock file beside the database, with the holder's pid in it.

use rustix::fs::{FlockOperation, flock};
use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Held while a server uses the database. The kernel lets go of it when the process ends,
/// however it ends, so the file itself stays and means nothing.
#[derive(Debug)]
pub struct LockFile {
    _file: File,
}

/// Why the lock was not taken.
#[derive(Debug)]
pub enum NotLocked {
    /// Another server has it; its pid, if it could be read.
    HeldBy(Option<u32>),
    /// The lock file cannot be used.
    Io(PathBuf, io::Error),
}

impl LockFile {
    /// Takes the lock of the database at `database`, without waiting.
    pub fn take(database: &Path) -> Result<Self, NotLocked> {
        let mut path = OsString::from(database);
        path.push("-lock");
        let path = PathBuf::from(path);
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
                let mut pid = String::new();
                let read = file.read_to_string(&mut pid);
                return Err(Ok(NotLocked::HeldBy(read.ok().and_then(|_| pid.trim().parse().ok()))));
            }
            Err(error) => return Err(Err(error.into())),
        }
        file.set_len(0).map_err(Err)?;
        file.rewind().map_err(Err)?;
        writeln!(file, "{}", std::process::id()).map_err(Err)?;
        Ok(Self { _file: file })
    }
}
