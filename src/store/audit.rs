//! The audit log: rows of `audit`, and how long they are kept.
//!
//! Nothing here takes longer because the log is long. Reading goes by the primary key alone and
//! looks at [`AuditQuery::MOST_LOOKED_AT`] rows at most, whatever it is to find; a batch that adds
//! entries removes [`REMOVED_FOR_EACH`] times as many that are over, at most, from the old end.

use super::{
    row::{BadRow, column, integer, natural, verify},
    statements::Statements,
};
use octostore_actors::domain::{
    audit::{
        Action, AuditEntry, AuditId, AuditOutcome, AuditPage, AuditQuery, AuditText, Provenance,
        Who,
    },
    values::{AccountId, TokenId, WallTime},
};
use rusqlite::{Connection, Row, params};
use std::time::Duration;

/// How long entries are kept. What is over is not shown any more, and goes little by little as
/// entries are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// So many, the latest; `None` is all.
    pub entries: Option<u64>,
    /// So long; `None` is for ever.
    pub life: Option<Duration>,
}

/// How many entries that are over go with each that comes: enough to catch up with a retention
/// that was shortened.
const REMOVED_FOR_EACH: u32 = 4;

const ADD: &str = "
    INSERT INTO audit
    (at, who, account, token, source, request, action, target, outcome, detail, sum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const REMOVE: &str = "
    DELETE FROM audit
    WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?1) AND (id <= ?2 OR at < ?3)";

const READ: &str = "
    SELECT at, who, account, token, source, request, action, target, outcome, detail, sum, id
    FROM audit WHERE id < ?1 AND id > ?2 ORDER BY id DESC LIMIT ?3";

/// Adds one entry.
pub fn write(statements: &mut Statements<'_>, entry: &AuditEntry) -> rusqlite::Result<()> {
    let (account, token) = entry.by.who.parts();
    let values = params![
        entry.by.at.as_millis(),
        entry.by.who.as_str(),
        account.as_ref().map(AccountId::as_bytes),
        token.as_ref().map(TokenId::as_bytes),
        entry.by.from.as_str(),
        entry.by.request.as_str(),
        entry.action.as_str(),
        entry.target.as_str(),
        entry.outcome.as_str(),
        entry.detail.as_ref().map(AuditText::as_str),
    ];
    statements.write(ADD, values)
}

/// Removes some of the entries that are over now that `added` have come, the last of them
/// `newest` at `id`.
pub fn retire(
    statements: &mut Statements<'_>,
    retention: Retention,
    (id, newest): (i64, &AuditEntry),
    added: u32,
) -> rusqlite::Result<()> {
    if retention == Retention::default() {
        return Ok(());
    }
    let life = |life: Duration| i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
    let begin = retention.life.map(|span| newest.by.at.as_millis().saturating_sub(life(span)));
    statements
        .get(REMOVE)?
        .execute(params![
            added.saturating_mul(REMOVED_FOR_EACH),
            last_over(retention, id),
            begin.unwrap_or(i64::MIN),
        ])
        .map(drop)
}

/// Reads what is not over by number; whoever asks says with `since` what is over by time.
pub fn read(
    connection: &Connection,
    retention: Retention,
    query: &AuditQuery,
) -> Result<AuditPage, BadRow> {
    let newest: Option<i64> =
        connection.prepare_cached("SELECT max(id) FROM audit")?.query_one([], |row| row.get(0))?;
    let mut statement = connection.prepare_cached(READ)?;
    let mut rows = statement.query(params![
        query.before.map_or(i64::MAX, |before| integer(before.0)),
        last_over(retention, newest.unwrap_or(0)),
        AuditQuery::MOST_LOOKED_AT,
    ])?;
    let mut page = AuditPage::default();
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let (id, entry) = entry(row).inspect_err(|why| {
            let id: Option<i64> = row.get(11).ok();
            tracing::warn!(id, %why, "an entry of the audit log cannot be read");
        })?;
        if query.wants(&entry) {
            page.entries.push((id, entry));
        }
        looked_at += 1;
        if looked_at == AuditQuery::MOST_LOOKED_AT
            || page.entries.len() == usize::from(query.limit.get())
        {
            page.next = Some(id);
            break;
        }
    }
    Ok(page)
}

/// The last entry that is over by number when `newest` is the latest. Places have no gaps.
fn last_over(retention: Retention, newest: i64) -> i64 {
    retention.entries.map_or(0, |entries| newest.saturating_sub(integer(entries)))
}

fn entry(row: &Row<'_>) -> Result<(AuditId, AuditEntry), BadRow> {
    const TABLE: &str = "audit";
    let text =
        |index, name| column(row, TABLE, (index, name), |text: String| AuditText::new(&text));
    verify(row, TABLE, 10)?;
    let account = row.get::<_, Option<_>>(2)?.map(AccountId::from_bytes);
    let token = row.get::<_, Option<_>>(3)?.map(TokenId::from_bytes);
    let entry = AuditEntry {
        by: Provenance {
            who: column(row, TABLE, (1, "who"), |who: String| {
                who_from(&who, account, token).ok_or(())
            })?,
            from: text(4, "source")?,
            request: text(5, "request")?,
            at: WallTime::from_millis(row.get(0)?),
        },
        action: column(row, TABLE, (6, "action"), |action: String| action.parse::<Action>())?,
        target: text(7, "target")?,
        outcome: column(row, TABLE, (8, "outcome"), |text: String| {
            OUTCOMES.into_iter().find(|outcome| outcome.as_str() == text).ok_or(())
        })?,
        detail: column(row, TABLE, (9, "detail"), |text: Option<String>| {
            text.map(|text| AuditText::new(&text)).transpose()
        })?,
    };
    Ok((AuditId(column(row, TABLE, (11, "id"), natural)?), entry))
}

const OUTCOMES: [AuditOutcome; 2] = [AuditOutcome::Done, AuditOutcome::Refused];

fn who_from(text: &str, account: Option<AccountId>, token: Option<TokenId>) -> Option<Who> {
    let who = match (account, token) {
        (Some(account), Some(token)) => Who::Token(account, token),
        (Some(account), None) => Who::Account(account),
        (None, _) => {
            let nobody = [Who::AdminKey, Who::Stranger, Who::Server];
            nobody.into_iter().find(|who| who.as_str() == text)?
        }
    };
    (who.as_str() == text).then_some(who)
}

#[cfg(test)]
mod tests {
    use super::*;
    use octostore_actors::domain::page::PageLimit;
    use rusqlite::StatementStatus;

    const DAY: Duration = Duration::from_secs(86_400);

    fn table() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../schema.sql")).unwrap();
        connection
    }

    /// A table of so many entries, a second apart, by ten accounts in turn.
    fn long_table(entries: u32) -> Connection {
        let connection = table();
        let fill = "
            WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
            INSERT INTO audit (at, who, account, source, request, action, target, outcome)
            SELECT n * 1000, 'account', unhex(printf('%032x', n % 10)), '192.0.2.1', 'r',
                   'flag.set', 'flag-' || n, 'ok' FROM n";
        connection.execute(fill, [entries]).unwrap();
        connection
    }

    fn account(number: u8) -> AccountId {
        AccountId::from_bytes(u128::from(number).to_be_bytes())
    }

    fn note(number: i64, who: Who, action: Action) -> AuditEntry {
        AuditEntry {
            by: Provenance {
                who,
                from: AuditText::truncated("192.0.2.1"),
                request: AuditText::truncated("request-1"),
                at: WallTime::from_millis(number * 1000),
            },
            action,
            target: AuditText::truncated("a name"),
            outcome: if number % 2 == 0 { AuditOutcome::Done } else { AuditOutcome::Refused },
            detail: (number % 3 == 0).then(|| AuditText::truncated("more")),
        }
    }

    fn add(connection: &Connection, retention: Retention, entries: &[AuditEntry]) {
        let mut statements = Statements::new(connection);
        let mut last = None;
        for entry in entries {
            write(&mut statements, entry).unwrap();
            last = Some((connection.last_insert_rowid(), entry));
        }
        let added = u32::try_from(entries.len()).unwrap();
        retire(&mut statements, retention, last.unwrap(), added).unwrap();
    }

    fn all(connection: &Connection, retention: Retention) -> Vec<(AuditId, AuditEntry)> {
        read(connection, retention, &AuditQuery::default()).unwrap().entries
    }

    fn rows(connection: &Connection) -> u32 {
        connection.query_one("SELECT count(*) FROM audit", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_entry_comes_back_as_it_went_in() {
        let connection = table();
        let whos = [
            Who::Token(account(1), TokenId::from_bytes([2; 16])),
            Who::Account(account(3)),
            Who::AdminKey,
            Who::Stranger,
            Who::Server,
        ];
        let entries: Vec<_> = (0..)
            .zip(Action::ALL.iter().zip(whos.into_iter().cycle()))
            .map(|(number, (&action, who))| note(number, who, action))
            .collect();
        add(&connection, Retention::default(), &entries);
        let mut found = all(&connection, Retention::default());
        found.reverse();
        assert_eq!(found.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), Vec::from_iter(1..=18));
        assert_eq!(found.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>(), entries);
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap_whatever_is_asked_for() {
        let connection = long_table(5_432);
        let all = AuditQuery::default;
        for (query, first, step) in [
            (all(), 1, 1),
            (AuditQuery { account: Some(account(3)), ..all() }, 3, 10),
            (AuditQuery { since: Some(WallTime::from_millis(3_000_000)), ..all() }, 3_000, 1),
            (AuditQuery { action: Some(Action::SignIn), ..all() }, 5_433, 1),
        ] {
            for limit in [7, 1_000].map(|limit| PageLimit::new(limit).unwrap()) {
                let mut query = AuditQuery { limit, ..query.clone() };
                let mut found = Vec::new();
                loop {
                    let page = read(&connection, Retention::default(), &query).unwrap();
                    assert!(page.entries.len() <= usize::from(limit.get()));
                    found.extend(page.entries.iter().map(|(id, _)| id.0));
                    let Some(next) = page.next else { break };
                    query.before = Some(next);
                }
                found.reverse();
                assert_eq!(found, Vec::from_iter((first..=5_432).step_by(step)), "{query:?}");
            }
        }
    }

    #[test]
    fn reading_takes_no_longer_because_the_log_is_long() {
        let steps = |entries: u32| {
            let connection = long_table(entries);
            let nothing = AuditQuery { action: Some(Action::SignIn), ..AuditQuery::default() };
            let page = read(&connection, Retention::default(), &nothing).unwrap();
            assert_eq!(page.next, Some(AuditId(u64::from(entries) - 999)));
            // The one in the cache, with what it has counted.
            let statement = connection.prepare_cached(READ).unwrap();
            statement.get_status(StatementStatus::VmStep)
        };
        let few = steps(2_000);
        assert!((1_000..30_000).contains(&few), "{few}");
        assert_eq!(steps(200_000), few);
    }

    #[test]
    fn every_statement_goes_by_the_primary_key_and_sorts_nothing() {
        let connection = table();
        for sql in [READ, REMOVE, "SELECT max(id) FROM audit"] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let bound = std::iter::repeat_n(1, statement.parameter_count());
            let plan = statement
                .query_map(rusqlite::params_from_iter(bound), |row| row.get::<_, String>(3))
                .unwrap();
            for line in plan.map(Result::unwrap) {
                // The scan is of the inner select of REMOVE, which ends after so many rows.
                let bounded = sql == REMOVE && line == "SCAN audit";
                let known = line.starts_with("SEARCH audit") || line.starts_with("LIST SUBQUERY");
                assert!(bounded || known, "{line}");
            }
        }
    }

    #[test]
    fn what_is_over_by_number_is_not_shown_and_goes_little_by_little() {
        let connection = long_table(1_000);
        let retention = Retention { entries: Some(100), life: None };
        let shown = all(&connection, retention);
        assert_eq!((shown.len(), shown[0].0, shown[99].0), (100, AuditId(1_000), AuditId(901)));
        let steps: Vec<u32> = (1..=400)
            .map(|number| {
                add(&connection, retention, &[note(1_000 + number, Who::Server, Action::FlagSet)]);
                rows(&connection)
            })
            .collect();
        assert_eq!(steps[..3], [997, 994, 991], "four go, one comes");
        assert_eq!((steps.iter().min(), steps.last()), (Some(&100), Some(&100)));
        let shown = all(&connection, retention);
        assert_eq!((shown.len(), shown[0].0, shown[99].0), (100, AuditId(1_400), AuditId(1_301)));
    }

    #[test]
    fn what_is_over_by_time_goes_little_by_little() {
        let connection = table();
        let retention = Retention { entries: None, life: Some(DAY) };
        let old = [1, 2, 3, 4, 5, 6].map(|number| note(number, Who::Server, Action::FlagSet));
        add(&connection, retention, &old);
        assert_eq!(rows(&connection), 6);
        let second = |number| [note(number, Who::Server, Action::FlagSet)];
        add(&connection, retention, &second(86_400 + 3));
        assert_eq!(rows(&connection), 5, "two are older than a day");
        (0..2).for_each(|_| add(&connection, retention, &second(3 * 86_400)));
        assert_eq!(rows(&connection), 2);
    }

    #[test]
    fn places_are_not_given_twice() {
        let connection = table();
        let retention = Retention { entries: Some(1), life: None };
        let one = [note(1, Who::Server, Action::FlagSet)];
        (0..3).for_each(|_| add(&connection, retention, &one));
        connection.execute("DELETE FROM audit", []).unwrap();
        add(&connection, retention, &one);
        assert_eq!(all(&connection, retention)[0].0, AuditId(4));
    }

    #[test]
    fn a_row_that_was_changed_is_noticed() {
        let connection = table();
        add(&connection, Retention::default(), &[note(1, Who::Server, Action::FlagSet)]);
        connection.execute_batch("DROP TRIGGER audit_is_append_only").unwrap();
        connection.execute("UPDATE audit SET target = 'another name'", []).unwrap();
        let read = read(&connection, Retention::default(), &AuditQuery::default());
        assert!(matches!(read, Err(BadRow::Changed { table: "audit" })), "{read:?}");
    }

    #[test]
    fn a_row_that_no_server_wrote_is_named() {
        let good = [
            ("at", "1"),
            ("who", "'server'"),
            ("source", "''"),
            ("request", "''"),
            ("action", "'flag.set'"),
            ("target", "'a'"),
            ("outcome", "'ok'"),
        ];
        let wrong = [
            ("", ""),
            ("who", "'token'"),
            ("action", "'flag.steal'"),
            ("target", "printf('%999s', '')"),
            ("outcome", "'maybe'"),
        ];
        for (wrong, value) in wrong {
            let connection = table();
            let columns = good.map(|(column, _)| column).join(", ");
            let values = good.map(|(column, good)| if column == wrong { value } else { good });
            let sql = format!("INSERT INTO audit ({columns}) VALUES ({})", values.join(", "));
            connection.execute(&sql, []).unwrap();
            match read(&connection, Retention::default(), &AuditQuery::default()) {
                Ok(page) => assert_eq!((page.entries.len(), wrong), (1, "")),
                Err(error) => {
                    assert!(!wrong.is_empty() && error.to_string().ends_with(wrong), "{error}")
                }
            }
        }
    }
}
