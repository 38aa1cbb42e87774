//! Why a store could not be opened.

use super::{lock_file::Holder, open::VERSION};
use std::{io, path::PathBuf};

/// Why a store could not be opened. The messages say what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server uses it.
    #[error(
        "{path} is in use by another octostore{}: stop that one, or give this one a --database \
         of its own",
        holder.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
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
