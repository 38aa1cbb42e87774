//! Files of older versions.

use rusqlite::Connection;

/// How a file of an older version becomes one of the next: `MIGRATIONS[n]` takes version `n + 1`
/// to `n + 2`.
pub const MIGRATIONS: &[&str] = &[ACCOUNTS_AND_AUDIT];

/// Accounts that come from sign-in providers, tokens with scopes, and the audit log.
const ACCOUNTS_AND_AUDIT: &str = include_str!("migrate_1_to_2.sql");

/// Brings a file of version `from` up to the last of `steps`, in one transaction: it is of the old
/// version or of the new one, whatever happens.
///
/// # Errors
/// A step failed. The file is as it was.
pub fn migrate(connection: &mut Connection, from: u32, steps: &[&str]) -> rusqlite::Result<()> {
    let done = (from as usize).saturating_sub(1);
    let Some(pending) = steps.get(done..).filter(|steps| !steps.is_empty()) else {
        return Ok(());
    };
    let transaction = connection.transaction()?;
    for step in pending {
        transaction.execute_batch(step)?;
    }
    let version = u32::try_from(steps.len() + 1).unwrap_or(u32::MAX);
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[&str] = &["CREATE TABLE two (x)", "CREATE TABLE three (x)"];

    fn file(version: u32) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        connection
    }

    fn state(connection: &Connection) -> (u32, Vec<String>) {
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
        let mut tables =
            connection.prepare("SELECT name FROM sqlite_schema ORDER BY name").unwrap();
        let tables = tables.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>();
        (version.unwrap(), tables.unwrap())
    }

    #[test]
    fn an_older_file_takes_the_steps_it_has_not_taken() {
        for (from, tables) in [(1, vec!["three", "two"]), (2, vec!["three"]), (3, vec![])] {
            let mut connection = file(from);
            migrate(&mut connection, from, STEPS).unwrap();
            assert_eq!(state(&connection), (3, tables.into_iter().map(str::to_owned).collect()));
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut connection = file(1);
        let steps = &["CREATE TABLE two (x)", "nonsense"];
        assert!(migrate(&mut connection, 1, steps).is_err());
        assert_eq!(state(&connection), (1, vec![]));
    }
}
