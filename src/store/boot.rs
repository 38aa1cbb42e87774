//! Time: the row of `boot`.

use super::{
    row::{BadRow, verify},
    statements::Statements,
};
use crate::clock::BootId;
use rusqlite::{Connection, params};

/// Writes which boot the lease clock of the file belongs to.
pub fn write(statements: &mut Statements<'_>, boot: &BootId) -> rusqlite::Result<()> {
    statements.write(
        "INSERT OR REPLACE INTO boot (one, id, sum) VALUES (1, ?1, ?2)",
        params![boot.as_str()],
    )
}

/// Whether the file belongs to `boot`.
pub fn is_of(connection: &Connection, boot: &BootId) -> Result<bool, BadRow> {
    let mut statement = connection.prepare("SELECT id, sum FROM boot")?;
    let id: String =
        statement.query_one([], |row| Ok(verify(row, "boot", 1).and(Ok(row.get(0)?))))??;
    Ok(id == boot.as_str())
}
