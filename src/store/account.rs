//! The account domain: rows of `accounts` and `tokens`.

use super::{
    row::{BadRow, column},
    statements::Statements,
};
use octostore_actors::domain::{
    account::{Account, AccountRecord, Origin, Token, TokenSource, TokenState},
    values::{AccountId, AccountName, TokenHash},
};
use rusqlite::{Connection, Row, params};

/// Writes one record.
pub fn write(statements: &mut Statements<'_>, record: &AccountRecord) -> rusqlite::Result<()> {
    match record {
        AccountRecord::Account(account) => statements
            .get("INSERT OR REPLACE INTO accounts (id, origin, name) VALUES (?1, ?2, ?3)")?
            .execute(params![
                account.id.as_bytes(),
                origin_text(account.origin),
                account.name.as_str()
            ])?,
        AccountRecord::Token(token) => statements
            .get(
                "INSERT OR REPLACE INTO tokens (hash, account, source, live) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                token.hash.as_bytes(),
                token.account.as_bytes(),
                source_text(token.source),
                match token.state {
                    TokenState::Live => true,
                    TokenState::Dead => false,
                },
            ])?,
        AccountRecord::NoToken(hash) => statements
            .get("DELETE FROM tokens WHERE hash = ?1")?
            .execute([hash.as_bytes()])?,
    };
    Ok(())
}

/// All accounts on disk.
pub fn accounts(connection: &Connection) -> Result<Vec<Account>, BadRow> {
    let mut statement = connection.prepare("SELECT id, origin, name FROM accounts")?;
    statement.query_and_then([], account)?.collect()
}

fn account(row: &Row<'_>) -> Result<Account, BadRow> {
    const TABLE: &str = "accounts";
    Ok(Account {
        id: AccountId::from_bytes(row.get(0)?),
        origin: column(row, TABLE, (1, "origin"), |text: String| match &*text {
            "static" => Ok(Origin::Static),
            "local" => Ok(Origin::Local),
            _ => Err(()),
        })?,
        name: column(row, TABLE, (2, "name"), |text: String| AccountName::new(&text))?,
    })
}

/// All tokens on disk, dead ones too.
pub fn tokens(connection: &Connection) -> Result<Vec<Token>, BadRow> {
    let mut statement = connection.prepare("SELECT hash, account, source, live FROM tokens")?;
    statement.query_and_then([], token)?.collect()
}

fn token(row: &Row<'_>) -> Result<Token, BadRow> {
    Ok(Token {
        hash: TokenHash::from_bytes(row.get(0)?),
        account: AccountId::from_bytes(row.get(1)?),
        source: column(row, "tokens", (2, "source"), |text: String| match &*text {
            "static" => Ok(TokenSource::Static),
            "issued" => Ok(TokenSource::Issued),
            _ => Err(()),
        })?,
        state: if row.get(3)? { TokenState::Live } else { TokenState::Dead },
    })
}

fn origin_text(origin: Origin) -> &'static str {
    match origin {
        Origin::Static => "static",
        Origin::Local => "local",
    }
}

fn source_text(source: TokenSource) -> &'static str {
    match source {
        TokenSource::Static => "static",
        TokenSource::Issued => "issued",
    }
}
