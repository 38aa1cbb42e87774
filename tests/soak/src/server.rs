//! The server as a process, and what the kernel knows of it.

use crate::gauges::Sample;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How long the server may take to stop in good order: far more than its own five seconds, as the
/// machine may be busy.
const STOP: Duration = Duration::from_secs(60);

/// The kernel counts the time of a process in hundredths of a second, on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program cannot be run.
    #[error("{0} cannot be started: {1}")]
    Start(PathBuf, io::Error),
    /// It said nothing of an address.
    #[error("the server ended, or did not say where it listens; its log is {0}")]
    Silent(PathBuf),
    /// It did not stop in time.
    #[error("the server did not stop within {STOP:?} of SIGTERM")]
    Stuck,
    /// The system says no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// `cargo build` failed.
    #[error("the server cannot be built: cargo build --release fails; or name one with --server")]
    Build,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    database: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `program` with `arguments` on the database in `folder`, which is made if there is
    /// none. Its log goes into that folder.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub fn start(
        program: &Path,
        folder: &Path,
        arguments: &[String],
        tokens: &str,
    ) -> Result<Self, ServerError> {
        let (database, log) = (folder.join("soak.db"), folder.join("server.log"));
        let error = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut child = Command::new(program)
            .args(["--bind", "127.0.0.1:0", "--database"])
            .arg(&database)
            .args(arguments)
            .env_clear()
            .env("STATIC_TOKENS", tokens)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(error)
            .spawn()
            .map_err(|error| ServerError::Start(program.to_owned(), error))?;
        let address = child.stdout.take().and_then(|out| {
            let mut lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.find_map(|line| line.split_once("listening on http://")?.1.trim().parse().ok())
        });
        let unheard = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Self { child, database, address: address.unwrap_or(unheard) };
        if address.is_some() { Ok(server) } else { Err(ServerError::Silent(log)) }
    }

    /// Asks it to stop in good order.
    ///
    /// # Errors
    /// It is gone already.
    pub fn terminate(&self) -> Result<(), ServerError> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(io::Error::from)?)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`ServerError::Stuck`].
    pub async fn ended(mut self) -> Result<ExitStatus, ServerError> {
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(ServerError::Stuck)
    }

    /// What its threads have computed so far.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu(&self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(self.proc("stat"))?;
        // The name, in parentheses, may hold anything; the numbers follow it.
        let numbers = stat.rsplit_once(')').map_or("", |(_, numbers)| numbers);
        let ticks = numbers.split_whitespace().skip(11).take(2).map(|n| n.parse().unwrap_or(0));
        Ok(TICK * ticks.sum::<u32>())
    }

    /// How long its threads have waited for a core so far, ready to run.
    ///
    /// # Errors
    /// It is gone.
    pub fn waited(&self) -> io::Result<Duration> {
        let mut waited = Duration::ZERO;
        for thread in std::fs::read_dir(self.proc("task"))? {
            // A thread may end while we look.
            let times =
                std::fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            let nanos = times.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok());
            waited += Duration::from_nanos(nanos.unwrap_or(0));
        }
        Ok(waited)
    }

    /// What it has at this moment.
    ///
    /// # Errors
    /// It is gone.
    pub fn sample(&self) -> io::Result<Sample> {
        let status = std::fs::read_to_string(self.proc("status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let size = |suffix: &str| {
            let mut path = self.database.clone().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        Ok(Sample {
            resident: number("VmRSS:").unwrap_or(0) << 10,
            files: std::fs::read_dir(self.proc("fd"))?.count() as u64,
            threads: number("Threads:").unwrap_or(0),
            journal: size("-wal"),
            database: size(""),
        })
    }

    fn proc(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.child.id()).into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended needs neither.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Builds the release server and says where it is.
///
/// # Errors
/// [`ServerError::Build`].
pub fn build() -> Result<PathBuf, ServerError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--locked", "--bin", "octostore"])
        .args(["--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&built.stdout);
    let mut programs = text.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    programs.next_back().filter(|_| built.status.success()).ok_or(ServerError::Build)
}
