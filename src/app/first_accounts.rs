//! What a start writes down about accounts before anything is served.

use super::StartError;
use crate::{
    auth::{BearerToken, Provisioned},
    store::{self, SqliteStore},
};
use octostore_actors::{
    commit::{Store, Verdict},
    domain::{Record, values::WallTime},
};
use std::{
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Says so if no token opens anything at `now`, and there is no other way in.
pub fn warn_if_nobody_can_get_in(accounts: &Provisioned, now: WallTime) {
    if !accounts.lets_somebody_in(now) {
        // Most often a variable that was forgotten: its tokens are dead without it.
        tracing::warn!(
            "nobody can get in: no token opens anything. Configure accounts, as with \
             STATIC_TOKENS, or stop this server and run `octostore token create --account NAME`"
        );
    }
}

/// Writes what the start has decided about accounts. Returns the file of the token that it has made, if any.
///
/// # Errors
/// The file or the rows cannot be written.
pub fn write_down(
    database: &Path,
    store: &mut SqliteStore,
    accounts: &Provisioned,
) -> Result<Option<PathBuf>, StartError> {
    for name in &accounts.rotated {
        tracing::warn!(account = %name, "its configured token was rotated away and opens nothing");
    }
    // The file comes first.
    let first_token =
        accounts.admin.as_ref().map(|token| write_token(database, token)).transpose()?;
    let records: Vec<Record> = accounts.records.iter().cloned().map(Record::from).collect();
    if !records.is_empty() {
        match store.commit(&records) {
            Verdict::Committed => {}
            Verdict::NoRoom => return Err(StartError::Write("the disk is full".to_owned())),
            Verdict::Unknown(failure) => return Err(StartError::Write(failure.to_string())),
        }
    }
    Ok(first_token)
}

/// Where a first start puts the token of the account `admin`.
pub fn token_path(database: &Path) -> PathBuf {
    store::beside(database, store::FIRST_TOKEN)
}

fn write_token(database: &Path, token: &BearerToken) -> Result<PathBuf, StartError> {
    let path = token_path(database);
    let write = || {
        // A file of that name is of a start that did not come to its end, or not ours to trust.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{}", token.reveal())?;
        file.sync_all()?;
        // Its name too: a token that is on disk as a hash alone would help nobody.
        store::sync_name(&path)
    };
    write().map_err(|source| StartError::AdminToken { path: path.clone(), source })?;
    Ok(std::path::absolute(&path).unwrap_or(path))
}
