//! From a path to a store that may be written, or a clear refusal.
//!
//! A file that is not ours, damaged, or newer than this server is left as it is: nothing is
//! written before the whole of it has been read and found good.

use super::{
    BUSY_CHECKPOINT, Retention, SqliteStore, account, config, flag, is_full, limiter, lock,
    lock_file::{LockFile, NotLocked},
    migrate::{MIGRATIONS, migrate},
    refusal::OpenError,
    row::BadRow,
    statements::Statements,
};
use crate::clock::BootId;
use octostore_actors::{
    domain::{
        account::{Account, Token},
        config::Entry,
        flag::Flag,
        limiter::{LimitRecord, Reservation},
        lock::{Lease, LockRecord, Tokens},
    },
    time::Instant,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, wal::CheckpointMode};
use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

const SCHEMA: &str = include_str!("../../schema.sql");

/// The version of `schema.sql`.
pub(super) const VERSION: u32 = 2;

/// "octo": says in the header of a SQLite file whose file it is.
const APPLICATION_ID: u32 = 0x6f63_746f;

/// How many fencing tokens are reserved at a time. A crash skips at most this many; there are
/// enough for 500 million crashes.
pub const TOKEN_BLOCK: u64 = 1 << 24;

/// A page of 4 KiB and its header, as the journal holds it.
const FRAME_BYTES: usize = 4096 + 24;

/// How many frames beyond the checkpoint a batch may need.
const JOURNAL_SLACK: u32 = 100;

/// How many frames are set aside on a disk that has not room for all.
const LITTLE_JOURNAL: u32 = 64;

/// How long to wait for another program that has the file open.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// What a store held when it was opened.
#[derive(Debug)]
pub struct Recovered {
    /// The leases, on the lease clock of the present boot.
    pub leases: Vec<Lease>,
    /// The fencing tokens that may be granted, reserved on disk.
    pub tokens: Tokens,
    /// The rate limiters, with everything spent that may have been.
    pub limits: Vec<Reservation>,
    /// The flags.
    pub flags: Vec<Flag>,
    /// All versions of the config keys, those of one key in their order.
    pub config: Vec<Entry>,
    /// The accounts.
    pub accounts: Vec<Account>,
    /// Their bearer tokens.
    pub bearers: Vec<Token>,
}

/// Opens the store at `path`, making it if there is none, for the present `boot` whose lease
/// clock says `now`.
///
/// # Errors
/// See [`OpenError`]; the file is then as it was.
pub fn open(
    path: &Path,
    boot: &BootId,
    now: Instant,
) -> Result<(SqliteStore, Recovered), OpenError> {
    let path = real_path(path)?;
    let lock = LockFile::take(&path).map_err(|error| match error {
        NotLocked::HeldBy(pid) => OpenError::InUse { path: path.clone(), pid },
        NotLocked::Io(path, source) => OpenError::Io { path, source },
    })?;
    Opening { path: &path }.open(lock, boot, now)
}

/// The path without links, so that one file has one lock. The file itself may not exist yet.
fn real_path(path: &Path) -> Result<PathBuf, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    if path.is_dir() {
        return Err(io(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    if let Ok(real) = path.canonicalize() {
        return Ok(real);
    }
    let name = path.file_name().ok_or_else(|| io(io::Error::from(io::ErrorKind::InvalidInput)))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let folder = folder
        .canonicalize()
        .map_err(|source| OpenError::Io { path: folder.to_owned(), source })?;
    Ok(folder.join(name))
}

struct Opening<'a> {
    path: &'a Path,
}

impl Opening<'_> {
    fn open(
        &self,
        lock: LockFile,
        boot: &BootId,
        now: Instant,
    ) -> Result<(SqliteStore, Recovered), OpenError> {
        self.check_header()?;
        let mut connection = self.connect()?;
        let version = self.version(&connection)?;
        if version == 0 {
            self.create(&mut connection, boot)?;
        } else {
            self.verify(&connection)?;
            migrate(&mut connection, version, MIGRATIONS).map_err(|error| self.refuse(error))?;
        }
        let recovered = self.recover(&mut connection, boot, now)?;

        let frames = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&frames);
        connection
            .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
                seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
                Ok(())
            }))
            .map_err(|error| self.refuse(error))?;
        let retention = Retention::default();
        let store = SqliteStore { connection, retention, frames, _lock: lock };
        // From here on the mark is in the main file, whatever becomes of the journal.
        store.checkpoint(CheckpointMode::TRUNCATE).map_err(|error| self.refuse(error))?;
        if let Err(error) = self.extend_journal() {
            tracing::warn!(%error, "no room was set aside for the journal: commits are slower");
        }
        Ok((store, recovered))
    }

    /// Fills the journal, which is empty, with zeros up to where it is checkpointed. Writing over
    /// what a file has already is much faster to sync than making it longer, and what the journal
    /// has already it does not lack when the disk is full. SQLite reads zeros as no frames.
    fn extend_journal(&self) -> io::Result<()> {
        let mut path = self.path.as_os_str().to_owned();
        path.push("-wal");
        let mut file = OpenOptions::new().write(true).open(path)?;
        // All of it or a little: on a small disk others need the rest.
        fill(&mut file, BUSY_CHECKPOINT + JOURNAL_SLACK)
            .or_else(|_| fill(&mut file, LITTLE_JOURNAL))
            .or_else(|error| file.set_len(0).and(Err(error)))
    }

    /// Refuses what is not ours by the first bytes of the file, before SQLite opens it.
    fn check_header(&self) -> Result<(), OpenError> {
        let mut header = [0; 100];
        let length = match File::open(self.path) {
            Ok(mut file) => read_up_to(&mut file, &mut header).map_err(|source| self.io(source))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(source) => return Err(self.io(source)),
        };
        if length == 0 {
            return Ok(());
        }
        let number = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let path = self.path.to_owned();
        if length < header.len()
            || !header.starts_with(b"SQLite format 3\0")
            || number(68) != APPLICATION_ID
        {
            return Err(OpenError::Foreign { path });
        }
        let found = number(60);
        if found > VERSION {
            return Err(OpenError::Newer { path, found });
        }
        Ok(())
    }

    /// Opens the file for this process alone. Nothing is written yet.
    fn connect(&self) -> Result<Connection, OpenError> {
        // Hashes of bearer tokens lie in it: it is nobody else's to read.
        let file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(self.path);
        drop(file.map_err(|source| self.io(source))?);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sqlite = |error| self.refuse(error);
        let connection = Connection::open_with_flags(self.path, flags).map_err(sqlite)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(sqlite)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(sqlite)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(sqlite)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(sqlite)?;
        connection.pragma_update(None, "cache_size", -65_536).map_err(sqlite)?;
        Ok(connection)
    }

    fn version(&self, connection: &Connection) -> Result<u32, OpenError> {
        let read = connection.pragma_query_value(None, "user_version", |row| row.get(0));
        let found = read.map_err(|error| self.refuse(error))?;
        // The journal may say more than the header did.
        if found > VERSION {
            return Err(OpenError::Newer { path: self.path.to_owned(), found });
        }
        Ok(found)
    }

    /// Fills an empty file. The whole schema is there or nothing is: the journal mode is only
    /// changed afterwards, so an interrupted creation leaves an empty file behind.
    fn create(&self, connection: &mut Connection, boot: &BootId) -> Result<(), OpenError> {
        let create = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.execute("INSERT INTO boot (one, id) VALUES (1, ?1)", [boot.as_str()])?;
            transaction.execute("INSERT INTO token_mark (one, mark) VALUES (1, 0)", [])?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
            connection.pragma_update(None, "journal_mode", "WAL")
        };
        create(connection).map_err(|error| self.refuse(error))
    }

    /// Reads every page once.
    fn verify(&self, connection: &Connection) -> Result<(), OpenError> {
        let found: String = connection
            .pragma_query_value(None, "quick_check", |row| row.get(0))
            .map_err(|error| self.refuse(error))?;
        if found == "ok" { Ok(()) } else { Err(self.damaged(found)) }
    }

    /// Reads everything, and writes what a start changes: the boot, and the reserved tokens.
    fn recover(
        &self,
        connection: &mut Connection,
        boot: &BootId,
        now: Instant,
    ) -> Result<Recovered, OpenError> {
        let bad = |error: BadRow| match error {
            BadRow::Sqlite(error) => self.refuse(error),
            BadRow::Impossible { .. } => self.damaged(error.to_string()),
        };
        let last_boot: String = connection
            .query_one("SELECT id FROM boot", [], |row| row.get(0))
            .map_err(|error| self.refuse(error))?;
        let last = lock::token_mark(connection).map_err(bad)?;
        let accounts = account::accounts(connection).map_err(bad)?;
        let bearers = account::tokens(connection).map_err(bad)?;
        let mut leases = lock::leases(connection).map_err(bad)?;
        if leases.iter().any(|lease| lease.token > last) {
            return Err(self.damaged("a fencing token is above the mark".to_owned()));
        }
        let known: HashSet<_> = accounts.iter().map(|account| account.id).collect();
        let held_by = leases.iter().map(|lease| lease.holder.account);
        let opened_by = bearers.iter().map(|token| token.account);
        if held_by.chain(opened_by).any(|account| !known.contains(&account)) {
            return Err(self.damaged("a lock or a token is of an account that is not".to_owned()));
        }
        let rebooted = last_boot != boot.as_str();
        for lease in &mut leases {
            // More than its whole time cannot be left, whatever the clock did.
            let whole = now + lease.ttl.as_duration();
            lease.expires = if rebooted { whole } else { lease.expires.min(whole) };
        }

        let limits = limiter::reservations(connection).map_err(bad)?;
        let limits: Vec<Reservation> =
            limits.into_iter().map(|row| row.recovered(now, rebooted)).collect();
        let flags = flag::flags(connection).map_err(bad)?;
        let config = config::entries(connection).map_err(bad)?;

        let mark = last.saturating_add(TOKEN_BLOCK);
        let begin = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            let mut statements = Statements::new(&transaction);
            if rebooted {
                lock::restart_leases(&transaction, now)?;
                for row in &limits {
                    limiter::write(&mut statements, &LimitRecord::Reserved(row.clone()))?;
                }
                transaction.execute("UPDATE boot SET id = ?1", [boot.as_str()])?;
            }
            lock::write(&mut statements, &LockRecord::TokenMark(mark))?;
            drop(statements);
            transaction.commit()
        };
        begin(connection).map_err(|error| self.refuse(error))?;

        let tokens = Tokens::new(last, mark, TOKEN_BLOCK);
        Ok(Recovered { leases, tokens, limits, flags, config, accounts, bearers })
    }

    fn refuse(&self, error: rusqlite::Error) -> OpenError {
        let path = self.path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                self.damaged(error.to_string())
            }
            // Our own statements only fail to parse where the schema is not ours.
            Some(ErrorCode::Unknown) => self.damaged(error.to_string()),
            _ if is_full(&error) => OpenError::NoRoom { path },
            _ if is_impossible(&error) => self.damaged(error.to_string()),
            _ => OpenError::Sqlite { path, source: error },
        }
    }

    fn damaged(&self, what: String) -> OpenError {
        let what = what.lines().collect::<Vec<_>>().join(" ");
        OpenError::Damaged { path: self.path.to_owned(), what }
    }

    fn io(&self, source: io::Error) -> OpenError {
        OpenError::Io { path: self.path.to_owned(), source }
    }
}

/// Makes `journal` as long as `frames`, of zeros that are on disk.
fn fill(journal: &mut File, frames: u32) -> io::Result<()> {
    journal.set_len(0)?;
    journal.rewind()?;
    for _ in 0..frames {
        journal.write_all(&[0; FRAME_BYTES])?;
    }
    journal.sync_all()
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
    )
}

/// Reads until `buffer` is full or the file ends; returns how much it was.
fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}
