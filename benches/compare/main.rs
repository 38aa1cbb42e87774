//! Side by side with others: each server found on this machine, on a real file, driven in a closed
//! loop over keep-alive connections by the same client, in turns; and what else is promised of the
//! octostore's speed and size.
//!
//! `turns.rs` is the comparison, `client.rs` the loop, `peers/` the servers, `scenarios/` what is
//! measured of the octostore alone, `targets.rs` what should come out. What it measures, how to run
//! it and what came out: see README.md one folder up.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and waits; nothing here decides anything by it"
)]

mod client;
mod dialogue;
mod http;
mod measurement;
mod options;
mod peers;
mod picture;
mod process;
mod report;
mod scenarios;
mod targets;
mod turns;
mod workload;

use clap::Parser;
use options::Options;
use report::Report;
use std::{error::Error, path::Path, process::ExitCode};
use turns::Turns;
use workload::Part;

/// As in the octostore: the bare server that it is compared with has the same.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.answers {
        Some(file) => peers::serve(file, options.make),
        None => run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    std::fs::create_dir_all(&options.dir)?;
    let folder = tempfile::tempdir_in(&options.dir)?;
    let mut report = Report::default();
    compare(options, folder.path(), &mut report)?;
    for part in options.parts() {
        if let Part::Alone(scenario) = part {
            report.judge(scenarios::measure(scenario, options, folder.path())?);
        }
    }
    report.finish(options)
}

/// Measures the workloads that are asked for. The servers are gone afterwards.
fn compare(options: &Options, folder: &Path, report: &mut Report) -> Outcome<()> {
    let workloads: Vec<_> = options
        .parts()
        .filter_map(|part| if let Part::Turns(workload) = part { Some(workload) } else { None })
        .collect();
    if workloads.is_empty() {
        return Ok(());
    }
    let mut turns = Turns::new(peers::start(options, folder)?);
    report.introduce(turns.peers());
    for workload in workloads {
        for &connections in &options.connections {
            report.add(turns.measure(workload, connections, options)?);
        }
        report.judge(targets::of(workload, report.rows()));
    }
    Ok(())
}
