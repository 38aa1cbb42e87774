//! From a path to a store that may be written, or a clear refusal.
//!
//! A file that is not ours, damaged, or newer than this server is left as it is: nothing is
//! written before the whole of it has been read and found good.

use super::{
    Retention, SqliteStore, boot as boot_row,
    contents::Contents,
    files::{Files, JournalSize, SystemFiles, beside},
    header::{APPLICATION_ID, Kind},
    journal::{self, OpenJournal, Standing, WrongBit},
    limiter, lock,
    lock_file::LockFile,
    migrate::{MIGRATIONS, migrate},
    refusal::OpenError,
    statements::in_transaction,
};
use crate::clock::BootId;
use octostore_actors::{
    domain::{
        account::{Account, Token},
        config::Entry,
        flag::Flag,
        limiter::{LimitRecord, Reservation},
        lock::{Lease, LockRecord, Tokens},
        values::FencingToken,
    },
    snapshot::SnapshotHold,
    time::Instant,
};
use rusqlite::{Connection, OpenFlags, config::DbConfig, wal::CheckpointMode};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const SCHEMA: &str = include_str!("../../schema.sql");

/// The version of `schema.sql`.
pub(super) const VERSION: u32 = 2;

/// How many fencing tokens a start reserves. A crash before half of them are granted skips no more. In the
/// time that a start takes the bound of restores rises by as many.
pub const TOKEN_BLOCK: u64 = 1 << 16;

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
    open_on(&SystemFiles, path, boot, now)
}

/// The same, on other files.
///
/// # Errors
/// See [`OpenError`]; the file is then as it was.
pub fn open_on(
    files: &dyn Files,
    path: &Path,
    boot: &BootId,
    now: Instant,
) -> Result<(SqliteStore, Recovered), OpenError> {
    let path = files.real_path(path)?;
    let lock = files.lock(&path).map_err(|why| OpenError::not_locked(&path, why))?;
    Opening { files, path: &path }.open(lock, boot, now)
}

/// A file on its way from a path to a connection.
pub(super) struct Opening<'a> {
    pub files: &'a dyn Files,
    pub path: &'a Path,
}

impl Opening<'_> {
    fn open(
        &self,
        lock: Option<LockFile>,
        boot: &BootId,
        now: Instant,
    ) -> Result<(SqliteStore, Recovered), OpenError> {
        if self.kind()? == Kind::Backup {
            return Err(OpenError::Backup { path: self.path.to_owned() });
        }
        self.settle_journal()?;
        let standing = self.repair_journal()?;
        let main = self.hold_open()?;
        let mut connection = self.connect()?;
        if self.version(&connection)? == 0 {
            self.create(&mut connection, boot)?;
        } else {
            self.make_current(&mut connection)?;
        }
        let recovered = self.recover(&mut connection, standing, boot, now)?;

        let size = self.files.journal_size();
        let file = self.files.hold_journal(&self.journal()).map_err(|source| self.io(source))?;
        let journal =
            OpenJournal::of(&mut connection, size, file).map_err(|error| self.refuse(error))?;
        let retention = Retention::default();
        let (hold, is_full, watch) = (SnapshotHold::default(), false, None);
        let mut store =
            SqliteStore { connection, main, hold, retention, journal, is_full, watch, lock };
        // From here on the mark is in the main file, whatever becomes of the journal.
        store.checkpoint(CheckpointMode::TRUNCATE).map_err(|error| self.refuse(error))?;
        if let Err(error) = self.extend_journal(size) {
            tracing::warn!(%error, "no room was set aside for the journal: commits are slower");
        }
        Ok((store, recovered))
    }

    /// Fills the journal, which is empty, with zeros up to where it is checkpointed. Writing over
    /// what a file has already is much faster to sync than making it longer, and what the journal
    /// has already it does not lack when the disk is full. SQLite reads zeros as no frames.
    fn extend_journal(&self, size: JournalSize) -> io::Result<()> {
        self.files.set_aside(&self.journal(), size.busy + size.slack)
    }

    /// How the journal stands. Refuses one that has lost commits, which SQLite would not notice.
    pub fn inspect_journal(&self) -> Result<Standing, OpenError> {
        let inspected = self.files.read(&self.journal()).and_then(journal::inspect);
        inspected
            .map_err(|source| self.io(source))?
            .map_err(|damage| self.damaged(format!("of its journal (-wal), {damage}")))
    }

    /// The same, and puts one wrong bit right.
    pub fn repair_journal(&self) -> Result<Standing, OpenError> {
        let standing = self.inspect_journal()?;
        if let Standing::OneBit(WrongBit { at, mask }) = standing {
            tracing::warn!(at, mask, "one wrong bit in the journal is put right: check the disk");
            let path = self.journal();
            self.files.flip(&path, at, mask).map_err(|source| self.io(source))?;
        }
        Ok(standing)
    }

    /// Refuses a journal whose last transaction is incomplete, if it was written in the present `boot`:
    /// the power has not gone, so it was not interrupted by that. The file is `of` that boot.
    pub fn refuse_unclear(
        &self,
        journal: Standing,
        of: &BootId,
        boot: &BootId,
    ) -> Result<(), OpenError> {
        match journal {
            Standing::Unclear(frame) if of == boot => {
                Err(self.damaged(format!("frame {frame} of its journal (-wal) has a wrong bit")))
            }
            Standing::Whole | Standing::OneBit(_) | Standing::Unclear(_) => Ok(()),
        }
    }

    /// What is read of the journal from here on is on disk. A process that was killed may have written
    /// a transaction and not synced it, or failed to: it is built upon, so it must not vanish any
    /// more. If the next one outlived it, the journal would look as if it had lost a commit; and if
    /// it vanished while it is moved into the main file, a part of it would stay there.
    ///
    /// Nothing like that can be in the main file: what was not synced there is still in the journal,
    /// and is moved once more.
    fn settle_journal(&self) -> Result<(), OpenError> {
        self.files.settle(&self.journal()).map_err(|source| self.io(source))
    }

    pub fn journal(&self) -> PathBuf {
        self.beside("-wal")
    }

    pub fn beside(&self, end: &str) -> PathBuf {
        beside(self.path, end)
    }

    /// The main file, to be read beside SQLite. It is opened before SQLite locks it and must be
    /// closed after SQLite has closed it: to close any handle of a file is to let go of all POSIX
    /// locks that the process has on it.
    fn hold_open(&self) -> Result<Option<Arc<File>>, OpenError> {
        // Hashes of bearer tokens lie in it: it is nobody else's to read.
        self.files.create(self.path).map_err(|source| self.io(source))?;
        let held = self.files.hold_open(self.path).map_err(|source| self.io(source))?;
        Ok(held.map(Arc::new))
    }

    /// Opens the file for this process alone. Nothing is written yet.
    pub fn connect(&self) -> Result<Connection, OpenError> {
        // The path is without links: one that is there now was put there by somebody else.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let sqlite = |error| self.refuse(error);
        let connection = match self.files.vfs() {
            Some(vfs) => Connection::open_with_flags_and_vfs(self.path, flags, vfs),
            None => Connection::open_with_flags(self.path, flags),
        };
        let connection = connection.map_err(sqlite)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(sqlite)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(sqlite)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(sqlite)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(sqlite)?;
        connection.pragma_update(None, "cache_size", -16_384).map_err(sqlite)?;
        Ok(connection)
    }

    /// Checks a file that is there, and brings it up to `schema.sql`.
    pub fn make_current(&self, connection: &mut Connection) -> Result<(), OpenError> {
        let version = self.version(connection)?;
        self.verify(connection)?;
        migrate(connection, version, MIGRATIONS).map_err(|error| self.refuse(error))?;
        self.verify_schema(connection)
    }

    pub fn version(&self, connection: &Connection) -> Result<u32, OpenError> {
        let read = connection.pragma_query_value(None, "user_version", |row| row.get(0));
        let found = read.map_err(|error| self.refuse(error))?;
        // The journal may say more than the header did.
        if found > VERSION {
            return Err(OpenError::Newer { path: self.path.to_owned(), found });
        }
        Ok(found)
    }

    /// Fills an empty file. The whole schema is there or nothing is.
    pub fn create(&self, connection: &mut Connection, boot: &BootId) -> Result<(), OpenError> {
        let create = |connection: &mut Connection| {
            in_transaction(connection, |transaction, statements| {
                transaction.execute_batch(SCHEMA)?;
                boot_row::write(statements, boot)?;
                lock::write(statements, &LockRecord::TokenMark(FencingToken::ZERO))?;
                transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
                transaction.pragma_update(None, "user_version", VERSION)
            })
        };
        create(connection).map_err(|error| self.refuse(error))
    }

    /// Begins the write-ahead log. A file that has just been made has none, nor has one whose making
    /// was interrupted before this; without it a commit could be taken back by the next power cut.
    pub fn begin_journal(&self, connection: &Connection) -> Result<(), OpenError> {
        let begin = || {
            let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
            // To the end: it has given its answer when it begins to write.
            let modes = statement.query_map([], |row| row.get::<_, String>(0))?;
            modes.collect::<rusqlite::Result<Vec<_>>>()
        };
        if begin().map_err(|error| self.refuse(error))? == ["wal"] {
            Ok(())
        } else {
            Err(self.io(io::Error::other("it cannot have a write-ahead log")))
        }
    }

    /// Reads every page once, and twice what has an index besides. What the rows say is checked
    /// where they are read.
    pub fn verify(&self, connection: &Connection) -> Result<(), OpenError> {
        let checks = ["quick_check", "integrity_check('accounts')", "integrity_check('config')"];
        for check in checks {
            let found: String = connection
                .query_one(&format!("PRAGMA {check}"), [], |row| row.get(0))
                .map_err(|error| self.refuse(error))?;
            if found != "ok" {
                return Err(self.damaged(found));
            }
        }
        Ok(())
    }

    /// Refuses a file whose tables are not those of `schema.sql`.
    pub fn verify_schema(&self, connection: &Connection) -> Result<(), OpenError> {
        let schema = |connection: &Connection| {
            let mut statement = connection
                .prepare("SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY name")?;
            let texts = statement.query_map([], |row| row.get::<_, String>(0))?;
            // A migration may have laid it out in another way.
            let plain = |text: String| text.split_whitespace().collect::<String>();
            texts.map(|text| text.map(plain)).collect::<rusqlite::Result<Vec<_>>>()
        };
        let expected = || {
            let fresh = Connection::open_in_memory()?;
            fresh.execute_batch(SCHEMA)?;
            schema(&fresh)
        };
        let same = expected().and_then(|expected| Ok(schema(connection)? == expected));
        if same.map_err(|error| self.refuse(error))? {
            Ok(())
        } else {
            Err(self.damaged("its tables are not ours".to_owned()))
        }
    }

    /// Reads everything, and writes what a start changes: the boot, and the reserved tokens.
    fn recover(
        &self,
        connection: &mut Connection,
        journal: Standing,
        boot: &BootId,
        now: Instant,
    ) -> Result<Recovered, OpenError> {
        let Contents {
            boot: of,
            mark: last,
            accounts,
            tokens: bearers,
            mut leases,
            limits,
            flags,
            config,
        } = Contents::read(connection).map_err(|error| self.contradiction(error))?;
        self.refuse_unclear(journal, &of, boot)?;
        let rebooted = of != *boot;
        for lease in &mut leases {
            // More than its whole time cannot be left, whatever the clock did.
            let whole = now + lease.ttl.as_duration();
            lease.expires = if rebooted { whole } else { lease.expires.min(whole) };
        }

        let limits: Vec<Reservation> =
            limits.into_iter().map(|row| row.recovered(now, rebooted)).collect();

        self.begin_journal(connection)?;
        let mark = last.saturating_add(TOKEN_BLOCK);
        let begun = in_transaction(connection, |_, statements| {
            if rebooted {
                for lease in &leases {
                    lock::write(statements, &LockRecord::Held(lease.clone()))?;
                }
                for row in &limits {
                    limiter::write(statements, &LimitRecord::Reserved(row.clone()))?;
                }
                boot_row::write(statements, boot)?;
            }
            lock::write(statements, &LockRecord::TokenMark(mark))
        });
        begun.map_err(|error| self.refuse(error))?;

        let tokens = Tokens::new(last, mark, TOKEN_BLOCK);
        Ok(Recovered { leases, tokens, limits, flags, config, accounts, bearers })
    }
}
