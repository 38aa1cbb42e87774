//! `octostore restore BACKUP`: a database again.

use super::{CommandError, Database, count, wall_clock};
use crate::store::{self, Restored};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct RestoreArguments {
    /// The backup. It stays as it is.
    backup: PathBuf,

    #[command(flatten)]
    database: Database,
}

pub fn run(arguments: &RestoreArguments) -> Result<String, CommandError> {
    let database = &arguments.database.database.0;
    let made = store::restore(&arguments.backup, database, wall_clock())?;
    Ok(format!(
        "{} restored from {}\n{}",
        database.display(),
        arguments.backup.display(),
        what_is_new(&made)
    ))
}

/// What whoever restores has to know.
pub fn what_is_new(Restored { contents, was }: &Restored) -> String {
    format!(
        "  fencing tokens   go on after {}, above all that can have been granted since {}\n  \
           leases           {}; what was granted after the backup is not known any more:\n                   \
             until such leases are over, within an hour, fencing alone keeps two holders apart\n  \
           bearer tokens    {} as they were: revoke again what was revoked since\n",
        contents.mark.get(),
        was.get(),
        count(contents.leases.len(), "is held", "are held"),
        contents.tokens.len(),
    )
}
