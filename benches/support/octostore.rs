//! The octostore under load.

use crate::{
    Outcome, client,
    dialogue::{ACCOUNTS, Dialogue, Holding, token},
    process::Server,
};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Takes a free lock, then releases it; each is an operation.
    AcquireRelease,
    /// Extends a lease.
    Renew,
    /// Looks at a held lock.
    Get,
    /// Asks for a lock that another account holds, and hears 409.
    Contended,
    /// Checks a rate limit that is far from full.
    Check,
    /// Evaluates a flag for a key.
    Evaluate,
    /// Reads a small config value.
    ConfigGet,
    /// Writes the next version of it.
    ConfigPut,
    /// Asks nothing: what HTTP alone costs here.
    Probe,
}

impl Workload {
    /// In the order of the report.
    pub const ALL: &[Self] = &[
        Self::AcquireRelease,
        Self::Renew,
        Self::Get,
        Self::Contended,
        Self::Check,
        Self::Evaluate,
        Self::ConfigGet,
        Self::ConfigPut,
        Self::Probe,
    ];

    /// As the report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AcquireRelease => "acquire+release",
            Self::Renew => "renew",
            Self::Get => "get",
            Self::Contended => "contended acquire",
            Self::Check => "limit check",
            Self::Evaluate => "flag evaluation",
            Self::ConfigGet => "config get",
            Self::ConfigPut => "config put",
            Self::Probe => "probe",
        }
    }
}

/// A running octostore.
#[derive(Debug)]
pub struct Octostore {
    /// Its process.
    pub process: Server,
}

impl Octostore {
    /// Starts `binary` on a new database in `folder`.
    pub fn start(binary: &Path, folder: &Path) -> Outcome<Self> {
        let tokens: Vec<String> =
            (0..ACCOUNTS).map(|account| format!("bench-{account}:{}", token(account))).collect();
        let mut child = Command::new(binary)
            .args(["--bind", "127.0.0.1:0", "--locks-per-account", "1000000"])
            .args(["--limits-per-account", "1000000", "--flags-per-account", "1000000"])
            .args(["--configs-per-account", "1000000"])
            .arg("--database")
            .arg(folder.join("bench.db"))
            .env("STATIC_TOKENS", tokens.join(","))
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let address = BufReader::new(stdout).lines().find_map(|line| {
            let (_, address) = line.ok()?.split_once("listening on http://").map(owned)?;
            address.trim().parse().ok()
        });
        let unheard = SocketAddr::from(([127, 0, 0, 1], 0));
        let process = Server::new(child, address.unwrap_or(unheard));
        address.ok_or("the server did not say where it listens")?;
        Ok(Self { process })
    }

    /// What one connection says in the measurement `run`.
    pub fn script(&self, workload: Workload, run: u32, connection: u32) -> Dialogue {
        Dialogue::new(workload, format!("r{run}-c{connection}"), connection)
    }

    /// Has `count` locks held for an hour, by all accounts.
    pub fn hold(&self, count: u32) -> Outcome<()> {
        let load =
            client::Load { connections: 256, warm_up: Duration::ZERO, measured: Duration::ZERO };
        let share = count.div_ceil(load.connections);
        let scripts =
            (0..load.connections).map(|connection| Holding::new(connection, share)).collect();
        client::run(&self.process, &load, scripts).map(drop)
    }
}

fn owned((before, after): (&str, &str)) -> (String, String) {
    (before.to_owned(), after.to_owned())
}
