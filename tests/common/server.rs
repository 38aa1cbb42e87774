//! The real program as a process: started, signalled, stopped, killed, and started again.

use super::{ALICE, Address, BOB, Client, Connection, until};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsString,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};
use tempfile::TempDir;

/// Where a program writes which of its lines it ran, while the coverage of the tests is measured.
pub fn measured() -> Option<(&'static str, OsString)> {
    const VARIABLE: &str = "LLVM_PROFILE_FILE";
    std::env::var_os(VARIABLE).map(|file| (VARIABLE, file))
}

/// How a server is started. Starting from the same one again uses the same file.
#[derive(Clone)]
pub struct Setup {
    folder: Arc<TempDir>,
    database: PathBuf,
    bind: String,
    /// What comes before every flag.
    first: Vec<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// What runs the server, if it is not run by itself.
    through: Vec<String>,
}

impl Setup {
    /// A folder of its own, and the accounts `alice` and `bob`.
    pub fn new() -> Self {
        Self::bare().variable("STATIC_TOKENS", &format!("alice:{ALICE},bob:{BOB}"))
    }

    /// A folder of its own, and nothing configured.
    pub fn bare() -> Self {
        let folder = TempDir::new().unwrap();
        Self {
            database: folder.path().join("octostore.db"),
            folder: Arc::new(folder),
            bind: "127.0.0.1:0".to_owned(),
            first: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            through: Vec::new(),
        }
    }

    /// With another flag.
    pub fn flag(mut self, flag: &str, value: &str) -> Self {
        self.arguments.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// With another argument.
    pub fn argument(mut self, argument: &str) -> Self {
        self.first.push(argument.to_owned());
        self
    }

    /// The environment.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    /// With this environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Listening elsewhere.
    pub fn bind(mut self, bind: &str) -> Self {
        bind.clone_into(&mut self.bind);
        self
    }

    /// Run by a command that becomes it, once it has prepared something.
    pub fn through(mut self, command: &[&str]) -> Self {
        self.through = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// With the database elsewhere.
    pub fn database_at(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.database);
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The database file.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// A file that SQLite keeps beside the database, or we do: `-wal`, `-lock`, `.admin-token`.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.database.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// The command, in an environment that is ours alone.
    pub fn command(&self) -> Command {
        let this = env!("CARGO_BIN_EXE_octostore");
        let mut words = self.through.iter().map(String::as_str).chain([this]);
        let mut command = Command::new(words.next().unwrap_or(this));
        command
            .args(words)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(self.folder())
            .args(&self.first)
            .arg("--bind")
            .arg(&self.bind)
            .arg("--database")
            .arg(&self.database)
            .args(&self.arguments)
            .envs(measured());
        command
    }

    /// Starts it and waits until it listens.
    pub fn start(&self) -> Server {
        self.try_start().unwrap_or_else(|exit| panic!("it ended: {exit:?}"))
    }

    /// Starts it and waits until it has ended by itself.
    pub fn run(&self) -> Exit {
        match self.try_start() {
            Ok(_) => panic!("it serves"),
            Err(exit) => exit,
        }
    }

    /// Starts it and waits until it listens or has ended by itself.
    pub fn try_start(&self) -> Result<Server, Exit> {
        let mut process = Process::spawn(&mut self.command());
        let address = until("the server listens or ends", || {
            if let Some(line) = process.out.line_with("listening on") {
                return Some(Some(address(line.split_once("listening on ").unwrap().1)));
            }
            process.child.try_wait().unwrap().map(|_| None)
        });
        match address {
            Some(address) => Ok(Server { setup: self.clone(), address, process }),
            None => Err(process.exit()),
        }
    }
}

fn address(text: &str) -> Address {
    let first = text.split(", ").next().unwrap();
    match first.strip_prefix("unix:") {
        Some(path) => Address::Unix(path.into()),
        None => Address::Tcp(first.strip_prefix("http://").unwrap().parse().unwrap()),
    }
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub struct Exit {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Exit {
    /// The one line that it said in the end, which is all it said.
    pub fn one_line(&self) -> &str {
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        self.err.trim_end()
    }
}

/// A server that listens. Dropping it kills it.
pub struct Server {
    pub setup: Setup,
    pub address: Address,
    process: Process,
}

impl Server {
    pub fn alice(&self) -> Client {
        Client::new(&self.address, ALICE)
    }

    pub fn bob(&self) -> Client {
        Client::new(&self.address, BOB)
    }

    pub fn client(&self, token: &str) -> Client {
        Client::new(&self.address, token)
    }

    /// The token that the first start has made.
    pub fn first_token(&self) -> String {
        std::fs::read_to_string(self.setup.beside(".admin-token")).unwrap().trim().to_owned()
    }

    pub fn connect(&self) -> Connection {
        Connection::open(&self.address)
    }

    /// `http://address:port`.
    pub fn url(&self) -> String {
        let Address::Tcp(address) = &self.address else {
            panic!("it listens on a Unix socket");
        };
        format!("http://{address}")
    }

    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// What it has written to standard output so far.
    pub fn out(&self) -> String {
        self.process.out.text()
    }

    /// What it has written to standard error so far.
    pub fn err(&self) -> String {
        self.process.err.text()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.child), signal).unwrap();
    }

    /// Stops it where it stands: when this returns, no thread of it runs.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.pid());
        until("every thread stands still", || {
            let mut stats = std::fs::read_dir(&tasks)
                .unwrap()
                .map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")));
            stats.all(|stat| stat.is_ok_and(|stat| stat.contains(") T "))).then_some(())
        });
    }

    /// How many bytes of memory it takes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib << 10
    }

    /// Lets it run on, when every goodbye that was said meanwhile has arrived: the system may put off to
    /// deliver it, and to a client who is still there, as far as anybody knows, things are answered.
    pub fn resume(&self) {
        until("every goodbye has arrived", || (!self.are_goodbyes_under_way()).then_some(()));
        self.signal(Signal::CONT);
    }

    fn are_goodbyes_under_way(&self) -> bool {
        const UNHEARD: &str = "04";
        let Address::Tcp(address) = &self.address else { return false };
        let there = format!(":{:04X}", address.port());
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        sockets.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(2);
            fields.next().is_some_and(|to| to.ends_with(&there)) && fields.next() == Some(UNHEARD)
        })
    }

    /// `kill -9`.
    pub fn kill(self) {
        self.signal(Signal::KILL);
        assert_eq!(self.exit().code, None);
    }

    /// Stops it in good order.
    pub fn stop(self) -> Exit {
        self.signal(Signal::TERM);
        let exit = self.exit();
        assert_eq!(exit.code, Some(0), "{exit:?}");
        exit
    }

    /// Waits until it has ended.
    pub fn exit(mut self) -> Exit {
        self.process.exit()
    }

    /// Whether it still runs and answers somebody new.
    pub fn is_well(&mut self) -> bool {
        self.process.child.try_wait().unwrap().is_none()
            && Client::anonymous(&self.address).send("GET", "/health", b"").status == 200
    }
}

struct Process {
    child: Child,
    out: Pump,
    err: Pump,
}

impl Process {
    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            out: Pump::start(child.stdout.take().unwrap()),
            err: Pump::start(child.stderr.take().unwrap()),
            child,
        }
    }

    fn exit(&mut self) -> Exit {
        let status = until("the process ends", || self.child.try_wait().unwrap());
        Exit { code: status.code(), out: self.out.rest(), err: self.err.rest() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either may fail: it may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server said:\n{}", self.err.text());
        }
    }
}

/// Reads what a process says, so that it never waits for somebody to listen.
struct Pump {
    said: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    fn start(mut from: impl Read + Send + 'static) -> Self {
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let thread = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut chunk) {
                heard.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        Self { said, thread: Some(thread) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// The whole line with `word` in it.
    fn line_with(&self, word: &str) -> Option<String> {
        let text = self.text();
        let complete = text.rsplit_once('\n')?.0;
        complete.lines().find(|line| line.contains(word)).map(str::to_owned)
    }

    /// Everything, after the process has ended.
    fn rest(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.text()
    }
}
