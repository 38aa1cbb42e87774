//! Runs scenarios, or replays one.

#![forbid(unsafe_code)]

use clap::{Parser, ValueEnum};
use octostore_simulator::{
    breaks::Break,
    campaign::{Campaign, Failure, fight, twice},
};
use std::{num::NonZeroUsize, process::ExitCode, thread::available_parallelism, time::Duration};

/// So many failures end a campaign.
const MOST_FAILURES: usize = 20;

/// OctoStore in one thread, from a seed, on a disk that fails: what it promises, attacked.
///
/// Every scenario is run twice, and both runs must agree to the step.
#[derive(Debug, Parser)]
#[command(name = "octostore-simulator", max_term_width = 100)]
struct Arguments {
    /// How many scenarios [default: 4000, or as many as --minutes allow]
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,

    /// The seed of the first
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,

    /// No new scenario is begun after so many minutes
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,

    /// On how many threads [default: one a processor]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// One scenario alone
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "from", "minutes", "threads"])]
    seed: Option<u64>,

    /// Tells it step by step
    #[arg(long, requires = "seed")]
    trace: bool,

    /// Breaks the server on purpose: that must be noticed
    #[arg(long = "break", value_name = "NAME")]
    broken: Option<Break>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let kept = match arguments.seed {
        Some(seed) => replay(seed, &arguments),
        None => campaign(&arguments),
    };
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay(seed: u64, arguments: &Arguments) -> bool {
    let report = twice(seed, arguments.broken, arguments.trace);
    if let Some(trace) = report.trace {
        print!("{trace}");
    }
    match &report.violation {
        Some(violation) => println!("seed {seed}: {violation}"),
        None => println!("seed {seed}: every promise was kept"),
    }
    println!("trace {:016x}", report.hash);
    report.violation.is_none()
}

fn campaign(arguments: &Arguments) -> bool {
    let seeds = match (arguments.seeds, arguments.minutes) {
        (Some(seeds), _) => seeds,
        (None, Some(_)) => u64::MAX,
        (None, None) => 4_000,
    };
    let threads = arguments.threads.or_else(|| available_parallelism().ok());
    let campaign = Campaign {
        seeds: arguments.from..arguments.from.saturating_add(seeds),
        at_most: arguments.minutes.map(|minutes| Duration::from_secs(minutes * 60)),
        threads: threads.map_or(1, NonZeroUsize::get),
        broken: arguments.broken,
        failures: MOST_FAILURES,
    };
    let outcome = fight(&campaign, |Failure { seed, violation, .. }| {
        println!("seed {seed}: {violation}\nagain: {}\n", command(*seed, arguments.broken));
    });
    print!("{outcome}{}", outcome.proof());
    if outcome.failures.is_empty() && !outcome.has_tried() {
        println!("too few scenarios had a crash and a recovery: that proves nothing");
    }
    outcome.failures.is_empty() && outcome.has_tried()
}

/// What replays a scenario, from the root of the repository.
fn command(seed: u64, broken: Option<Break>) -> String {
    let broken = broken.and_then(|broken| broken.to_possible_value());
    let broken = broken.map(|value| format!(" --break {}", value.get_name())).unwrap_or_default();
    format!(
        "cargo run --release --manifest-path tests/simulator/Cargo.toml -- --seed {seed}{broken}"
    )
}
