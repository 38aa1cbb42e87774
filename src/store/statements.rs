//! The prepared statements of one batch.

use rusqlite::{CachedStatement, Connection};

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
