//! The store: SQLite, owned by the persistence actor, and the only SQL.
//!
//! - [`backup`], [`check`], [`fill`]: whole files: copied, looked at, made of lines;
//! - [`open`]: from a path to a store that may be written, or a clear [`refusal`];
//! - [`lock`], [`limiter`], [`flag`], [`config`], [`account`], [`audit`]: one file a domain, rows to values and
//!   back;
//! - here: the commit, and the checkpoints between commits.

mod account;
mod audit;
mod backup;
mod boot;
mod check;
mod config;
mod contents;
mod files;
mod fill;
mod flag;
mod header;
mod journal;
mod limiter;
mod lock;
mod lock_file;
mod migrate;
mod open;
mod refusal;
mod row;
mod statements;
#[cfg(test)]
mod tests;
mod unfinished;

pub use audit::Retention;
pub use backup::{BackupError, Restored, backup, copy_main_file, restore};
pub use check::{Checked, check};
pub use contents::{Contents, Contradiction};
pub use files::{
    FIRST_TOKEN, Files, JournalSize, ReadAt, SystemFiles, beside, folder_of, sync_name,
};
pub use fill::{AuditRows, fill};
pub use header::belongs_to_a_database;
pub use journal::NotRefused;
pub use lock_file::{Holder, LockFile, NotLocked};
pub use open::{Recovered, TOKEN_BLOCK, open, open_on};
pub use refusal::{OpenError, why_not_read, why_not_written};
pub use unfinished::{UnfinishedFile, remove_unfinished};

use crate::metrics::store::{StoreCounts, StoreWatch};
use journal::OpenJournal;
use octostore_actors::{
    commit::{Pressure, Store, StoreFailure, Unreadable, Verdict},
    domain::{
        Record,
        audit::{AuditPage, AuditQuery},
        lock::LockRecord,
    },
    snapshot::{Snapshot, SnapshotHold},
    time::Instant,
};
use row::BadRow;
use rusqlite::{Connection, ErrorCode, config::DbConfig, wal::CheckpointMode};
use statements::Statements;
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How long an idle server with a full disk leaves it alone.
const FULL_UNTIL_TRIED_AGAIN: Duration = Duration::from_secs(1);

/// The files of a store at `path`: the main file, and the journal beside it.
pub fn files_of(path: &Path) -> Vec<(&'static str, PathBuf)> {
    vec![("database", path.to_owned()), ("journal", beside(path, "-wal"))]
}

/// The store in a SQLite file.
pub struct SqliteStore {
    connection: Connection,
    /// The main file, to be copied; dropped after the connection.
    main: Option<Arc<File>>,
    hold: SnapshotHold,
    retention: Retention,
    journal: OpenJournal,
    /// Whether the latest checkpoint found no room: that is said once, and not tried again at once.
    is_full: bool,
    watch: Option<StoreWatch>,
    /// Held as long as the store is: dropped after the connection.
    lock: Option<LockFile>,
}

impl SqliteStore {
    /// Keeps entries of the audit log so long. Without this, for ever.
    #[must_use]
    pub fn with_retention(self, retention: Retention) -> Self {
        Self { retention, ..self }
    }

    /// Counts what it does, and how long that takes.
    #[must_use]
    pub fn watched_by(self, watch: StoreWatch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// The main file, for whoever copies it while it has a [`Snapshot`]. It stays open for as long
    /// as the store is.
    pub fn main_file(&self) -> Option<Arc<File>> {
        self.main.clone()
    }

    /// Says in the lock file where the server listens, for commands on this machine.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn announce(&mut self, addresses: &[String]) -> std::io::Result<()> {
        self.lock.as_mut().map_or(Ok(()), |lock| lock.announce(addresses))
    }

    /// Closes the file so that everything is in it and no journal is left; if the disk is full the journal is,
    /// and is read at the next start.
    ///
    /// # Errors
    /// The last checkpoint failed otherwise. Nothing is lost: the journal is read at the next start.
    pub fn close(mut self) -> Result<(), StoreFailure> {
        let checkpointed = self.checkpoint(CheckpointMode::TRUNCATE);
        if self.unless_full(checkpointed)?.is_some() {
            self.connection
                .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
                .map_err(failure)?;
        }
        self.connection.close().map_err(|(_, error)| failure(error))
    }

    fn write(&self, records: &[Record]) -> rusqlite::Result<()> {
        let mut statements = Statements::new(&self.connection);
        statements.get("BEGIN IMMEDIATE")?.execute([])?;
        let (mut newest, mut added) = (None, 0);
        for record in records {
            match record {
                Record::Lock(record) => lock::write(&mut statements, record)?,
                Record::Limit(record) => limiter::write(&mut statements, record)?,
                Record::Flag(record) => flag::write(&mut statements, record)?,
                Record::Config(record) => config::write(&mut statements, record)?,
                Record::Account(record) => account::write(&mut statements, record)?,
                Record::Audit(entry) => {
                    audit::write(&mut statements, entry)?;
                    newest = Some((self.connection.last_insert_rowid(), entry));
                    added += 1;
                }
            }
        }
        if let Some(newest) = newest {
            audit::retire(&mut statements, self.retention, newest, added)?;
        }
        let written = self.now();
        statements.get("COMMIT")?.execute([])?;
        self.count(written, |counts, took| counts.syncs.observe_span(took));
        Ok(())
    }

    /// Writes all of `records`, or nothing of them.
    fn write_or_undo(&self, records: &[Record]) -> Verdict {
        match self.write(records) {
            Ok(()) => Verdict::Committed,
            Err(error) => self.undo(error),
        }
    }

    /// What a commit that ended in `error` has come to: if there was no room, to nothing.
    fn undo(&self, error: rusqlite::Error) -> Verdict {
        if !is_full(&error) {
            return Verdict::Unknown(failure(error));
        }
        // SQLite has mostly rolled back by itself then.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            return Verdict::Unknown(failure(error));
        }
        match self.journal.require_none_behind() {
            Ok(()) => Verdict::NoRoom,
            Err(error) => Verdict::Unknown(failure(error)),
        }
    }

    /// Moves the journal into the main file. Says whether all of it is there now.
    fn checkpoint(&mut self, mode: CheckpointMode) -> rusqlite::Result<bool> {
        self.hold.give_up();
        let begun = self.now();
        let (in_journal, moved) = self.connection.wal_checkpoint_v2(None::<&str>, mode)?;
        let all_moved = moved >= in_journal;
        if all_moved {
            self.journal.all_moved();
        }
        self.count(begun, |counts, took| {
            counts.checkpoints.observe_span(took);
            counts.checkpointed.add(u64::try_from(moved).unwrap_or(0));
            counts.journal_pages.set(u64::from(self.journal.frames()));
        });
        Ok(all_moved)
    }

    fn now(&self) -> Option<Instant> {
        self.watch.as_ref().map(StoreWatch::now)
    }

    /// Counts what has been going on since `begun`, if anybody watches.
    fn count(&self, begun: Option<Instant>, count: impl FnOnce(&StoreCounts, Duration)) {
        if let (Some(watch), Some(begun)) = (&self.watch, begun) {
            count(watch.counts(), watch.now().since(begun));
        }
    }

    /// Commits, with a second attempt where the journal can be moved out of the way.
    fn commit_or_make_room(&mut self, records: &[Record]) -> Verdict {
        let written = self.write_or_undo(records);
        if !matches!(written, Verdict::NoRoom) || self.journal.frames() == 0 {
            return written;
        }
        // What the journal holds may make room once it is in the main file.
        match self.checkpoint(CheckpointMode::PASSIVE) {
            Ok(_) => {
                self.is_full = false;
                self.write_or_undo(records)
            }
            Err(error) if is_full(&error) => written,
            // A disk that fails is no full one.
            Err(error) => Verdict::Unknown(failure(error)),
        }
    }

    /// Whether the journal is long enough for that, and no snapshot is better kept.
    fn is_worth_tidying(&self, pressure: Pressure) -> bool {
        self.journal.is_worth_moving(pressure, self.hold.is_out())
    }

    /// Makes room in the journal. A full disk is no reason to stop: the journal just grows on.
    fn tidy(&mut self) -> Result<(), StoreFailure> {
        let checkpointed = self.checkpoint(CheckpointMode::PASSIVE);
        self.unless_full(checkpointed).map(drop)
    }

    /// What a checkpoint says; nothing if the disk was full.
    fn unless_full(
        &mut self,
        checkpointed: rusqlite::Result<bool>,
    ) -> Result<Option<bool>, StoreFailure> {
        match checkpointed {
            Ok(all_moved) => {
                self.is_full = false;
                Ok(Some(all_moved))
            }
            Err(error) if is_full(&error) => {
                if !std::mem::replace(&mut self.is_full, true) {
                    tracing::warn!("the disk is full: the journal cannot be checkpointed");
                }
                Ok(None)
            }
            Err(error) => Err(failure(error)),
        }
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, records: &[Record]) -> Verdict {
        let begun = self.now();
        let mut verdict = self.commit_or_make_room(records);
        // A new mark goes through to the main file before a token above the old one may be granted:
        // then a token does not repeat even if the journal is lost, unless the disk is full.
        let raises_mark =
            |record: &Record| matches!(record, Record::Lock(LockRecord::TokenMark(_)));
        if matches!(verdict, Verdict::Committed)
            && records.iter().any(raises_mark)
            && let Err(failure) = self.tidy()
        {
            verdict = Verdict::Unknown(failure);
        }
        if matches!(verdict, Verdict::NoRoom) {
            tracing::warn!("the disk is full: a commit was refused, nothing of it was executed");
        }
        if let (Some(watch), Some(begun)) = (&self.watch, begun) {
            watch.ended(begun, &verdict, records.len(), self.journal.frames());
        }
        verdict
    }

    fn audit(&mut self, query: &AuditQuery) -> Result<Result<AuditPage, Unreadable>, StoreFailure> {
        match audit::read(&self.connection, self.retention, query) {
            Ok(page) => Ok(Ok(page)),
            // What SQLite has read and does not become a value is the row's fault.
            Err(BadRow::Sqlite(error)) if error.sqlite_error_code().is_some() => {
                Err(failure(error))
            }
            Err(BadRow::Sqlite(_) | BadRow::Changed { .. } | BadRow::Impossible { .. }) => {
                Ok(Err(Unreadable))
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        let patience = self.journal.patience();
        if self.is_full { patience.map(|_| FULL_UNTIL_TRIED_AGAIN) } else { patience }
    }

    fn is_pressed(&self) -> bool {
        self.is_worth_tidying(Pressure::Busy)
    }

    fn tend(&mut self, pressure: Pressure) -> Result<(), StoreFailure> {
        if self.is_worth_tidying(pressure) { self.tidy() } else { Ok(()) }
    }

    fn snapshot(&mut self) -> Result<Option<Snapshot>, StoreFailure> {
        if self.main.is_none() {
            return Ok(None);
        }
        let checkpointed = self.checkpoint(CheckpointMode::PASSIVE);
        let all_moved = self.unless_full(checkpointed)?;
        Ok((all_moved == Some(true)).then(|| self.hold.give_out()))
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

fn failure(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreFailure {
    StoreFailure(error.into())
}
