//! The octostore that was there before, which keeps its locks in SQLite, one transaction a change.

use super::{About, EARLIER, Peer, octostore::ACCOUNTS};
use crate::{
    Outcome,
    client::Script,
    dialogue::{Dialogue, Manner, token},
    process::{Server, free_address, version},
    workload::Workload,
};
use std::{path::Path, process::Command};

/// A running one.
#[derive(Debug)]
pub struct Earlier {
    about: About,
    process: Server,
}

impl Earlier {
    /// Starts `binary` on a new database in `folder`; `None` if it is not there.
    pub fn start(binary: &Path, folder: &Path) -> Outcome<Option<Self>> {
        let address = free_address()?;
        let tokens: Vec<String> =
            (0..ACCOUNTS).map(|number| format!("bench-{number}:{}", token(number))).collect();
        let mut command = Command::new(binary);
        command
            .arg("serve")
            .env("BIND_ADDR", address.to_string())
            .env("DATABASE_URL", folder.join("earlier.db"))
            .env("STATIC_TOKENS", tokens.join(","))
            .env("RUST_LOG", "warn");
        let about = About {
            name: EARLIER,
            version: version(binary),
            durability: "SQLite WAL, a sync a change",
            how: "its defaults; HTTP/1.1 with JSON, a bearer token in each request",
        };
        let process = Server::start_at(address, &mut command)?;
        Ok(process.map(|process| Self { about, process }))
    }
}

impl Peer for Earlier {
    fn about(&self) -> &About {
        &self.about
    }

    fn process(&self) -> &Server {
        &self.process
    }

    fn script(&self, workload: Workload, run: u32, connection: u32) -> Option<Box<dyn Script>> {
        let prefix = format!("r{run}-c{connection}");
        let dialogue = Dialogue::new(workload, Manner::Earlier, prefix, connection % ACCOUNTS);
        (workload == Workload::AcquireRelease).then(|| Box::new(dialogue) as _)
    }
}
