//! The servers that are compared.

mod ceiling;
mod earlier;
mod etcd;
mod octostore;
mod redis;

pub use ceiling::{Ceiling, Make, serve};
pub use earlier::Earlier;
pub use etcd::Etcd;
pub use octostore::{ACCOUNTS, Octostore, Place};
pub use redis::Redis;

use crate::{Outcome, client::Script, options::Options, process::Server, workload::Workload};
use serde::Serialize;
use std::path::Path;

/// A server that takes its turns.
pub trait Peer {
    /// What it is, and what it does for durability.
    fn about(&self) -> &About;

    /// Its process.
    fn process(&self) -> &Server;

    /// What one connection says in the measurement `run`; `None` if it cannot do that.
    fn script(&self, workload: Workload, run: u32, connection: u32) -> Option<Box<dyn Script>>;
}

/// What a reader has to know of a server.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// As the report calls it.
    pub name: &'static str,
    /// What it says of itself.
    pub version: String,
    /// What is on disk before it answers.
    pub durability: &'static str,
    /// How it was started, and what an acquire and a release are there.
    pub how: &'static str,
}

/// The names by which targets find their rows.
pub const OCTOSTORE: &str = "octostore";
pub const REDIS: &str = "redis";
pub const ETCD: &str = "etcd";
pub const EARLIER: &str = "octostore 0.14.4";
pub const CEILING: &str = "bare hyper";
pub const STOCK: &str = "stock hyper";
pub const BASE: &str = "base";

/// Starts what is found on this machine, ourselves first, each with its files in a folder of its
/// own below `folder`. For what is not found a line says how to install it.
pub fn start(options: &Options, folder: &Path) -> Outcome<Vec<Box<dyn Peer>>> {
    let below = |name: &str| -> Outcome<_> {
        let below = folder.join(name);
        std::fs::create_dir(&below)?;
        Ok(below)
    };
    let ours = Octostore::start(OCTOSTORE, &options.server, &below("octostore")?)?;
    let ceilings = Ceiling::start(&ours, &below("ceiling")?)?;
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(ours)];
    let mut add = |found: Option<Box<dyn Peer>>, what: &str, install: &str| match found {
        Some(peer) => peers.push(peer),
        None => println!("skipped: {what} is not here; to install it: {install}"),
    };
    let redis = Redis::start(&below("redis")?)?;
    add(redis.map(|peer| Box::new(peer) as _), "redis-server", "apt-get install redis-server");
    let etcd = Etcd::start(&below("etcd")?)?;
    add(etcd.map(|peer| Box::new(peer) as _), "etcd", "apt-get install etcd-server");
    let earlier = Earlier::start(&options.earlier, &below("earlier")?)?;
    add(
        earlier.map(|peer| Box::new(peer) as _),
        &format!("{EARLIER} ({})", options.earlier.display()),
        "cargo install octostore --version 0.14.4 --root target/earlier",
    );
    peers.extend(ceilings.map(|ceiling| Box::new(ceiling) as _));
    if let Some(base) = &options.base {
        peers.push(Box::new(Octostore::start(BASE, base, &below("base")?)?));
    }
    Ok(peers)
}
