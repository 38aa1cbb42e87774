//! `octostore import FILE`: a database made of an export.

use super::{
    CommandError, Database,
    lines::{FORMAT, Line, Reading},
    restore::what_is_new,
    wall_clock,
};
use crate::store::{self, Contents};
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    hash::Hash,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

#[derive(Debug, clap::Args)]
pub struct ImportArguments {
    /// The export. It stays as it is.
    file: PathBuf,

    /// The database that is made: there must be none.
    #[command(flatten)]
    database: Database,
}

pub fn run(arguments: &ImportArguments) -> Result<String, CommandError> {
    let database = &arguments.database.database.0;
    let Reading { contents, audit } = read(&arguments.file)?;
    let made = store::fill(database, contents, &audit, wall_clock())?;
    let from = arguments.file.display();
    Ok(format!("{} made of {from}\n{}", database.display(), what_is_new(&made)))
}

/// The longest line that is read, in bytes: more than a value of the configuration has, each byte of it escaped,
/// and all else that its line says.
const LONGEST_LINE: u64 = 2 << 20;

/// Reads all of it before anything is made.
pub(super) fn read(path: &Path) -> Result<Reading, CommandError> {
    let unreadable = |source| CommandError::Read { path: path.to_owned(), source };
    let wrong = |line, what: String| CommandError::Line { path: path.to_owned(), line, what };
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let (mut reading, mut end, mut number): (Option<Reading>, _, _) = (None, None, 0);
    let mut text = Vec::new();
    loop {
        text.clear();
        let length = file.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut text);
        let length = length.map_err(unreadable)? as u64;
        if length == 0 {
            break;
        }
        number += 1;
        if length > LONGEST_LINE {
            return Err(wrong(number, "longer than any line of an export".to_owned()));
        }
        if end.is_some() {
            return Err(wrong(number, "there is something after the end".to_owned()));
        }
        let line: Line = serde_json::from_slice(&text)
            .map_err(|error| wrong(number, format!("no line of an export ({error})")))?;
        match (line, &mut reading) {
            (Line::OctostoreExport(header), None) if header.format == FORMAT => {
                reading = Some(header.begin().map_err(|what| wrong(number, what))?);
            }
            (Line::OctostoreExport(header), None) => {
                let what = format!("format {}, and this octostore reads {FORMAT}", header.format);
                return Err(wrong(number, what));
            }
            (_, None) => return Err(wrong(number, "an export begins with its header".to_owned())),
            (Line::End(last), Some(_)) => end = Some(last.lines),
            (line, Some(reading)) => reading.take(line).map_err(|what| wrong(number, what))?,
        }
    }
    let reading = reading.ok_or_else(|| wrong(1, "the file is empty".to_owned()))?;
    if end != Some(number.saturating_sub(1)) {
        return Err(wrong(number, "lines are missing: the export was cut off".to_owned()));
    }
    consistent(reading).map_err(|what| wrong(number, what))
}

/// Puts everything in its order, and looks whether it fits together.
fn consistent(mut reading: Reading) -> Result<Reading, String> {
    let Reading { contents, audit } = &mut reading;
    let Contents { boot: _, mark: _, leases, limits, flags, config, accounts, tokens } = contents;
    once("an account", accounts.iter().map(|account| account.id))?;
    once("an account", accounts.iter().map(|account| (account.origin, &account.subject)))?;
    once("a token", tokens.iter().map(|token| token.hash))?;
    once("a token", tokens.iter().map(|token| token.id))?;
    once("a lock", leases.iter().map(|lease| &lease.name))?;
    once("a limiter", limits.iter().map(|limit| (limit.account, &limit.name)))?;
    once("a flag", flags.iter().map(|flag| (flag.account, &flag.name)))?;
    let known: HashSet<_> = accounts.iter().map(|account| account.id).collect();
    let of_limits = limits.iter().map(|limit| limit.account);
    let owners = of_limits.chain(flags.iter().map(|flag| flag.account));
    if !owners.chain(config.iter().map(|entry| entry.account)).all(|id| known.contains(&id)) {
        return Err("something is of an account that is not".to_owned());
    }
    contents.verify().map_err(|error| error.to_string())?;
    contents
        .config
        .sort_by(|a, b| (a.account, &a.key, a.version).cmp(&(b.account, &b.key, b.version)));
    let mut before: HashMap<_, _> = HashMap::new();
    for entry in &contents.config {
        let version = before.insert((entry.account, entry.key.clone()), entry.version.get());
        if version.is_some_and(|version| version + 1 != entry.version.get()) {
            return Err(format!(
                "the versions of the config key {} have a gap",
                entry.key.as_str()
            ));
        }
    }
    audit.entries.sort_by_key(|(id, _)| *id);
    let twice = audit.entries.windows(2).any(|pair| pair[0].0 == pair[1].0);
    let beyond = audit.entries.last().is_some_and(|(id, _)| id.0 > audit.last_place);
    if twice || beyond {
        return Err("the ids of the audit log do not fit together".to_owned());
    }
    Ok(reading)
}

/// Whether `what` is there once by each of its `names`.
fn once<N: Eq + Hash>(what: &str, names: impl Iterator<Item = N>) -> Result<(), String> {
    let mut seen = HashSet::new();
    let mut names = names;
    if names.all(|name| seen.insert(name)) { Ok(()) } else { Err(format!("{what} is there twice")) }
}
