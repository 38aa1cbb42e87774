//! Between SQLite's values and ours, and what a row of a damaged file looks like.

use rusqlite::{Row, types::FromSql};

/// A value in a row that no server wrote.
#[derive(Debug, thiserror::Error)]
pub enum BadRow {
    /// SQLite could not read it.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// It is out of the bounds of its type.
    #[error("a row of {table} has an impossible {column}")]
    Impossible {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
}

/// Reads column `index` of `row` and makes a value of it.
pub fn column<S: FromSql, T, E>(
    row: &Row<'_>,
    table: &'static str,
    (index, column): (usize, &'static str),
    make: impl FnOnce(S) -> Result<T, E>,
) -> Result<T, BadRow> {
    make(row.get(index)?).map_err(|_| BadRow::Impossible { table, column })
}

/// As SQLite keeps integers. What is kept ends far below: tokens and versions at 2^53, instants
/// at 292 years of uptime.
pub fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that cannot be negative.
pub fn natural(number: i64) -> Result<u64, ()> {
    u64::try_from(number).map_err(drop)
}
