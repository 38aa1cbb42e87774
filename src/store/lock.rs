//! The lock domain: rows of `locks` and `token_mark`.

use super::{
    row::{BadRow, column, integer, natural, verify},
    statements::Statements,
};
use octostore_actors::{
    domain::{
        lock::{Holder, Lease, LockRecord},
        values::{AccountId, FencingToken, LeaseId, LockName, Metadata, Owner, Ttl},
    },
    time::Instant,
};
use rusqlite::{Connection, Row, params};

/// Writes one record.
pub fn write(statements: &mut Statements<'_>, record: &LockRecord) -> rusqlite::Result<()> {
    match record {
        LockRecord::Held(lease) => statements.write(
            "INSERT OR REPLACE INTO locks
             (name, account, owner, lease, token, ttl_seconds, expires, metadata, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                lease.name.as_str(),
                lease.holder.account.as_bytes(),
                lease.holder.owner.as_ref().map(Owner::as_str),
                lease.id.as_bytes(),
                integer(lease.token.get()),
                lease.ttl.as_seconds(),
                integer(lease.expires.as_nanos()),
                lease.metadata.as_ref().map(Metadata::as_str),
            ],
        ),
        LockRecord::Free(name) => {
            statements.get("DELETE FROM locks WHERE name = ?1")?.execute([name.as_str()]).map(drop)
        }
        LockRecord::TokenMark(mark) => statements.write(
            "INSERT OR REPLACE INTO token_mark (one, mark, sum) VALUES (1, ?1, ?2)",
            params![integer(mark.get())],
        ),
    }
}

/// All leases on disk.
pub fn leases(connection: &Connection) -> Result<Vec<Lease>, BadRow> {
    let mut statement = connection.prepare(
        "SELECT name, account, owner, lease, token, ttl_seconds, expires, metadata, sum
         FROM locks",
    )?;
    statement.query_and_then([], lease)?.collect()
}

fn lease(row: &Row<'_>) -> Result<Lease, BadRow> {
    const TABLE: &str = "locks";
    verify(row, TABLE, 8)?;
    Ok(Lease {
        name: column(row, TABLE, (0, "name"), |text: String| LockName::new(&text))?,
        holder: Holder {
            account: AccountId::from_bytes(row.get(1)?),
            owner: column(row, TABLE, (2, "owner"), |text: Option<String>| {
                text.as_deref().map(Owner::new).transpose()
            })?,
        },
        id: LeaseId::from_bytes(row.get(3)?),
        token: column(row, TABLE, (4, "token"), token)?,
        ttl: column(row, TABLE, (5, "ttl_seconds"), |seconds: i64| {
            Ttl::from_seconds(natural(seconds)?).map_err(drop)
        })?,
        expires: column(row, TABLE, (6, "expires"), |nanos: i64| {
            natural(nanos).map(Instant::from_nanos)
        })?,
        metadata: column(row, TABLE, (7, "metadata"), |text: Option<String>| {
            text.as_deref().map(Metadata::new).transpose()
        })?,
    })
}

/// The highest token that may have been granted.
pub fn token_mark(connection: &Connection) -> Result<FencingToken, BadRow> {
    const TABLE: &str = "token_mark";
    let mut statement = connection.prepare("SELECT mark, sum FROM token_mark")?;
    statement.query_one([], |row| {
        Ok(verify(row, TABLE, 1).and_then(|()| column(row, TABLE, (0, "mark"), token)))
    })?
}

fn token(number: i64) -> Result<FencingToken, ()> {
    FencingToken::new(natural(number)?).ok_or(())
}
