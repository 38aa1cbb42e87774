//! What connections cost that have taken and released a lock and now say nothing.

use super::script;
use crate::{Outcome, client, options::Options, peers::Place, targets::Target, workload::Workload};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;

const CONNECTIONS: u32 = 10_000;

/// Opens them, and looks how much the memory of the server has grown.
pub fn measure(options: &Options, folder: &Path) -> Outcome<Vec<Target>> {
    let connections = options.size(CONNECTIONS);
    allow_open_files(connections)?;
    let server = Place::new(&options.server, folder, 1)?.start()?;
    let scripts =
        |run, count| (0..count).map(move |one| script(Workload::AcquireRelease, run, one, 0));
    // What the first requests cost is not the connections' fault.
    drop(client::play_and_keep(server.address, scripts("warm", connections / 20))?);
    let before = server.resident()?;
    let idle = client::play_and_keep(server.address, scripts("idle", connections))?;
    let grown = server.resident()?.saturating_sub(before);
    drop(idle);
    let each = grown as f64 / f64::from(connections) / 1024.0;
    Ok(vec![Target {
        workload: format!("{connections} idle keep-alive connections"),
        target: "≤ 12 KiB each".to_owned(),
        measured: format!("{each:.1} KiB each"),
        met: Some(each <= 12.0),
    }])
}

/// The client needs as many open files as the server, which sees to itself.
fn allow_open_files(connections: u32) -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::from(connections) + 100;
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(format!("{needed} open files are needed: ulimit -Hn {needed}").into());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}
