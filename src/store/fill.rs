//! A new database, made of what another said.

use super::{
    account, audit,
    backup::{BackupError, Restored, build, go_on},
    boot, config,
    contents::Contents,
    flag, limiter, lock,
    row::integer,
    statements::{Statements, in_transaction},
};
use octostore_actors::domain::{
    account::AccountRecord,
    audit::{AuditEntry, AuditId},
    config::ConfigRecord,
    flag::FlagRecord,
    limiter::LimitRecord,
    lock::LockRecord,
    values::WallTime,
};
use std::path::Path;

/// The audit log of a new database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditRows {
    /// The entries, the first one first.
    pub entries: Vec<(AuditId, AuditEntry)>,
    /// The highest place that was ever given.
    pub last_place: u64,
}

/// Makes a database at `database`, where there is none, that says `contents` and goes on as a
/// restored backup does. `now` is the wall clock.
///
/// # Errors
/// See [`BackupError`]. Nothing is at `database` then.
pub fn fill(
    database: &Path,
    contents: Contents,
    log: &AuditRows,
    now: WallTime,
) -> Result<Restored, BackupError> {
    build(database, |opening, _| {
        let mut connection = opening.connect()?;
        opening.create(&mut connection, &contents.boot)?;
        opening.begin_journal(&connection)?;
        let was = contents.mark;
        let write = || {
            // The mark is written when all that was granted is known: see `go_on`.
            let Contents { boot: of, mark: _, leases, limits, flags, config, accounts, tokens } =
                &contents;
            in_transaction(&mut connection, |_, statements| {
                boot::write(statements, of)?;
                for account in accounts {
                    account::write(statements, &AccountRecord::Account(account.clone()))?;
                }
                for token in tokens {
                    account::write(statements, &AccountRecord::Token(token.clone()))?;
                }
                for lease in leases {
                    lock::write(statements, &LockRecord::Held(lease.clone()))?;
                }
                for row in limits {
                    limiter::write(statements, &LimitRecord::Reserved(row.clone()))?;
                }
                for flag in flags {
                    flag::write(statements, &FlagRecord::Set(flag.clone()))?;
                }
                for entry in config {
                    config::write(statements, &ConfigRecord::Version(entry.clone()))?;
                }
                for (id, entry) in &log.entries {
                    write_audit_at(statements, *id, entry)?;
                }
                go_on_after(statements, log.last_place)
            })?;
            go_on(&mut connection, contents, now)
        };
        let contents = write().map_err(|error| opening.refuse(error))?;
        Ok((connection, Restored { contents, was }))
    })
}

/// Adds one entry at its place in another log.
fn write_audit_at(
    statements: &mut Statements<'_>,
    id: AuditId,
    entry: &AuditEntry,
) -> rusqlite::Result<()> {
    go_on_after(statements, id.0.saturating_sub(1))?;
    audit::write(statements, entry)
}

/// Sees to it that the next entry comes after `last`, as if that had been the last one so far.
fn go_on_after(statements: &mut Statements<'_>, last: u64) -> rusqlite::Result<()> {
    statements
        .get(
            "INSERT INTO sqlite_sequence (name, seq) SELECT 'audit', 0
              WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'audit')",
        )?
        .execute([])?;
    statements
        .get("UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'audit'")?
        .execute([integer(last)])
        .map(drop)
}
