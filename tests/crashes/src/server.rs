//! The real program as a process: started, stopped, killed, and started again on the same file.

use crate::{
    Outcome,
    client::{Account, PATIENCE},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Host {
    binary: PathBuf,
    database: PathBuf,
    /// Programs that start it, and what they are told: `faketime -f +1d`.
    wrapper: Vec<OsString>,
    variables: Vec<(String, OsString)>,
}

impl Host {
    /// `binary` on the database in `folder`.
    pub fn new(binary: &Path, folder: &Path) -> Self {
        let database = folder.join("octostore.db");
        Self { binary: binary.to_owned(), database, wrapper: Vec::new(), variables: Vec::new() }
    }

    /// The same, on the database in another folder.
    #[must_use]
    pub fn in_folder(&self, folder: &Path) -> Self {
        Self { database: folder.join("octostore.db"), ..self.clone() }
    }

    /// The same, started by `wrapper`.
    #[must_use]
    pub fn wrapped<S: AsRef<OsStr>>(&self, wrapper: impl IntoIterator<Item = S>) -> Self {
        let wrapper = wrapper.into_iter().map(|word| word.as_ref().to_owned()).collect();
        Self { wrapper, ..self.clone() }
    }

    /// The same, with an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// The database file.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// A file that lies beside the database: `-wal`.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.database.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// Starts it, and waits for nothing.
    ///
    /// # Errors
    /// There is no such program.
    pub fn spawn(&self) -> Outcome<Starting> {
        let mut words = self.wrapper.iter().map(OsString::as_os_str).chain([self.binary.as_ref()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        let tokens = Account::ALL.map(|account| format!("{}:{}", account.name(), account.token()));
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("STATIC_TOKENS", tokens.join(","))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(["--bind", "127.0.0.1:0", "--http-threads", "1"])
            .args(["--locks-per-account", "1000000", "--limits-per-account", "1000000"])
            .args(["--flags-per-account", "1000000", "--configs-per-account", "1000000"])
            .arg("--database")
            .arg(&self.database)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let errors = child.stderr.take().ok_or("no standard error")?;
        let process = Process { child, errors: Some(std::thread::spawn(|| read_all(errors))) };
        Ok(Starting(process))
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// It does not.
    pub fn start(&self) -> Outcome<Server> {
        self.spawn()?
            .serving()?
            .map_err(|exit| format!("the server does not start: {exit:?}").into())
    }
}

fn read_all(mut from: ChildStderr) -> String {
    let mut said = Vec::new();
    // What came before an error is all there is.
    let _length = from.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Exit {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard error.
    pub said: String,
}

#[derive(Debug)]
struct Process {
    child: Child,
    errors: Option<JoinHandle<String>>,
}

impl Process {
    fn signal(&self, signal: Signal) -> Outcome<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    fn has_ended(&mut self) -> Outcome<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    fn exit(&mut self) -> Outcome<Exit> {
        let begun = Instant::now();
        while !self.has_ended()? {
            if begun.elapsed() > PATIENCE {
                return Err("the server does not end".into());
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        let code = self.child.wait()?.code();
        let said = self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default();
        Ok(Exit { code, said })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either fails if it has ended before.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A process that may or may not come to serve. Dropping it kills it.
#[derive(Debug)]
pub struct Starting(Process);

impl Starting {
    /// Waits until it serves or has ended.
    ///
    /// # Errors
    /// Nobody knows what it does.
    pub fn serving(mut self) -> Outcome<Result<Server, Exit>> {
        let out = self.0.child.stdout.take().ok_or("no standard output")?;
        let address = BufReader::new(out)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("listening on http://")?.1.trim().parse().ok());
        Ok(match address {
            Some(address) => Ok(Server { address, process: self.0 }),
            None => Err(self.0.exit()?),
        })
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(mut self) -> Outcome<Exit> {
        self.0.child.kill()?;
        self.0.exit()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.child.id()
    }
}

/// A server that listens. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    /// Where.
    pub address: SocketAddr,
    process: Process,
}

impl Server {
    /// Its process id, or that of the program that started it and is it now.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// `kill -9`, without waiting.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&self) -> Outcome<()> {
        self.process.signal(Signal::KILL)
    }

    /// Asks it to stop in good order, without waiting.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn stop(&self) -> Outcome<()> {
        self.process.signal(Signal::TERM)
    }

    /// Stops it where it stands: when this returns, no thread of it runs.
    ///
    /// # Errors
    /// It runs on.
    pub fn pause(&self) -> Outcome<()> {
        self.process.signal(Signal::STOP)?;
        let tasks = format!("/proc/{}/task", self.pid());
        let begun = Instant::now();
        loop {
            let stands = fs::read_dir(&tasks)?.flatten().all(|task| {
                fs::read_to_string(task.path().join("stat")).is_ok_and(|stat| stat.contains(") T "))
            });
            if stands {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err("the server does not stand still".into());
            }
            std::thread::yield_now();
        }
    }

    /// Lets it run on.
    ///
    /// # Errors
    /// It cannot.
    pub fn resume(&self) -> Outcome<()> {
        self.process.signal(Signal::CONT)
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// Nobody knows.
    pub fn has_ended(&mut self) -> Outcome<bool> {
        self.process.has_ended()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It runs on.
    pub fn exit(mut self) -> Outcome<Exit> {
        self.process.exit()
    }
}
