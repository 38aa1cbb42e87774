//! The limiter domain: rows of `limits`.

use super::{
    row::{BadRow, column, integer, natural, verify},
    statements::Statements,
};
use octostore_actors::{
    domain::{
        limiter::{Admitted, LimitName, LimitRecord, MaxRequests, Policy, Reservation, Window},
        values::AccountId,
    },
    time::Instant,
};
use rusqlite::{Connection, Row, params};

/// Writes one record.
pub fn write(statements: &mut Statements<'_>, record: &LimitRecord) -> rusqlite::Result<()> {
    match record {
        LimitRecord::Reserved(row) => statements.write(
            "INSERT OR REPLACE INTO limits
             (account, name, max_requests, window_seconds, horizon_seconds, admitted, credit,
              sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                row.account.as_bytes(),
                row.name.as_str(),
                row.policy.max_requests.get(),
                row.policy.window.as_seconds(),
                row.horizon.as_seconds(),
                pack(&row.admitted),
                row.credit,
            ],
        ),
        LimitRecord::Gone(account, name) => statements
            .get("DELETE FROM limits WHERE account = ?1 AND name = ?2")?
            .execute(params![account.as_bytes(), name.as_str()])
            .map(drop),
    }
}

/// All limiters on disk.
pub fn reservations(connection: &Connection) -> Result<Vec<Reservation>, BadRow> {
    let mut statement = connection.prepare(
        "SELECT account, name, max_requests, window_seconds, horizon_seconds, admitted, credit,
                sum
         FROM limits",
    )?;
    statement.query_and_then([], reservation)?.collect()
}

fn reservation(row: &Row<'_>) -> Result<Reservation, BadRow> {
    const TABLE: &str = "limits";
    verify(row, TABLE, 7)?;
    let window = |seconds| Window::from_seconds(natural(seconds)?).map_err(drop);
    Ok(Reservation {
        account: AccountId::from_bytes(row.get(0)?),
        name: column(row, TABLE, (1, "name"), |text: String| LimitName::new(&text))?,
        policy: Policy {
            max_requests: column(row, TABLE, (2, "max_requests"), |requests| {
                MaxRequests::new(natural(requests)?).map_err(drop)
            })?,
            window: column(row, TABLE, (3, "window_seconds"), window)?,
        },
        horizon: column(row, TABLE, (4, "horizon_seconds"), window)?,
        admitted: column(row, TABLE, (5, "admitted"), |bytes: Vec<u8>| unpack(&bytes).ok_or(()))?,
        credit: column(row, TABLE, (6, "credit"), |credit: i64| u32::try_from(credit))?,
    })
}

fn pack(admitted: &[Admitted]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(admitted.len() * 12);
    for Admitted { at, count } in admitted {
        bytes.extend(integer(at.as_nanos()).to_le_bytes());
        bytes.extend(count.to_le_bytes());
    }
    bytes
}

fn unpack(bytes: &[u8]) -> Option<Vec<Admitted>> {
    let (entries, rest) = bytes.as_chunks::<12>();
    let unpacked = entries.iter().map(|entry| {
        let (at, count) = entry.split_at(8);
        Some(Admitted {
            at: Instant::from_nanos(u64::from_le_bytes(at.try_into().ok()?)),
            count: u32::from_le_bytes(count.try_into().ok()?),
        })
    });
    let unpacked: Vec<Admitted> = unpacked.collect::<Option<_>>()?;
    (rest.is_empty() && unpacked.is_sorted_by_key(|admitted| admitted.at)).then_some(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_and_nothing_else_is() {
        let one = |at, count| Admitted { at: Instant::from_nanos(at), count };
        let admitted = vec![one(1, 10_000), one(1, 1), one(86_400_000_000_000, 7)];
        let packed = pack(&admitted);
        assert_eq!(unpack(&packed), Some(admitted));
        assert_eq!(unpack(&packed[1..]), None);
        assert_eq!(unpack(&pack(&[one(2, 1), one(1, 1)])), None, "not in order");
    }
}
