//! Load over HTTP: the release binary on a real file, every acknowledged change synced to disk,
//! driven in a closed loop over keep-alive connections from this one thread.
//!
//! What it measures, how to run it and what came out: see README.md beside this file.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock; nothing here decides anything by it"
)]

#[path = "support/client.rs"]
mod client;
#[path = "support/dialogue.rs"]
mod dialogue;
#[path = "support/octostore.rs"]
mod octostore;
#[path = "support/process.rs"]
mod process;
#[path = "support/redis.rs"]
mod redis;
#[path = "support/report.rs"]
mod report;

use clap::Parser;
use client::{Load, Script};
use octostore::{Octostore, Workload};
use process::Server;
use redis::Redis;
use report::{Measurement, Report};
use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Closed-loop load on an octostore, and side by side on a Redis that is as durable.
#[derive(Debug, Parser)]
#[command(name = "http")]
struct Options {
    /// About a second a measurement, and one round.
    #[arg(long)]
    quick: bool,

    /// How long one measurement takes.
    #[arg(long, value_name = "N", default_value_t = 5)]
    seconds: u64,

    /// How often each measurement is made; the median of each number is reported.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,

    /// How many connections, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "1,64,256")]
    connections: Vec<u32>,

    /// Only this workload.
    #[arg(long, value_name = "NAME")]
    only: Option<Workload>,

    /// How many locks other than those of the load are held.
    #[arg(long, value_name = "N", default_value_t = 0)]
    held: u32,

    /// Turns with a Redis that syncs every write (redis-server must be on the PATH).
    #[arg(long)]
    redis: bool,

    /// Where the servers keep their files. Not a tmpfs: nothing is synced there.
    #[arg(long, value_name = "FOLDER", default_value = env!("CARGO_TARGET_TMPDIR"))]
    dir: PathBuf,

    /// The server to measure.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_octostore"))]
    server: PathBuf,

    /// Write the numbers here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// What `cargo bench` passes; means nothing.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds.max(1) }
    }

    fn load(&self, connections: u32) -> Load {
        let (warm_up, measured) = if self.quick {
            (Duration::from_millis(250), Duration::from_secs(1))
        } else {
            let measured = Duration::from_secs(self.seconds.max(1));
            (Duration::from_millis(500), measured)
        };
        Load { connections, warm_up, measured }
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    let folder = tempfile::tempdir_in(&options.dir)?;
    let mut bench = Bench::start(options, folder.path())?;
    let mut report = Report::default();
    report.begin();
    for &workload in Workload::ALL {
        if options.only.is_some_and(|only| only != workload) {
            continue;
        }
        for &connections in &options.connections {
            bench.measure(workload, options, connections, &mut report)?;
        }
    }
    report.end(bench.octostore.process.resident_kib()?);
    if let Some(path) = &options.json {
        std::fs::write(path, report.to_json()?)?;
    }
    Ok(())
}

/// The servers that are measured.
struct Bench {
    octostore: Octostore,
    redis: Option<Redis>,
    /// Every measurement has locks of its own.
    runs: u32,
}

impl Bench {
    fn start(options: &Options, folder: &Path) -> Outcome<Self> {
        let octostore = Octostore::start(&options.server, folder)?;
        let redis = if options.redis { Redis::start(folder)? } else { None };
        if options.redis && redis.is_none() {
            println!("redis-server is not on the PATH: apt-get install redis-server\n");
        }
        if options.held > 0 {
            octostore.hold(options.held)?;
        }
        Ok(Self { octostore, redis, runs: 0 })
    }

    /// Measures in turns, so that what else the machine does hits both alike.
    fn measure(
        &mut self,
        workload: Workload,
        options: &Options,
        connections: u32,
        report: &mut Report,
    ) -> Outcome<()> {
        let load = options.load(connections);
        let compared = self.redis.as_ref().filter(|_| workload == Workload::AcquireRelease);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds() {
            self.runs += 1;
            let run = self.runs;
            let script = |connection| self.octostore.script(workload, run, connection);
            ours.push(drive(&self.octostore.process, &load, script)?);
            if let Some(redis) = compared {
                let script = |connection| redis.script(run, connection);
                theirs.push(drive(&redis.process, &load, script)?);
            }
        }
        let ours = Measurement::median(&ours);
        report.add(workload.name(), "octostore", connections, ours);
        if !theirs.is_empty() {
            let theirs = Measurement::median(&theirs);
            report.add(workload.name(), "redis", connections, theirs);
            report.ratio(workload.name(), connections, &ours, &theirs);
        }
        Ok(())
    }
}

fn drive<S: Script>(
    server: &Server,
    load: &Load,
    script: impl Fn(u32) -> S,
) -> Outcome<Measurement> {
    let scripts = (0..load.connections).map(script).collect();
    let run = client::run(server, load, scripts)?;
    Ok(Measurement::of(run, load.measured))
}
