//! The audit log: rows of `audit`.

use super::statements::Statements;
use octostore_actors::domain::{
    audit::{AuditEntry, AuditText, Who},
    values::{AccountId, TokenId},
};
use rusqlite::params;

/// Adds one entry.
pub fn write(statements: &mut Statements<'_>, entry: &AuditEntry) -> rusqlite::Result<()> {
    let (who, account, token) = who_columns(entry.by.who);
    statements.write(
        "INSERT INTO audit
             (at, who, account, token, source, request, action, target, outcome, detail, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            entry.by.at.as_millis(),
            who,
            account.as_ref().map(AccountId::as_bytes),
            token.as_ref().map(TokenId::as_bytes),
            entry.by.from.as_str(),
            entry.by.request.as_str(),
            entry.action.as_str(),
            entry.target.as_str(),
            entry.outcome.as_str(),
            entry.detail.as_ref().map(AuditText::as_str),
        ],
    )
}

fn who_columns(who: Who) -> (&'static str, Option<AccountId>, Option<TokenId>) {
    match who {
        Who::Token(account, token) => ("token", Some(account), Some(token)),
        Who::Account(account) => ("account", Some(account), None),
        Who::AdminKey => ("admin_key", None, None),
        Who::Stranger => ("stranger", None, None),
        Who::Server => ("server", None, None),
    }
}
