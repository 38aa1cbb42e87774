//! The flag domain: rows of `flags`.

use super::{
    row::{BadRow, column, natural, verify},
    statements::Statements,
};
use octostore_actors::domain::{
    flag::{Flag, FlagName, FlagRecord, Percentage},
    values::{AccountId, WallTime},
};
use rusqlite::{Connection, Row, params};

/// Writes one record.
pub fn write(statements: &mut Statements<'_>, record: &FlagRecord) -> rusqlite::Result<()> {
    match record {
        FlagRecord::Set(flag) => statements.write(
            "INSERT OR REPLACE INTO flags
             (account, name, enabled, percentage, created_at, updated_at, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                flag.account.as_bytes(),
                flag.name.as_str(),
                flag.enabled,
                flag.percentage.map(Percentage::get),
                flag.created_at.as_millis(),
                flag.updated_at.as_millis(),
            ],
        ),
        FlagRecord::Gone(account, name) => statements
            .get("DELETE FROM flags WHERE account = ?1 AND name = ?2")?
            .execute(params![account.as_bytes(), name.as_str()])
            .map(drop),
    }
}

/// All flags on disk.
pub fn flags(connection: &Connection) -> Result<Vec<Flag>, BadRow> {
    let mut statement = connection.prepare(
        "SELECT account, name, enabled, percentage, created_at, updated_at, sum FROM flags",
    )?;
    statement.query_and_then([], flag)?.collect()
}

fn flag(row: &Row<'_>) -> Result<Flag, BadRow> {
    const TABLE: &str = "flags";
    verify(row, TABLE, 6)?;
    Ok(Flag {
        account: AccountId::from_bytes(row.get(0)?),
        name: column(row, TABLE, (1, "name"), |text: String| FlagName::new(&text))?,
        enabled: row.get(2)?,
        percentage: column(row, TABLE, (3, "percentage"), |percent: Option<i64>| {
            let checked = percent.map(|percent| Percentage::new(natural(percent)?).map_err(drop));
            checked.transpose()
        })?,
        created_at: WallTime::from_millis(row.get(4)?),
        updated_at: WallTime::from_millis(row.get(5)?),
    })
}
