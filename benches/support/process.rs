//! A server as a process of its own, and what the kernel knows of it.

use crate::Outcome;
use std::{net::SocketAddr, process::Child, time::Duration};

/// The kernel counts the time of a process in hundredths of a second, on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Takes over `child`, which listens at `address`.
    pub fn new(child: Child, address: SocketAddr) -> Self {
        Self { child, address }
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

    /// How much memory it has, in KiB.
    pub fn resident_kib(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("no VmRSS in /proc/PID/status")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its files go too: nothing is lost that anybody wants.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
