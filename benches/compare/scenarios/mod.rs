//! What is measured of the octostore alone, each with its target.

mod expiry;
mod get_beside_writes;
mod held_locks;
mod idle_connections;
mod start;

use crate::{
    Outcome,
    client::Script,
    dialogue::{Dialogue, Manner},
    http,
    options::Options,
    process::Server,
    targets::Target,
    workload::{Scenario, Workload},
};
use std::path::Path;

/// Measures one of them, with its files below `folder`.
pub fn measure(scenario: Scenario, options: &Options, folder: &Path) -> Outcome<Vec<Target>> {
    let folder = folder.join(scenario.name());
    std::fs::create_dir(&folder)?;
    println!("\n{} …", scenario.name());
    let targets = match scenario {
        Scenario::GetBesideWrites => get_beside_writes::measure(options, &folder),
        Scenario::HeldLocks => held_locks::measure(options, &folder),
        Scenario::IdleConnections => idle_connections::measure(options, &folder),
        Scenario::Start => start::measure(options, &folder),
    };
    let targets = targets.map_err(|error| format!("{}: {error}", scenario.name()))?;
    for Target { workload, measured, .. } in &targets {
        println!("  {workload}: {measured}");
    }
    Ok(targets)
}

/// What one connection of `account` says, with locks that nobody else names in this `run`.
fn script(workload: Workload, run: &str, connection: u32, account: u32) -> Box<dyn Script> {
    let prefix = format!("{run}-c{connection}");
    Box::new(Dialogue::new(workload, Manner::Ours, prefix, account))
}

/// Fails if `server` is not ready.
fn must_be_ready(server: &Server) -> Outcome<()> {
    let (status, body) = http::get(server.address, "/readyz")?;
    if status == 200 { Ok(()) } else { Err(format!("not ready: {status} {body}").into()) }
}
