//! One node of etcd, used as a lock service: a transaction that creates the key if it is not there,
//! bound to the connection's lease, and a delete. It is spoken to over its own HTTP/JSON gateway,
//! so that the same client drives it; its gRPC interface costs it less.

use super::{About, ETCD, Peer};
use crate::{
    Outcome,
    client::Script,
    http::{Answer, after, number_after},
    process::{Server, free_address, version},
    workload::Workload,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{io::Write, path::Path, process::Command};

/// How many keys one connection takes in turn.
const KEYS: u32 = 64;

/// A running etcd.
#[derive(Debug)]
pub struct Etcd {
    about: About,
    process: Server,
}

impl Etcd {
    /// Starts one with its files in `folder`; `None` if there is no `etcd`.
    pub fn start(folder: &Path) -> Outcome<Option<Self>> {
        let (client, peer) = (free_address()?, free_address()?);
        let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
        let mut command = Command::new("etcd");
        command
            .arg("--data-dir")
            .arg(folder)
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("default={peer_url}")]);
        let about = About {
            name: ETCD,
            version: version(Path::new("etcd")),
            durability: "fsync of its log (its default)",
            how: "one node; its HTTP/JSON gateway: txn that creates with a lease, deleterange",
        };
        let process = Server::start_at(client, &mut command)?;
        Ok(process.map(|process| Self { about, process }))
    }
}

impl Peer for Etcd {
    fn about(&self) -> &About {
        &self.about
    }

    fn process(&self) -> &Server {
        &self.process
    }

    fn script(&self, workload: Workload, run: u32, connection: u32) -> Option<Box<dyn Script>> {
        (workload == Workload::AcquireRelease).then(|| {
            let prefix = format!("r{run}-c{connection}");
            let lease = String::new();
            Box::new(Client { prefix, lease, rounds: 0, holding: false, revision: 0 }) as _
        })
    }
}

/// One connection's part.
#[derive(Debug)]
struct Client {
    prefix: String,
    /// The id of its lease; empty until it has one.
    lease: String,
    rounds: u32,
    holding: bool,
    /// Of the store, when it answered last: it plays the fencing token's part.
    revision: u64,
}

impl Script for Client {
    fn request(&mut self, out: &mut Vec<u8>) {
        let key = BASE64_STANDARD.encode(format!("{}-{}", self.prefix, self.rounds % KEYS));
        let lease = &self.lease;
        let (path, body) = if lease.is_empty() {
            ("/v3/lease/grant", r#"{"TTL":600}"#.to_owned())
        } else if self.holding {
            ("/v3/kv/deleterange", format!(r#"{{"key":"{key}"}}"#))
        } else {
            // As long as the id of a lease of ours.
            let value = BASE64_STANDARD.encode(format!("{:036}", self.rounds));
            let body = format!(
                r#"{{"compare":[{{"target":"CREATE","key":"{key}","create_revision":"0"}}],"success":[{{"request_put":{{"key":"{key}","value":"{value}","lease":"{lease}"}}}}]}}"#
            );
            ("/v3/kv/txn", body)
        };
        // Nothing refuses to be written into a vector.
        let _written = write!(
            out,
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
    }

    fn response(&mut self, received: &[u8]) -> Result<Option<usize>, String> {
        let Some(Answer { status, body, length, .. }) = Answer::read(received)? else {
            return Ok(None);
        };
        if status != 200 {
            return Err(format!("etcd said {status}: {body}"));
        }
        if self.lease.is_empty() {
            self.lease = number_after(body, "\"ID\":\"")?.to_string();
            return Ok(Some(length));
        }
        after(body, if self.holding { "\"deleted\":\"1\"" } else { "\"succeeded\":true" })?;
        let revision = number_after(body, "\"revision\":\"")?;
        if revision <= self.revision {
            return Err(format!("revision {revision} after {}", self.revision));
        }
        self.revision = revision;
        self.rounds += u32::from(self.holding);
        self.holding = !self.holding;
        Ok(Some(length))
    }

    fn at_rest(&self) -> bool {
        !self.lease.is_empty() && !self.holding
    }
}
