//! A Redis that syncs every write before it answers, used as a lock service: `SET NX PX`, and a
//! script that deletes the key if it still has the value that was set.

use super::{About, Peer, REDIS};
use crate::{
    Outcome,
    client::{self, Script},
    process::{Server, free_address, version},
    workload::Workload,
};
use std::{
    io::Write,
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

const RELEASE: &str =
    "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end";

/// How many keys one connection takes in turn.
const KEYS: u32 = 64;

/// A running Redis.
#[derive(Debug)]
pub struct Redis {
    about: About,
    process: Server,
    /// The name of the script that releases.
    release: Arc<str>,
}

impl Redis {
    /// Starts one with its files in `folder`; `None` if there is no `redis-server`.
    pub fn start(folder: &Path) -> Outcome<Option<Self>> {
        let address = free_address()?;
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""])
            .arg("--dir")
            .arg(folder);
        let Some(process) = Server::start_at(address, &mut command)? else { return Ok(None) };
        let loaded = Arc::new(Mutex::new(String::new()));
        client::play_once(address, Box::new(LoadScript(Arc::clone(&loaded))))?;
        let release = loaded.lock().unwrap_or_else(PoisonError::into_inner).as_str().into();
        let about = About {
            name: REDIS,
            version: version(Path::new("redis-server")),
            durability: "appendfsync always",
            how: "one thread; RESP: SET NX PX, and a script that compares and deletes",
        };
        Ok(Some(Self { about, process, release }))
    }
}

impl Peer for Redis {
    fn about(&self) -> &About {
        &self.about
    }

    fn process(&self) -> &Server {
        &self.process
    }

    fn script(&self, workload: Workload, run: u32, connection: u32) -> Option<Box<dyn Script>> {
        (workload == Workload::AcquireRelease).then(|| {
            let release = Arc::clone(&self.release);
            let prefix = format!("r{run}-c{connection}");
            Box::new(Client { release, prefix, rounds: 0, holding: false }) as _
        })
    }
}

/// One connection's part.
#[derive(Debug)]
struct Client {
    release: Arc<str>,
    prefix: String,
    rounds: u32,
    holding: bool,
}

impl Script for Client {
    fn request(&mut self, out: &mut Vec<u8>) {
        let key = format!("{}-{}", self.prefix, self.rounds % KEYS);
        // As long as the id of a lease.
        let value = format!("{:036}", self.rounds);
        if self.holding {
            command(out, &["EVALSHA", &self.release, "1", &key, &value]);
        } else {
            command(out, &["SET", &key, &value, "NX", "PX", "60000"]);
        }
    }

    fn response(&mut self, received: &[u8]) -> Result<Option<usize>, String> {
        if !received.ends_with(b"\r\n") {
            return Ok(None);
        }
        let expected: &[u8] = if self.holding { b":1\r\n" } else { b"+OK\r\n" };
        if received != expected {
            return Err(format!("Redis said {}", String::from_utf8_lossy(received)));
        }
        self.rounds += u32::from(self.holding);
        self.holding = !self.holding;
        Ok(Some(received.len()))
    }

    fn at_rest(&self) -> bool {
        !self.holding
    }
}

/// Makes the releasing script known, and learns its name.
#[derive(Debug)]
struct LoadScript(Arc<Mutex<String>>);

impl Script for LoadScript {
    fn request(&mut self, out: &mut Vec<u8>) {
        command(out, &["SCRIPT", "LOAD", RELEASE]);
    }

    fn response(&mut self, received: &[u8]) -> Result<Option<usize>, String> {
        let text = String::from_utf8_lossy(received);
        if text.starts_with('-') {
            return Err(format!("Redis said {text}"));
        }
        // A bulk string: its length, then it.
        let name = text.strip_prefix("$40\r\n").and_then(|rest| rest.strip_suffix("\r\n"));
        if let Some(name) = name {
            name.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(name.map(|_| received.len()))
    }

    fn at_rest(&self) -> bool {
        true
    }
}

fn command(out: &mut Vec<u8>, words: &[&str]) {
    // Nothing refuses to be written into a vector.
    let _written = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _written = write!(out, "${}\r\n{word}\r\n", word.len());
    }
}
