//! `octostore check FILE`: is it whole?

use super::{CommandError, Database, count, this_boot};
use crate::{
    settings::DatabasePath,
    store::{self, BackupError, Checked, Contents, OpenError},
};
use std::path::Path;

#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// A database that no server has open, or a backup. It stays as it is.
    file: Option<DatabasePath>,

    #[command(flatten)]
    database: Database,
}

pub fn run(arguments: &CheckArguments) -> Result<String, CommandError> {
    let file = &arguments.file.as_ref().unwrap_or(&arguments.database.database).0;
    match (report(file, file), &arguments.file) {
        (Err(CommandError::Backup(BackupError::Open(OpenError::Foreign { path }))), Some(_)) => {
            Err(CommandError::NotOurs(path))
        }
        (found, _) => found,
    }
}

/// What was found in the file at `path`, which is to be called `name`.
pub fn report(path: &Path, name: &Path) -> Result<String, CommandError> {
    let found = store::check(path, &this_boot()?)?;
    let what = if found.is_backup { "backup" } else { "database" };
    let Checked { version, pages, journal_bytes, audit_entries, contents, .. } = found;
    let name = name.display();
    let journal = match journal_bytes {
        0 => String::new(),
        bytes => format!(", and a journal of {bytes} bytes"),
    };
    let mut text = format!(
        "{name} is a {what} of schema version {version}, and whole:\n  {pages} pages{journal}: read, each in its place\n"
    );
    match contents {
        Some(contents) => text += &rows(&contents, audit_entries),
        None => text += "  rows: not looked at, as they are of an older version\n",
    }
    Ok(text)
}

fn rows(contents: &Contents, audit_entries: u64) -> String {
    let Contents { mark, leases, limits, flags, config, accounts, tokens, boot: _ } = contents;
    let highest = leases.iter().map(|lease| lease.token.get()).max();
    let rows = [
        count(accounts.len(), "account", "accounts"),
        count(tokens.len(), "bearer token", "bearer tokens"),
        count(leases.len(), "lock", "locks"),
        count(limits.len(), "rate limit", "rate limits"),
        count(flags.len(), "flag", "flags"),
        count(config.len(), "version of configuration", "versions of configuration"),
        format!("{audit_entries} in the audit log"),
    ];
    format!(
        "  {}: within their bounds and as their checksums say\n  \
           fencing tokens: {}, none above the mark, which is {}\n  \
           every lock and token is of an account that is there; versions have no gap\n",
        rows.join(", "),
        highest
            .map_or("none is held".to_owned(), |highest| format!("{highest} is the highest held")),
        mark.get(),
    )
}
