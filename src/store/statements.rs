//! The prepared statements of one batch.

use super::row::Sum;
use rusqlite::{
    CachedStatement, Connection, ToSql, Transaction,
    types::{ToSqlOutput, ValueRef},
};

/// Does what `write` does in one transaction.
pub fn in_transaction(
    connection: &mut Connection,
    write: impl FnOnce(&Transaction<'_>, &mut Statements<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    write(&transaction, &mut Statements::new(&transaction))?;
    transaction.commit()
}

/// Statements, each looked up once a batch however many rows it writes.
pub struct Statements<'c> {
    connection: &'c Connection,
    open: Vec<(&'static str, CachedStatement<'c>)>,
}

impl<'c> Statements<'c> {
    /// None is open yet.
    pub fn new(connection: &'c Connection) -> Self {
        Self { connection, open: Vec::new() }
    }

    /// Executes `sql` with these values, and their checksum after the last.
    pub fn write(&mut self, sql: &'static str, values: &[&dyn ToSql]) -> rusqlite::Result<()> {
        let statement = self.get(sql)?;
        let mut sum = Sum::default();
        for (index, value) in values.iter().enumerate() {
            let value = value.to_sql()?;
            if let ToSqlOutput::Borrowed(value) = &value {
                sum.add(*value);
            } else if let ToSqlOutput::Owned(value) = &value {
                sum.add(ValueRef::from(value));
            }
            statement.raw_bind_parameter(index + 1, value)?;
        }
        statement.raw_bind_parameter(values.len() + 1, sum.finish())?;
        statement.raw_execute().map(drop)
    }

    /// The statement of `sql`, which is a literal: it is found by where it stands.
    pub fn get(&mut self, sql: &'static str) -> rusqlite::Result<&mut CachedStatement<'c>> {
        let known = self.open.iter().position(|(open, _)| std::ptr::eq(*open, sql));
        let index = match known {
            Some(index) => index,
            None => {
                self.open.push((sql, self.connection.prepare_cached(sql)?));
                self.open.len() - 1
            }
        };
        Ok(&mut self.open[index].1)
    }
}
