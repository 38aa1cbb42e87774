//! The commands besides serving: for whoever administers this machine.
//!
//! - [`backup`], [`restore`]: a copy of everything, and the way back;
//! - [`check`]: is a file whole?
//! - [`export`], [`import`]: everything as lines of JSON ([`lines`]);
//! - [`token`]: bearer tokens, while no server runs;
//! - [`health`]: does a server answer?
//! - [`client`]: asking a server on this machine; [`files`]: writing files that are whole or not
//!   there, [`interrupt`]: also if a signal comes; [`exit`]: the exit codes.

mod backup;
mod check;
mod client;
pub mod exit;
mod export;
mod files;
mod health;
mod import;
pub mod interrupt;
mod lines;
mod restore;
mod token;

use crate::{
    clock::{BootId, Calendar, SystemClock},
    settings::{self, DatabasePath, Settings, SettingsError},
    store::{BackupError, OpenError, why_not_read, why_not_written},
};
use clap::{Parser, Subcommand};
use octostore_actors::domain::values::WallTime;
use std::{ffi::OsString, io, path::PathBuf, sync::Arc};

/// A command line that begins with a command.
#[derive(Debug, Parser)]
#[command(
    name = "octostore",
    version,
    max_term_width = 100,
    about = "Distributed locks with fencing tokens over plain HTTP. Without a command it serves."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: what octostore does without a command, and with the same settings
    Serve(Box<Settings>),
    /// Make a backup, while a server runs or while none does
    Backup(backup::BackupArguments),
    /// Make a database of a backup
    Restore(restore::RestoreArguments),
    /// Look whether a database or a backup is whole
    Check(check::CheckArguments),
    /// Write everything that a database or a backup says as lines of JSON
    Export(export::ExportArguments),
    /// Make a database of an export
    Import(import::ImportArguments),
    /// Make, list and revoke bearer tokens while no server runs
    Token(token::TokenArguments),
    /// Ask a server whether requests are welcome
    Health(health::HealthArguments),
}

impl Command {
    fn writes(&self) -> bool {
        match self {
            Self::Backup(_) | Self::Restore(_) | Self::Export(_) | Self::Import(_) => true,
            Self::Token(_) => true,
            Self::Serve(_) | Self::Check(_) | Self::Health(_) => false,
        }
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// To serve.
    Serve(Box<Settings>),
    /// Another command, which is done by now: this is to be printed.
    Done(String),
}

/// Why a command was not done. The messages say what to do.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line, or the environment, is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A file of ours cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A backup cannot be made or restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// There is a file already.
    #[error("{0} exists and was left as it is: give another FILE, or --force to replace it")]
    Exists(PathBuf),
    /// A copy cannot be where a database is, nor where what is copied is.
    #[error(
        "{0} is a database, or belongs to one, or is what is to be copied, and was left as it is: give \
         another FILE"
    )]
    IsADatabase(PathBuf),
    /// There is no database.
    #[error("there is no database at {0}: give its --database")]
    NoDatabase(PathBuf),
    /// What is to be looked at is neither a database nor a backup.
    #[error("{0} is not an octostore database; it was left untouched: give another FILE")]
    NotOurs(PathBuf),
    /// A file cannot be written.
    #[error("{path} cannot be written: {}", why_not_written(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read: {}", why_not_read(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An export is none, or not whole.
    #[error("{path}, line {line}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, counted from one.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A file of an older version cannot be read row by row.
    #[error(
        "{path} is of schema version {version}: start this octostore on it once, which brings it up to date"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A server on this machine cannot be asked.
    #[error(transparent)]
    Client(#[from] client::ClientError),
    /// A server has the database, which the command wants for itself.
    #[error("{0}")]
    ServerRuns(String),
    /// No such account, or several.
    #[error("{0}")]
    Account(String),
    /// No such token.
    #[error("no token has the id {0}: `octostore token list` shows them")]
    NoToken(String),
    /// An argument cannot be.
    #[error("{argument}: {why}; see octostore token create --help")]
    Argument {
        /// Which.
        argument: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The store failed.
    #[error("{0}; nothing was changed")]
    Store(String),
    /// The kernel does not say which boot this is, or the runtime does not start.
    #[error("the system does not let it run: {0}")]
    System(io::Error),
}

/// Does what `arguments` ask for, unless that is to serve. The first of them is the program's name.
///
/// # Errors
/// See [`CommandError`].
pub fn run(arguments: Vec<OsString>) -> Result<Asked, CommandError> {
    let is_command =
        arguments.get(1).is_some_and(|first| !first.as_encoded_bytes().starts_with(b"-"));
    if !is_command {
        return Ok(Asked::Serve(Box::new(Settings::from_args(arguments)?)));
    }
    let line: CommandLine = settings::parse(arguments)?;
    let writes = line.command.writes();
    let _tidy =
        writes.then(interrupt::tidy_up_on_signals).transpose().map_err(CommandError::System)?;
    Ok(Asked::Done(match line.command {
        Command::Serve(settings) => return Ok(Asked::Serve(settings)),
        Command::Backup(arguments) => backup::run(&arguments)?,
        Command::Restore(arguments) => restore::run(&arguments)?,
        Command::Check(arguments) => check::run(&arguments)?,
        Command::Export(arguments) => export::run(&arguments)?,
        Command::Import(arguments) => import::run(&arguments)?,
        Command::Token(arguments) => token::run(&arguments)?,
        Command::Health(arguments) => health::run(&arguments)?,
    }))
}

/// Which database.
#[derive(Debug, clap::Args)]
struct Database {
    /// The database file.
    #[arg(long, env = "DATABASE_URL", value_name = "FILE", default_value = "octostore.db")]
    database: DatabasePath,
}

/// A message as a terminal may have it: what a file or a server has said may be in it, and must not move the
/// cursor or ring the bell.
pub fn printable(message: &str) -> String {
    let is_harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    message
        .chars()
        .map(|c| if is_harmless(c) { c.to_string() } else { c.escape_default().to_string() })
        .collect()
}

/// The wall clock.
fn wall_clock() -> WallTime {
    Calendar::new(Arc::new(SystemClock)).wall()
}

/// The present boot.
fn this_boot() -> Result<BootId, CommandError> {
    BootId::read().map_err(CommandError::System)
}

/// So many of something, in words.
fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_does_not_reach_the_terminal_as_a_command() {
        let hostile = "a \u{1b}]0;title\u{7}\u{9b}2J\r\n\tb\u{fc}";
        assert_eq!(printable(hostile), "a \\u{1b}]0;title\\u{7}\\u{9b}2J\\r\n\tb\u{fc}");
    }
}
