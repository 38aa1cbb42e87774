//! Between SQLite's values and ours, and what a row of a damaged file looks like.

use rusqlite::{
    Row,
    types::{FromSql, ValueRef},
};

/// A value in a row that no server wrote.
#[derive(Debug, thiserror::Error)]
pub enum BadRow {
    /// SQLite could not read it.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// It is not as it was written.
    #[error("a row of {table} does not check")]
    Changed {
        /// The table.
        table: &'static str,
    },
    /// It is out of the bounds of its type.
    #[error("a row of {table} has an impossible {column}")]
    Impossible {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
}

/// The checksum of a row: CRC-32 of its values in their order. SQLite keeps none of its own, and a
/// wrong bit in a lease or a value would look like another lease or value.
#[derive(Default)]
pub struct Sum(crc32fast::Hasher);

impl Sum {
    /// Adds one value, with its type and length.
    pub fn add(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.0.update(&[0]),
            ValueRef::Integer(number) => self.add_bytes(1, &number.to_le_bytes()),
            ValueRef::Real(number) => self.add_bytes(2, &number.to_le_bytes()),
            ValueRef::Text(text) => self.add_bytes(3, text),
            ValueRef::Blob(bytes) => self.add_bytes(4, bytes),
        }
    }

    fn add_bytes(&mut self, kind: u8, bytes: &[u8]) {
        self.0.update(&[kind]);
        self.0.update(&bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    /// The checksum.
    pub fn finish(self) -> i64 {
        self.0.finalize().into()
    }
}

/// Checks that the first `columns` of `row` are as they were written, by their checksum, which is
/// the next one. A row that an older version wrote has none.
pub fn verify(row: &Row<'_>, table: &'static str, columns: usize) -> Result<(), BadRow> {
    let mut sum = Sum::default();
    for column in 0..columns {
        sum.add(row.get_ref(column)?);
    }
    match row.get::<_, Option<i64>>(columns)? {
        Some(written) if written != sum.finish() => Err(BadRow::Changed { table }),
        Some(_) | None => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[ValueRef<'_>]) -> i64 {
        let mut sum = Sum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum.finish()
    }

    #[test]
    fn values_that_look_alike_in_a_row_have_other_checksums() {
        let text = |text: &'static str| ValueRef::Text(text.as_bytes());
        let rows = [
            vec![text("ab"), text("c")],
            vec![text("a"), text("bc")],
            vec![text("a\u{3}b"), text("c")],
            vec![text("a"), text("b\u{3}c")],
            vec![text("abc")],
            vec![text("abc"), text("")],
            vec![text("abc"), ValueRef::Null],
            vec![ValueRef::Blob(b"ab"), text("c")],
            vec![ValueRef::Null, text("abc")],
            vec![ValueRef::Integer(1)],
            vec![ValueRef::Blob(&[1, 0, 0, 0, 0, 0, 0, 0])],
        ];
        for (index, row) in rows.iter().enumerate() {
            for other in &rows[index + 1..] {
                assert_ne!(sum(row), sum(other), "{row:?} and {other:?}");
            }
        }
    }
}
