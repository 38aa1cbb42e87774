//! The account domain: rows of `accounts` and `tokens`.

use super::{
    row::{BadRow, column, verify},
    statements::Statements,
};
use octostore_actors::domain::{
    account::{
        Account, AccountRecord, Allowance, Origin, Role, Standing, Subject, Token, TokenName,
        TokenSource, TokenState, scope::Scope,
    },
    values::{AccountId, AccountName, Quota, TokenHash, TokenId, WallTime},
};
use rusqlite::{Connection, Row, params};

/// Writes one record.
pub fn write(statements: &mut Statements<'_>, record: &AccountRecord) -> rusqlite::Result<()> {
    match record {
        AccountRecord::Account(account) => write_account(statements, account),
        AccountRecord::Token(token) => write_token(statements, token),
        AccountRecord::NoToken(hash) => statements
            .get("DELETE FROM tokens WHERE hash = ?1")?
            .execute([hash.as_bytes()])
            .map(drop),
    }
}

fn write_account(statements: &mut Statements<'_>, account: &Account) -> rusqlite::Result<()> {
    let quota = |quota: Option<Quota>| quota.map(Quota::get);
    let Allowance { locks, limits, flags, configs, requests_per_second } = account.allowance;
    statements.write(
        "INSERT OR REPLACE INTO accounts
             (id, origin, subject, name, admin, disabled,
              locks, limits, flags, configs, requests_per_second, created_at, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            account.id.as_bytes(),
            origin_text(account.origin),
            account.subject.as_str(),
            account.name.as_str(),
            match account.role {
                Role::Member => false,
                Role::Admin => true,
            },
            match account.standing {
                Standing::Enabled => false,
                Standing::Disabled => true,
            },
            quota(locks),
            quota(limits),
            quota(flags),
            quota(configs),
            quota(requests_per_second),
            account.created_at.as_millis(),
        ],
    )
}

fn write_token(statements: &mut Statements<'_>, token: &Token) -> rusqlite::Result<()> {
    statements
        .write("INSERT OR REPLACE INTO tokens
             (hash, id, account, name, source, scope, created_at, expires_at, last_used_at, live, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)", params![
            token.hash.as_bytes(),
            token.id.as_bytes(),
            token.account.as_bytes(),
            token.name.as_str(),
            source_text(token.source),
            match &token.scope {
                Scope::Everything => None,
                only @ Scope::Only(_) => Some(only.to_string()),
            },
            token.created_at.as_millis(),
            token.expires_at.map(WallTime::as_millis),
            token.last_used_at.map(WallTime::as_millis),
            match token.state {
                TokenState::Live => true,
                TokenState::Dead => false,
            },
        ])
}

/// All accounts on disk.
pub fn accounts(connection: &Connection) -> Result<Vec<Account>, BadRow> {
    let mut statement = connection.prepare(
        "SELECT id, origin, subject, name, admin, disabled,
                locks, limits, flags, configs, requests_per_second, created_at, sum FROM accounts",
    )?;
    statement.query_and_then([], account)?.collect()
}

fn account(row: &Row<'_>) -> Result<Account, BadRow> {
    const TABLE: &str = "accounts";
    verify(row, TABLE, 12)?;
    let quota = |index| row.get::<_, Option<u32>>(index).map(|most| most.map(Quota::new));
    Ok(Account {
        id: AccountId::from_bytes(row.get(0)?),
        origin: column(row, TABLE, (1, "origin"), |text: String| {
            ORIGINS.into_iter().find(|&known| origin_text(known) == text).ok_or(())
        })?,
        subject: column(row, TABLE, (2, "subject"), |text: String| Subject::new(&text))?,
        name: column(row, TABLE, (3, "name"), |text: String| AccountName::new(&text))?,
        role: if row.get(4)? { Role::Admin } else { Role::Member },
        standing: if row.get(5)? { Standing::Disabled } else { Standing::Enabled },
        allowance: Allowance {
            locks: quota(6)?,
            limits: quota(7)?,
            flags: quota(8)?,
            configs: quota(9)?,
            requests_per_second: quota(10)?,
        },
        created_at: WallTime::from_millis(row.get(11)?),
    })
}

/// All tokens on disk, dead ones too.
pub fn tokens(connection: &Connection) -> Result<Vec<Token>, BadRow> {
    let mut statement = connection.prepare(
        "SELECT hash, id, account, name, source, scope, created_at, expires_at, last_used_at, live,
                sum
         FROM tokens",
    )?;
    statement.query_and_then([], token)?.collect()
}

fn token(row: &Row<'_>) -> Result<Token, BadRow> {
    const TABLE: &str = "tokens";
    verify(row, TABLE, 10)?;
    let time = |index| row.get::<_, Option<i64>>(index).map(|at| at.map(WallTime::from_millis));
    Ok(Token {
        hash: TokenHash::from_bytes(row.get(0)?),
        id: TokenId::from_bytes(row.get(1)?),
        account: AccountId::from_bytes(row.get(2)?),
        name: column(row, TABLE, (3, "name"), |text: String| TokenName::new(&text))?,
        source: column(row, TABLE, (4, "source"), |text: String| {
            SOURCES.into_iter().find(|&known| source_text(known) == text).ok_or(())
        })?,
        scope: column(row, TABLE, (5, "scope"), |text: Option<String>| match text {
            None => Ok(Scope::Everything),
            Some(text) => text.parse(),
        })?,
        created_at: WallTime::from_millis(row.get(6)?),
        expires_at: time(7)?,
        last_used_at: time(8)?,
        state: if row.get(9)? { TokenState::Live } else { TokenState::Dead },
    })
}

const ORIGINS: [Origin; 4] = [Origin::Static, Origin::Local, Origin::GitHub, Origin::OpenId];

fn origin_text(origin: Origin) -> &'static str {
    match origin {
        Origin::Static => "static",
        Origin::Local => "local",
        Origin::GitHub => "github",
        Origin::OpenId => "openid",
    }
}

const SOURCES: [TokenSource; 4] =
    [TokenSource::Static, TokenSource::Issued, TokenSource::SignIn, TokenSource::Workload];

fn source_text(source: TokenSource) -> &'static str {
    match source {
        TokenSource::Static => "static",
        TokenSource::Issued => "issued",
        TokenSource::SignIn => "sign_in",
        TokenSource::Workload => "workload",
    }
}
