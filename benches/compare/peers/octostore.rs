//! The octostore under load.

use super::{About, Peer};
use crate::{
    Outcome,
    client::Script,
    dialogue::{Dialogue, Manner, token},
    process::{Server, version},
    workload::Workload,
};
use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// How many accounts the connections belong to.
pub const ACCOUNTS: u32 = 8;

/// A running octostore.
#[derive(Debug)]
pub struct Octostore {
    about: About,
    process: Server,
}

impl Octostore {
    /// Starts `binary` on a new database in `folder`.
    pub fn start(name: &'static str, binary: &Path, folder: &Path) -> Outcome<Self> {
        let place = Place::new(binary, folder, ACCOUNTS)?;
        let about = About {
            name,
            version: version(binary),
            durability: "fdatasync before each answer",
            how: "HTTP/1.1 with JSON, a bearer token in each request; locks with fencing tokens",
        };
        Ok(Self { about, process: place.start()? })
    }
}

impl Peer for Octostore {
    fn about(&self) -> &About {
        &self.about
    }

    fn process(&self) -> &Server {
        &self.process
    }

    fn script(&self, workload: Workload, run: u32, connection: u32) -> Option<Box<dyn Script>> {
        let prefix = format!("r{run}-c{connection}");
        let dialogue = Dialogue::new(workload, Manner::Ours, prefix, connection % ACCOUNTS);
        Some(Box::new(dialogue))
    }
}

/// A database, and the program that serves it; it may be started on it again and again.
#[derive(Debug)]
pub struct Place {
    binary: PathBuf,
    tokens: PathBuf,
    database: PathBuf,
}

impl Place {
    /// In `folder`, with so many accounts that have a token each.
    pub fn new(binary: &Path, folder: &Path, accounts: u32) -> Outcome<Self> {
        let tokens: String =
            (0..accounts).map(|number| format!("bench-{number}:{}\n", token(number))).collect();
        let file = folder.join("tokens");
        // The octostore refuses a file that others may read.
        let mut private =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
        private.write_all(tokens.as_bytes())?;
        let database = folder.join("bench.db");
        Ok(Self { binary: binary.to_owned(), tokens: file, database })
    }

    /// Starts the server.
    pub fn start(&self) -> Outcome<Server> {
        let mut command = Command::new(&self.binary);
        command
            .args(["--bind", "127.0.0.1:0", "--locks-per-account", "1000000"])
            .args(["--limits-per-account", "1000000", "--flags-per-account", "1000000"])
            .args(["--configs-per-account", "1000000"])
            .arg("--database")
            .arg(&self.database)
            .env("STATIC_TOKENS_FILE", &self.tokens)
            .env("RUST_LOG", "warn");
        Server::start_and_hear(&mut command)
    }

    /// Runs one of the program's commands on the database, which no server has.
    pub fn command(&self, name: &str, file: &Path) -> Outcome<()> {
        let mut command = Command::new(&self.binary);
        let output = command.arg(name).arg(file).arg("--database").arg(&self.database).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("octostore {name}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
