//! A server as a process of its own, and what the kernel knows of it.

use crate::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, ErrorKind},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The kernel counts the time of a process in hundredths of a second, on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server that says where it listens, as ours does.
    pub fn start_and_hear(command: &mut Command) -> Outcome<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        server.address = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("listening on http://")?.1.trim().parse().ok())
            .ok_or("the server did not say where it listens")?;
        Ok(server)
    }

    /// Starts a server that listens at `address`; `None` if there is no such program.
    pub fn start_at(address: SocketAddr, command: &mut Command) -> Outcome<Option<Self>> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = match quiet.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            child => child?,
        };
        let mut server = Self { child, address };
        let deadline = Instant::now() + START;
        while let Err(error) = TcpStream::connect(address) {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("{} ended: {status}", command.get_program().display()).into());
            }
            if Instant::now() > deadline {
                return Err(error.into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(server))
    }

    /// What its threads have computed so far.
    pub fn cpu(&self) -> Outcome<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may hold anything; the numbers follow it.
        let (_, numbers) = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?;
        let ticks = numbers
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u32>)
            .sum::<Result<u32, _>>()?;
        Ok(TICK * ticks)
    }

    /// How much memory it has, in bytes.
    pub fn resident(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("no VmRSS in /proc/PID/status")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// Has it stop in good order, and waits until it has.
    pub fn stop(mut self) -> Outcome<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("no pid")?;
        kill_process(id, Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the server ended: {status}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its files go too: nothing is lost that anybody wants.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// An address where nobody listens. Somebody else could take it before it is used; then the start
/// of the server fails and says so.
pub fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// The first line of what `program --version` prints.
pub fn version(program: &std::path::Path) -> String {
    let output = Command::new(program).arg("--version").stderr(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default()
}
