//! The config domain: rows of `config`.

use super::{
    row::{BadRow, column, integer, natural, verify},
    statements::Statements,
};
use octostore_actors::domain::{
    config::{ConfigKey, ConfigRecord, Description, Entry, Incarnation, Value, Version},
    values::{AccountId, WallTime},
};
use rusqlite::{Connection, Row, params};

/// Writes one record.
pub fn write(statements: &mut Statements<'_>, record: &ConfigRecord) -> rusqlite::Result<()> {
    match record {
        ConfigRecord::Version(entry) => statements.write(
            "INSERT OR REPLACE INTO config
             (account, key, version, incarnation, value, description, created_at, updated_at,
              sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                entry.account.as_bytes(),
                entry.key.as_str(),
                integer(entry.version.get()),
                entry.incarnation.0,
                entry.value.as_json(),
                entry.description.as_ref().map(Description::as_str),
                entry.created_at.as_millis(),
                entry.updated_at.as_millis(),
            ],
        ),
        ConfigRecord::NoVersion(account, key, version) => statements
            .get("DELETE FROM config WHERE account = ?1 AND key = ?2 AND version = ?3")?
            .execute(params![account.as_bytes(), key.as_str(), integer(version.get())])
            .map(drop),
    }
}

/// All versions of all keys on disk, those of one key in their order.
pub fn entries(connection: &Connection) -> Result<Vec<Entry>, BadRow> {
    let mut statement = connection.prepare(
        "SELECT account, key, version, incarnation, value, description, created_at, updated_at,
                sum
         FROM config ORDER BY account, key, version",
    )?;
    let entries = statement.query_and_then([], entry)?.collect::<Result<Vec<_>, _>>()?;
    let gap = |pair: &[Entry]| {
        let [earlier, later] = pair else { return false };
        (earlier.account, &earlier.key) == (later.account, &later.key)
            && earlier.version.get() + 1 != later.version.get()
    };
    if entries.windows(2).any(gap) {
        return Err(BadRow::Impossible { table: "config", column: "version" });
    }
    Ok(entries)
}

fn entry(row: &Row<'_>) -> Result<Entry, BadRow> {
    const TABLE: &str = "config";
    verify(row, TABLE, 8)?;
    Ok(Entry {
        account: AccountId::from_bytes(row.get(0)?),
        key: column(row, TABLE, (1, "key"), |text: String| ConfigKey::new(&text))?,
        version: column(row, TABLE, (2, "version"), |number| {
            Version::new(natural(number)?).ok_or(())
        })?,
        incarnation: Incarnation(row.get(3)?),
        value: column(row, TABLE, (4, "value"), |text: String| Value::from_json(&text).ok_or(()))?,
        description: column(row, TABLE, (5, "description"), |text: Option<String>| {
            text.as_deref().map(Description::new).transpose()
        })?,
        created_at: WallTime::from_millis(row.get(6)?),
        updated_at: WallTime::from_millis(row.get(7)?),
    })
}
