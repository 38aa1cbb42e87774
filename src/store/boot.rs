//! Time: the row of `boot`.

use super::{
    row::{BadRow, verify},
    statements::Statements,
};
use rusqlite::{Connection, params};

/// Writes which boot the lease clock of the file belongs to.
pub fn write(statements: &mut Statements<'_>, boot: &str) -> rusqlite::Result<()> {
    statements.write("INSERT OR REPLACE INTO boot (one, id, sum) VALUES (1, ?1, ?2)", params![boot])
}

/// The boot that the lease clock of the file belongs to.
pub fn of(connection: &Connection) -> Result<String, BadRow> {
    let mut statement = connection.prepare("SELECT id, sum FROM boot")?;
    statement.query_one([], |row| Ok(verify(row, "boot", 1).and(Ok(row.get(0)?))))?
}
