//! Backups: one file that is one moment of the store, and the way back.
//!
//! A backup is the main file with everything of the journal in it, and another id in its header, by
//! which no server takes it for its database. [`restore`] makes a database of it, in which what was
//! granted or written after the backup was made cannot come twice: fencing tokens go on above all of
//! it ([`after_restore`]), and every config key has another incarnation, and so other ETags.

use super::{
    config,
    contents::Contents,
    files::{Files, SystemFiles, folder_of},
    header::{APPLICATION_ID, BACKUP_ID, ID_AT, Kind},
    is_full, lock,
    lock_file::{Holder, LockFile, NotLocked},
    open::Opening,
    refusal::{OpenError, why_not_read, why_not_written},
    statements::in_transaction,
    unfinished::UnfinishedFile,
};
use crate::{clock::BootId, ids};
use octostore_actors::domain::{
    config::{ConfigRecord, Entry},
    lock::{LockRecord, after_restore},
    values::{FencingToken, WallTime},
};
use rusqlite::{Connection, backup::Backup, config::DbConfig};
use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How much is copied at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Why there is no backup, or nothing was made of one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A server has the database.
    #[error(
        "{path} is in use by another octostore{}: stop it first",
        holder.in_brackets()
    )]
    InUse {
        /// The database.
        path: PathBuf,
        /// The server.
        holder: Holder,
    },
    /// There is nothing to be copied.
    #[error("there is no database at {0}: give its --database")]
    Nothing(PathBuf),
    /// It is no backup.
    #[error(
        "{0} is a database, not a backup: serve it as it is; or, if it is an old copy of one that \
         was served since, run `octostore backup --database {0} FILE` and restore FILE"
    )]
    NoBackup(PathBuf),
    /// Something is where the database is to be.
    #[error("{0} exists and was left as it is: move it away first")]
    Exists(PathBuf),
    /// A file cannot be read.
    #[error("{path} cannot be read: {}", why_not_read(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{path} cannot be written: {}", why_not_written(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Copies the main file of a store that a server has open into `to`, as a backup. It is good if the
/// snapshot that was taken before holds afterwards.
///
/// # Errors
/// It cannot be read, or `to` cannot be written.
pub fn copy_main_file(main: &File, to: &mut impl Write) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    loop {
        let length = match main.read_at(&mut chunk, at) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if at == 0 && length >= ID_AT + 4 {
            chunk[ID_AT..ID_AT + 4].copy_from_slice(&BACKUP_ID.to_be_bytes());
        }
        to.write_all(&chunk[..length])?;
        at += length as u64;
    }
}

/// Makes a backup of the database at `database`, which no server has open, in the empty file `to`.
/// The database stays as it is, but for one wrong bit of its journal, which is put right. What no server
/// would take in the present `boot` is refused here too.
///
/// # Errors
/// See [`BackupError`].
pub fn backup(database: &Path, to: &Path, boot: &BootId) -> Result<(), BackupError> {
    let (path, _lock) = lock_database(database)?;
    let opening = Opening { files: &SystemFiles, path: &path };
    if opening.kind()? == Kind::Nothing {
        return Err(BackupError::Nothing(path));
    }
    let journal = opening.repair_journal()?;
    // Without a journal it can be read without leaving one.
    let from = if opening.journal_bytes() == 0 {
        opening.connect_for_good()?
    } else {
        opening.connect()?
    };
    opening.version(&from)?;
    opening.verify(&from)?;
    opening.refuse_unclear_in(&from, journal, boot)?;
    copy(&from, to).map_err(|error| match error {
        error if is_full(&error) => {
            BackupError::Write { path: to.to_owned(), source: io::ErrorKind::StorageFull.into() }
        }
        error => opening.refuse(error).into(),
    })?;
    let write = |source| BackupError::Write { path: to.to_owned(), source };
    let file = File::options().write(true).open(to).map_err(write)?;
    file.write_all_at(&BACKUP_ID.to_be_bytes(), ID_AT as u64).map_err(write)?;
    file.sync_all().map_err(write)
}

fn copy(from: &Connection, to: &Path) -> rusqlite::Result<()> {
    let mut to = Connection::open(to)?;
    Backup::new(from, &mut to)?.run_to_completion(i32::MAX, Duration::ZERO, None)?;
    to.close().map_err(|(_, error)| error)
}

/// What was made of a backup.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What is in it now.
    pub contents: Contents,
    /// The fencing token after which the backup went on.
    pub was: FencingToken,
}

/// Makes a database at `database`, where there is none, of the backup at `backup`, which stays as it
/// is. `now` is the wall clock, and must be right: see [`after_restore`].
///
/// # Errors
/// See [`BackupError`]. Nothing is at `database` then.
pub fn restore(backup: &Path, database: &Path, now: WallTime) -> Result<Restored, BackupError> {
    let source = Opening { files: &SystemFiles, path: backup };
    match source.kind()? {
        Kind::Backup => {}
        Kind::Database => return Err(BackupError::NoBackup(backup.to_owned())),
        Kind::Nothing => {
            let source = io::ErrorKind::NotFound.into();
            return Err(BackupError::Read { path: backup.to_owned(), source });
        }
    }
    build(database, |opening, to| {
        let read = |source| BackupError::Read { path: backup.to_owned(), source };
        let mut from = File::open(backup).map_err(read)?;
        let write = |source| BackupError::Write { path: opening.path.to_owned(), source };
        io::copy(&mut from, to).map_err(write)?;
        // What is wrong with it is wrong with the backup.
        let of_backup = |error| rename(error, backup);
        let mut connection = opening.connect().map_err(of_backup)?;
        opening.make_current(&mut connection).map_err(of_backup)?;
        let contents =
            Contents::read(&connection).map_err(|error| of_backup(opening.contradiction(error)))?;
        let was = contents.mark;
        let contents = go_on(&mut connection, contents, now)
            .map_err(|error| of_backup(opening.refuse(error)))?;
        Ok((connection, Restored { contents, was }))
    })
}

/// Makes a database at `database`, where there is none: under another name, by `fill`, and moved
/// there when it is whole and on disk.
pub(super) fn build<T>(
    database: &Path,
    fill: impl FnOnce(&Opening<'_>, &mut File) -> Result<(Connection, T), BackupError>,
) -> Result<T, BackupError> {
    let (path, _lock) = lock_database(database)?;
    let write = |source| BackupError::Write { path: path.clone(), source };
    let target = Opening { files: &SystemFiles, path: &path };
    for taken in [path.clone(), target.journal(), target.beside("-journal")] {
        // A journal of an earlier database would be read as one of this.
        match std::fs::symlink_metadata(&taken) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) | Err(_) => return Err(BackupError::Exists(taken)),
        }
    }
    let folder = folder_of(&path);
    let mut file = UnfinishedFile::begin(folder).map_err(write)?;
    let mut handle = file.file().try_clone().map_err(write)?;
    let opening = Opening { files: &SystemFiles, path: file.path() };
    // It has another name as yet, which says nothing to anybody.
    let named = |error| name_of_unfinished(error, file.path(), &path);
    let (connection, made) = fill(&opening, &mut handle).map_err(named)?;
    let close = || {
        connection.wal_checkpoint_v2(None::<&str>, rusqlite::wal::CheckpointMode::TRUNCATE)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection.close().map_err(|(_, error)| error)
    };
    close().map_err(|error| named(opening.refuse(error).into()))?;
    file.finish(&path, false).map_err(write)?;
    Ok(made)
}

/// Lets a copy go on where nothing that was granted or written since can come twice.
pub(super) fn go_on(
    connection: &mut Connection,
    mut contents: Contents,
    now: WallTime,
) -> rusqlite::Result<Contents> {
    contents.mark = after_restore(contents.mark, now);
    let mut last: Option<Entry> = None;
    for entry in &mut contents.config {
        let same =
            last.as_ref().filter(|last| (last.account, &last.key) == (entry.account, &entry.key));
        entry.incarnation = same.map_or_else(ids::incarnation, |last| last.incarnation);
        last = Some(entry.clone());
    }
    in_transaction(connection, |transaction, statements| {
        lock::write(statements, &LockRecord::TokenMark(contents.mark))?;
        for entry in &contents.config {
            config::write(statements, &ConfigRecord::Version(entry.clone()))?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)
    })?;
    Ok(contents)
}

fn lock_database(database: &Path) -> Result<(PathBuf, LockFile), BackupError> {
    let path = SystemFiles.real_path(database)?;
    match LockFile::take(&path) {
        Ok(lock) => Ok((path, lock)),
        Err(NotLocked::HeldBy(holder)) => Err(BackupError::InUse { path, holder }),
        Err(why @ (NotLocked::NoFile(_) | NotLocked::Io(..))) => {
            Err(OpenError::not_locked(&path, why).into())
        }
    }
}

/// The same of the file at `path`, if it is of `unfinished`, which is to have that name.
fn name_of_unfinished(error: BackupError, unfinished: &Path, path: &Path) -> BackupError {
    let name = |at: PathBuf| if at == unfinished { path.to_owned() } else { at };
    match error {
        BackupError::Write { path, source } => BackupError::Write { path: name(path), source },
        BackupError::Open(OpenError::NoRoom { path }) => {
            OpenError::NoRoom { path: name(path) }.into()
        }
        BackupError::Open(OpenError::Io { path, source }) => {
            OpenError::Io { path: name(path), source }.into()
        }
        BackupError::Open(OpenError::Sqlite { path, source }) => {
            OpenError::Sqlite { path: name(path), source }.into()
        }
        other @ (BackupError::Open(_)
        | BackupError::InUse { .. }
        | BackupError::Nothing(_)
        | BackupError::NoBackup(_)
        | BackupError::Exists(_)
        | BackupError::Read { .. }) => other,
    }
}

/// The same of another file.
fn rename(error: OpenError, path: &Path) -> OpenError {
    let path = path.to_owned();
    match error {
        OpenError::Damaged { what, .. } => OpenError::Damaged { path, what },
        OpenError::Newer { found, .. } => OpenError::Newer { path, found },
        OpenError::InUse { .. }
        | OpenError::Locked { .. }
        | OpenError::Foreign { .. }
        | OpenError::Backup { .. }
        | OpenError::Lost { .. }
        | OpenError::OtherNames { .. }
        | OpenError::NoRoom { .. }
        | OpenError::NoFolder { .. }
        | OpenError::IsFolder { .. }
        | OpenError::NoFile { .. }
        | OpenError::NoLockFile { .. }
        | OpenError::NotAllowed { .. }
        | OpenError::Io { .. }
        | OpenError::Sqlite { .. } => error,
    }
}
