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

    mod version_1 {
        use crate::{
            clock::BootId,
            store::{Recovered, SqliteStore, open},
        };
        use octostore_actors::{
            domain::{
                account::{Origin, Role, Standing, TokenSource, TokenState, scope::Scope},
                values::{AccountId, FencingToken, TokenHash},
            },
            time::Instant,
        };
        use rusqlite::Connection;
        use std::{collections::HashSet, path::Path};

        /// As version 1 wrote it: `admin` of a first start, `ci` of the configuration, a token of
        /// each and a dead one, and a lock of `ci`.
        const ROWS: &str = "
            INSERT INTO boot VALUES (1, 'this boot');
            INSERT INTO token_mark VALUES (1, 5000);
            INSERT INTO accounts VALUES (unhex(printf('%032x', 1)), 'local', 'admin');
            INSERT INTO accounts VALUES (unhex(printf('%032x', 2)), 'static', 'ci');
            INSERT INTO tokens VALUES (unhex(printf('%064x', 11)), unhex(printf('%032x', 1)), 'issued', 1);
            INSERT INTO tokens VALUES (unhex(printf('%064x', 12)), unhex(printf('%032x', 2)), 'static', 1);
            INSERT INTO tokens VALUES (unhex(printf('%064x', 13)), unhex(printf('%032x', 2)), 'static', 0);
            INSERT INTO locks VALUES
                ('deploy', unhex(printf('%032x', 2)), NULL, unhex(printf('%032x', 3)), 41, 60, 9000, 'm');
            PRAGMA application_id = 0x6f63746f;
            PRAGMA user_version = 1;
            PRAGMA journal_mode = WAL;";

        fn start(path: &Path) -> (SqliteStore, Recovered) {
            open(path, &BootId::named("this boot"), Instant::from_nanos(8_000)).unwrap()
        }

        /// What the file is made of, whatever the spaces and comments between.
        fn schema(path: &Path) -> Vec<(String, String, String)> {
            let connection = Connection::open(path).unwrap();
            let made =
                "SELECT type, name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name";
            let mut made = connection.prepare(made).unwrap();
            let words = |sql: String| {
                let code = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
                code.flat_map(str::split_whitespace).collect::<String>()
            };
            let rows = made.query_map([], |row| Ok((row.get(0)?, row.get(1)?, words(row.get(2)?))));
            rows.unwrap().collect::<Result<_, _>>().unwrap()
        }

        fn id(number: u8) -> AccountId {
            AccountId::from_bytes(u128::from(number).to_be_bytes())
        }

        fn hash(number: u8) -> TokenHash {
            let mut bytes = [0; 32];
            bytes[31] = number;
            TokenHash::from_bytes(bytes)
        }

        #[test]
        fn a_file_of_it_becomes_one_like_a_fresh_one() {
            let folder = tempfile::tempdir().unwrap();
            let (old, fresh) = (folder.path().join("old.db"), folder.path().join("fresh.db"));
            let connection = Connection::open(&old).unwrap();
            connection.execute_batch(include_str!("schema_1.sql")).unwrap();
            connection.execute_batch(ROWS).unwrap();
            drop(connection);
            start(&old).0.close().unwrap();
            start(&fresh).0.close().unwrap();
            assert_eq!(schema(&old), schema(&fresh));
            // And is one for the next start.
            start(&old).0.close().unwrap();
        }

        #[test]
        fn what_a_file_lacks_is_said_without_the_statements_that_want_it() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("old.db");
            let connection = Connection::open(&path).unwrap();
            connection.execute_batch(include_str!("schema_1.sql")).unwrap();
            connection.execute_batch(ROWS).unwrap();
            connection.execute_batch("DROP TABLE locks").unwrap();
            drop(connection);
            let boot = BootId::named("this boot");
            let refused = open(&path, &boot, Instant::from_nanos(8_000)).err().unwrap().to_string();
            assert!(refused.contains("damaged (no such table: locks)"), "{refused}");
        }

        #[test]
        fn everything_in_it_is_there_afterwards() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("old.db");
            let connection = Connection::open(&path).unwrap();
            connection.execute_batch(include_str!("schema_1.sql")).unwrap();
            connection.execute_batch(ROWS).unwrap();
            drop(connection);
            let (_store, found) = start(&path);

            let accounts: Vec<_> = found
                .accounts
                .iter()
                .map(|a| (a.id, a.origin, a.subject.as_str(), a.name.as_str(), a.role))
                .collect();
            let admin = (id(1), Origin::Local, "admin", "admin", Role::Admin);
            assert_eq!(accounts, [admin, (id(2), Origin::Static, "ci", "ci", Role::Member)]);
            assert!(found.accounts.iter().all(|a| a.standing == Standing::Enabled));

            let tokens: Vec<_> =
                found.bearers.iter().map(|t| (t.hash, t.account, t.source, t.state)).collect();
            assert_eq!(
                tokens,
                [
                    (hash(11), id(1), TokenSource::Issued, TokenState::Live),
                    (hash(12), id(2), TokenSource::Static, TokenState::Live),
                    (hash(13), id(2), TokenSource::Static, TokenState::Dead),
                ]
            );
            assert!(found.bearers.iter().all(|t| t.scope == Scope::Everything));
            let ids: HashSet<_> = found.bearers.iter().map(|token| token.id).collect();
            assert_eq!(ids.len(), 3, "each has an id of its own");

            let [lease] = &found.leases[..] else { panic!("{:?}", found.leases) };
            assert_eq!((lease.name.as_str(), lease.holder.account), ("deploy", id(2)));
            assert_eq!(lease.token, FencingToken::new(41).unwrap());
            assert_eq!(lease.expires, Instant::from_nanos(9_000));
        }
    }
}
