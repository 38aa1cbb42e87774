//! Why a store could not be opened.

use super::{
    contents::Contradiction,
    files::folder_of,
    is_full,
    lock_file::{Holder, NotLocked},
    open::{Opening, VERSION},
    row::BadRow,
};
use rusqlite::ErrorCode;
use rustix::{
    fs::{Access, access},
    io::Errno,
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a store could not be opened. The messages say what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server uses it.
    #[error(
        "{path} is in use by another octostore{}: stop that one, or give this one a --database \
         of its own",
        holder.in_brackets()
    )]
    InUse {
        /// The database.
        path: PathBuf,
        /// The other server.
        holder: Holder,
    },
    /// Another program uses it.
    #[error(
        "{path} is locked by another program (a sqlite3 shell, a backup?): close it and start again"
    )]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// It is no database of ours.
    #[error("{path} is not an octostore database; it was left untouched: give another --database")]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// It is a backup.
    #[error(
        "{path} is a backup, which is not served as it is, because its fencing tokens would come \
         twice: run `octostore restore {path} --database FILE`, and serve FILE"
    )]
    Backup {
        /// The file.
        path: PathBuf,
    },
    /// It is gone, and its journal is there.
    #[error(
        "{path} is missing or empty, but there is its journal {journal}, with what was acknowledged in \
         it: put it back beside that, or restore a backup; for a new database move the journal away"
    )]
    Lost {
        /// The database.
        path: PathBuf,
        /// What is left of it.
        journal: PathBuf,
    },
    /// It is there under several names, of which one alone leads to its journal.
    #[error(
        "{path} has other names (hard links), and its journal and lock go by one of them alone: keep \
         that one and remove the others, which find -samefile {path} shows, or make symlinks of them"
    )]
    OtherNames {
        /// The database, by one of its names.
        path: PathBuf,
    },
    /// It is of a later version.
    #[error(
        "{path} has schema version {found}, this server knows up to {VERSION}; it was left \
         untouched: start the newer octostore that wrote it"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It cannot be read as it should.
    #[error("{path} is damaged ({what}); it was left untouched: restore a backup of it")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is no room to begin.
    #[error("no room on the disk of {path}: free some space and start again")]
    NoRoom {
        /// The database.
        path: PathBuf,
    },
    /// Its folder does not exist.
    #[error("{path} cannot be made: its folder does not exist; make that first, with mkdir -p")]
    NoFolder {
        /// The database.
        path: PathBuf,
    },
    /// It is a folder.
    #[error("{path} is a folder: give a --database that is a file in it")]
    IsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// It is a pipe, a socket or a device.
    #[error("{path} is no regular file: give another --database")]
    NoFile {
        /// What it is.
        path: PathBuf,
    },
    /// What stands in the place of its lock file is a link of either kind, a pipe or a device.
    #[error(
        "{path} is a link, or no file, and so no lock of ours: find out who made it, and remove it"
    )]
    NoLockFile {
        /// The lock file.
        path: PathBuf,
    },
    /// This user may not use it.
    #[error(
        "{path} may not be read and written by this user: give it the file and its folder (chown), \
         or give another --database"
    )]
    NotAllowed {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be used.
    #[error("{path} cannot be used: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// SQLite cannot use the file.
    #[error("{path} cannot be used: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl OpenError {
    /// What is wrong when the lock of the database at `path` cannot be had.
    pub fn not_locked(path: &Path, why: NotLocked) -> Self {
        match why {
            NotLocked::HeldBy(holder) => Self::InUse { path: path.to_owned(), holder },
            NotLocked::NoFile(lock) => Self::NoLockFile { path: lock },
            NotLocked::Io(lock, source) => Self::of(&lock, source),
        }
    }

    /// What is wrong when the system refuses the file at `path`.
    pub fn of(path: &Path, source: io::Error) -> Self {
        let (kind, path) = (source.kind(), path.to_owned());
        if kind == io::ErrorKind::NotFound {
            Self::NoFolder { path }
        } else if kind == io::ErrorKind::IsADirectory {
            Self::IsFolder { path }
        } else if kind == io::ErrorKind::PermissionDenied {
            Self::NotAllowed { path }
        } else if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::NoRoom { path }
        } else {
            Self::Io { path, source }
        }
    }
}

impl Opening<'_> {
    /// What the rows say cannot be.
    pub fn contradiction(&self, error: Contradiction) -> OpenError {
        match error {
            Contradiction::Row(BadRow::Sqlite(error)) => self.refuse(error),
            Contradiction::Row(BadRow::Impossible { .. } | BadRow::Changed { .. })
            | Contradiction::TokenAboveMark
            | Contradiction::TokenTwice
            | Contradiction::NoAccount => self.damaged(error.to_string()),
        }
    }

    pub fn refuse(&self, error: rusqlite::Error) -> OpenError {
        let path = self.path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                self.damaged(error.to_string())
            }
            // Our own statements only fail to parse where the schema is not ours.
            Some(ErrorCode::Unknown) => self.damaged(without_statement(&error)),
            // SQLite says the same when the disk fails.
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
                if self.is_forbidden() =>
            {
                OpenError::NotAllowed { path }
            }
            _ if is_full(&error) => OpenError::NoRoom { path },
            _ if is_impossible(&error) => self.damaged(without_statement(&error)),
            _ => OpenError::Sqlite { path, source: error },
        }
    }

    /// Whether this user may not use one of the files, or their folder.
    fn is_forbidden(&self) -> bool {
        let all = [self.path, &self.journal(), folder_of(self.path)];
        let wanted = Access::READ_OK | Access::WRITE_OK;
        all.iter().any(|path| matches!(access(*path, wanted), Err(Errno::ACCESS | Errno::ROFS)))
    }

    pub fn damaged(&self, what: String) -> OpenError {
        let what = what.lines().collect::<Vec<_>>().join(" ");
        OpenError::Damaged { path: self.path.to_owned(), what }
    }

    pub fn io(&self, source: io::Error) -> OpenError {
        OpenError::of(self.path, source)
    }
}

/// What SQLite says. rusqlite puts the whole statement behind it, which may be all of the schema.
fn without_statement(error: &rusqlite::Error) -> String {
    if let rusqlite::Error::SqlInputError { msg, .. } = error {
        msg.clone()
    } else {
        error.to_string()
    }
}

/// Whether a row is missing, or has a value that no server wrote.
fn is_impossible(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::QueryReturnedNoRows
            | rusqlite::Error::QueryReturnedMoreThanOneRow
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::SqlInputError { .. }
            | rusqlite::Error::Utf8Error(..)
    )
}

/// Why the system does not let a file be read, and what to do.
pub fn why_not_read(source: &io::Error) -> String {
    let kind = source.kind();
    if kind == io::ErrorKind::NotFound {
        "there is no such file; give the path of one".to_owned()
    } else if kind == io::ErrorKind::IsADirectory {
        "it is a folder; give a file in it".to_owned()
    } else if kind == io::ErrorKind::PermissionDenied {
        "this user may not; give it the file (chown), or be another".to_owned()
    } else {
        source.to_string()
    }
}

/// Why the system does not let a file be written, and what to do.
pub fn why_not_written(source: &io::Error) -> String {
    let kind = source.kind();
    if kind == io::ErrorKind::NotFound {
        "its folder does not exist; make that first, with mkdir -p".to_owned()
    } else if matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) {
        "this user may not write in its folder; give another path".to_owned()
    } else {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::ErrorKind::{IsADirectory, NotFound, PermissionDenied, TimedOut};

    #[test]
    fn what_keeps_a_file_from_being_used_comes_with_what_to_do() {
        let ways_out = [
            (why_not_read(&NotFound.into()), "give the path"),
            (why_not_read(&IsADirectory.into()), "give a file in it"),
            (why_not_read(&PermissionDenied.into()), "chown"),
            (why_not_read(&TimedOut.into()), "timed out"),
            (why_not_written(&NotFound.into()), "mkdir -p"),
            (why_not_written(&PermissionDenied.into()), "another path"),
            (why_not_written(&TimedOut.into()), "timed out"),
        ];
        for (said, way_out) in ways_out {
            assert!(said.contains(way_out), "{said}");
        }
    }
}
