//! How long a get takes while 64 connections acquire and release, and how long alone. The gets come
//! from a thread of their own, so that they do not wait for the other client; what they wait for is
//! the server and, where there are few cores, a core.

use super::script;
use crate::{
    Outcome,
    client::{self, Load, Scripts},
    measurement::{Measurement, Spread},
    options::Options,
    peers::{ACCOUNTS, Place},
    process::Server,
    targets::Target,
    workload::Workload,
};
use std::{path::Path, time::Duration};

const WRITERS: u32 = 64;

/// Measures in turns, alone and beside the others: once as many gets, and once a single one at a
/// time. Judged is the first: where client and server share few cores, a single one waits for what
/// the others have them do, whatever the server does about it.
pub fn measure(options: &Options, folder: &Path) -> Outcome<Vec<Target>> {
    let server = Place::new(&options.server, folder, ACCOUNTS)?.start()?;
    let many = p99s(&server, WRITERS, options)?;
    let one = p99s(&server, 1, options)?;
    let target = |(alone, beside): (Spread, Spread), readers: &str, judged: bool| {
        let times = beside.median / alone.median;
        Target {
            workload: format!(
                "p99 of a get while {WRITERS} connections acquire and release, {readers}"
            ),
            target: (if judged { "≤ 2 × alone" } else { "none" }).to_owned(),
            measured: format!(
                "{times:.2} × ({:.0} µs, alone {:.0} µs)",
                beside.median, alone.median
            ),
            met: judged.then_some(times <= 2.0),
        }
    };
    Ok(vec![
        target(many, "64 connections that get", true),
        target(one, "one connection that gets", false),
    ])
}

/// The 99th percentile alone, and beside those who write, in microseconds.
fn p99s(server: &Server, readers: u32, options: &Options) -> Outcome<(Spread, Spread)> {
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let load = options.load();
    for round in 0..options.rounds() {
        let gets = || scripts(Workload::Get, &format!("g{readers}-{round}"), readers);
        alone.push(Measurement::of(client::run(server, &load, gets())?, &load).p99);
        // They begin before, and end after.
        let writing =
            Load { warm_up: Duration::ZERO, measured: load.warm_up + load.measured + load.warm_up };
        let writes = scripts(Workload::AcquireRelease, &format!("w{readers}-{round}"), WRITERS);
        let got = std::thread::scope(|scope| {
            let writers = scope.spawn(|| {
                client::run(server, &writing, writes).map(drop).map_err(|error| error.to_string())
            });
            let got = client::run(server, &load, gets())?;
            writers.join().map_err(|_| "the writers panicked")??;
            Outcome::Ok(got)
        })?;
        beside.push(Measurement::of(got, &load).p99);
    }
    Ok((Spread::of(alone.into_iter()), Spread::of(beside.into_iter())))
}

fn scripts(workload: Workload, run: &str, connections: u32) -> Scripts {
    (0..connections).map(|one| script(workload, run, one, one % ACCOUNTS)).collect()
}
