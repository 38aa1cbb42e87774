//! A million locks, held by a thousand accounts: what they cost in memory, whether they slow down
//! others, how long a restart takes, and what happens when many of them end at once.

use super::{expiry, script, start::timed};
use crate::{
    Outcome,
    client::{self, Load},
    dialogue::Holding,
    measurement::{Measurement, Ratios, Spread},
    options::Options,
    peers::Place,
    process::Server,
    targets::Target,
    workload::Workload,
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const LOCKS: u32 = 1_000_000;
const ACCOUNTS: u32 = 1_000;
const CONNECTIONS: u32 = 64;

/// Fills one server over HTTP, beside one that stays empty.
pub fn measure(options: &Options, folder: &Path) -> Outcome<Vec<Target>> {
    let (full, empty) = (folder.join("full"), folder.join("empty"));
    std::fs::create_dir(&full)?;
    std::fs::create_dir(&empty)?;
    let locks = options.size(LOCKS);
    let full = Place::new(&options.server, &full, ACCOUNTS)?;
    let filled = full.start()?;
    let memory = fill(&filled, locks, options)?;
    let empty = Place::new(&options.server, &empty, ACCOUNTS)?.start()?;
    let throughput = throughput(&filled, &empty, options)?;
    drop(empty);
    let restart = restart(&full, filled, options)?;
    let mut targets = vec![memory, throughput, restart];
    for target in &mut targets {
        target.workload = format!("{locks} held locks: {}", target.workload);
    }
    targets.push(expiry::measure(&full, locks, options, folder)?);
    Ok(targets)
}

/// Has `locks` taken, and looks how much the memory of the server has grown.
fn fill(server: &Server, locks: u32, options: &Options) -> Outcome<Target> {
    // What the first requests cost is not the locks' fault.
    acquire_and_release(server, "warm", &options.load())?;
    let before = server.resident()?;
    let share = locks.div_ceil(CONNECTIONS);
    let scripts = (0..CONNECTIONS)
        .map(|one| Box::new(Holding::new(one, share, one * ACCOUNTS / CONNECTIONS, ACCOUNTS)) as _)
        .collect();
    let until_done = Load { warm_up: Duration::ZERO, measured: Duration::ZERO };
    client::run(server, &until_done, scripts)?;
    let grown = server.resident()?.saturating_sub(before);
    let each = grown as f64 / f64::from(share * CONNECTIONS);
    Ok(Target {
        workload: "memory".to_owned(),
        target: "≤ 350 bytes each".to_owned(),
        measured: format!("{each:.0} bytes each"),
        met: Some(each <= 350.0),
    })
}

/// Has both servers grant and release in turns.
fn throughput(filled: &Server, empty: &Server, options: &Options) -> Outcome<Target> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..options.rounds() {
        let run = format!("t{round}");
        with.push(acquire_and_release(filled, &run, &options.load())?);
        without.push(acquire_and_release(empty, &run, &options.load())?);
    }
    let Spread { median, low, high } = Ratios::of(&with, &without).rate;
    Ok(Target {
        workload: format!("acquire+release, {CONNECTIONS} connections"),
        target: "≥ 0.85 × empty".to_owned(),
        measured: format!("{median:.2} × ({low:.2} to {high:.2})"),
        met: Some(median >= 0.85),
    })
}

/// Stops it in good order and starts it, and kills it and starts it. It is stopped afterwards.
fn restart(place: &Place, mut server: Server, options: &Options) -> Outcome<Target> {
    let (mut stopping, mut stopped, mut killed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds().min(3) {
        // Something is in the journal.
        acquire_and_release(&server, &format!("s{round}"), &options.load())?;
        let began = Instant::now();
        server.stop()?;
        stopping.push(began.elapsed().as_secs_f64());
        let (took, started) = timed(place)?;
        stopped.push(took);
        acquire_and_release(&started, &format!("k{round}"), &options.load())?;
        drop(started);
        let (took, started) = timed(place)?;
        killed.push(took);
        server = started;
    }
    server.stop()?;
    let [stopping, stopped, killed] =
        [stopping, stopped, killed].map(|times| Spread::of(times.into_iter()).median);
    Ok(Target {
        workload: "restart to ready".to_owned(),
        target: "< 3 s".to_owned(),
        measured: format!(
            "{stopped:.2} s after a stop (which took {stopping:.2} s), {killed:.2} s after kill -9"
        ),
        met: Some(stopped.max(killed) < 3.0),
    })
}

fn acquire_and_release(server: &Server, run: &str, load: &Load) -> Outcome<Measurement> {
    let scripts =
        (0..CONNECTIONS).map(|one| script(Workload::AcquireRelease, run, one, one)).collect();
    Ok(Measurement::of(client::run(server, load, scripts)?, load))
}
