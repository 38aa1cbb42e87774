//! Time: the row of `boot`.

use super::{
    row::{BadRow, verify},
    statements::Statements,
};
use crate::clock::BootId;
use rusqlite::{Connection, params};

/// Writes which boot the lease clock of the file belongs to.
pub fn write(statements: &mut Statements<'_>, boot: &BootId) -> rusqlite::Result<()> {
    let insert = "INSERT OR REPLACE INTO boot (one, id, sum) VALUES (1, ?1, ?2)";
    statements.write(insert, params![boot.as_str()])
}

/// The boot that the lease clock of the file belongs to.
pub fn of(connection: &Connection) -> Result<BootId, BadRow> {
    let mut statement = connection.prepare("SELECT id, sum FROM boot")?;
    let id: String =
        statement.query_one([], |row| Ok(verify(row, "boot", 1).and(Ok(row.get(0)?))))??;
    Ok(BootId::named(&id))
}
