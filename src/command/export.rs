//! `octostore export FILE`: everything as lines of JSON.

use super::{
    CommandError, Database, count,
    files::NewFile,
    lines::{
        AccountLine, AuditLine, ConfigLine, End, FlagLine, Header, LimitLine, Line, LockLine,
        TokenLine,
    },
    this_boot,
};
use crate::store::{self, BackupError, Checked, Contents, Contradiction, OpenError};
use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

#[derive(Debug, clap::Args)]
pub struct ExportArguments {
    /// Where the lines go. Nobody else will be able to read them.
    file: PathBuf,

    /// Of which database, that no server has open, or of which backup.
    #[command(flatten)]
    database: Database,

    /// Replace FILE if it exists.
    #[arg(long)]
    force: bool,
}

pub fn run(arguments: &ExportArguments) -> Result<String, CommandError> {
    let database = &arguments.database.database.0;
    let mut file = NewFile::made_of(database, &arguments.file, arguments.force)?;
    let found = match store::check(database, &this_boot()?) {
        Err(BackupError::Open(OpenError::InUse { path, holder })) => {
            let path_text = path.display();
            let pid = holder.in_brackets();
            return Err(CommandError::ServerRuns(format!(
                "{path_text} is in use by another octostore{pid}: run `octostore backup COPY --database \
                 {path_text}`, and export COPY with --database COPY"
            )));
        }
        found => found?,
    };
    let Some(contents) = &found.contents else {
        return Err(CommandError::Older { path: database.clone(), version: found.version });
    };
    match write(&found, contents, file.file()) {
        Ok(written) => {
            file.finish()?;
            let lines = count(usize::try_from(written).unwrap_or(usize::MAX), "line", "lines");
            Ok(format!(
                "{lines} in {}: all of {}, with the hashes of bearer tokens\n",
                arguments.file.display(),
                database.display()
            ))
        }
        Err(Failed::Read(error)) => Err(CommandError::Store(error.to_string())),
        Err(Failed::Write(source)) => Err(file.failed(source)),
    }
}

/// Writes all lines, and says how many.
pub(super) fn write(found: &Checked, contents: &Contents, to: impl Write) -> Result<u64, Failed> {
    let mut lines = Lines { to: BufWriter::new(to), written: 0 };
    let last = found.last_audit_place()?;
    // Boot and mark are in the header.
    let Contents { boot: _, mark: _, leases, limits, flags, config, accounts, tokens } = contents;
    lines.write(&Line::OctostoreExport(Header::of(contents, last)))?;
    for account in accounts {
        lines.write(&Line::Account(AccountLine::of(account)))?;
    }
    for token in tokens {
        lines.write(&Line::Token(TokenLine::of(token)))?;
    }
    for lease in leases {
        lines.write(&Line::Lock(LockLine::of(lease)))?;
    }
    for row in limits {
        lines.write(&Line::Limit(LimitLine::of(row)))?;
    }
    for flag in flags {
        lines.write(&Line::Flag(FlagLine::of(flag)))?;
    }
    for entry in config {
        lines.write(&Line::Config(ConfigLine::of(entry)))?;
    }
    found.each_audit_entry(|id, entry| lines.write(&Line::Audit(AuditLine::of(id, entry))))?;
    lines.write(&Line::End(End { lines: lines.written }))?;
    lines.to.flush().map_err(Failed::Write)?;
    Ok(lines.written)
}

#[derive(Debug)]
pub(super) enum Failed {
    Read(Contradiction),
    Write(io::Error),
}

impl From<Contradiction> for Failed {
    fn from(error: Contradiction) -> Self {
        Self::Read(error)
    }
}

struct Lines<W: Write> {
    to: BufWriter<W>,
    written: u64,
}

impl<W: Write> Lines<W> {
    fn write(&mut self, line: &Line) -> Result<(), Failed> {
        serde_json::to_writer(&mut self.to, line).map_err(|error| Failed::Write(error.into()))?;
        self.to.write_all(b"\n").map_err(Failed::Write)?;
        self.written += 1;
        Ok(())
    }
}
