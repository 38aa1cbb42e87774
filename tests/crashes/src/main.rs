//! Attacks the real program: `octostore-crashes --help`.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "it says how long an attack took")]

use clap::{Args, Parser, Subcommand};
use octostore_crashes::{
    Outcome,
    attacks::{clock, controls, copies, damage, faults, full, kill, power},
    lab::{Lab, isolated},
    report::Report,
    twin::SHIFTED,
};
use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

/// Attacks the real octostore over real HTTP and a real file, and says whether it kept its promises.
#[derive(Debug, Parser)]
struct Cli {
    /// The program to attack [default: octostore, built anew, from beside this program]
    #[arg(long, global = true, value_name = "PATH")]
    server: Option<PathBuf>,
    /// What chance begins with: the same seed, the same attacks, though not to the microsecond
    #[arg(long, global = true, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(subcommand)]
    attack: Attack,
}

#[derive(Debug, Subcommand)]
enum Attack {
    /// Kills the server at random instants, in the middle of work and of starts
    Kill(Times<500>),
    /// Cuts the power of the disk at random instants; needs root
    Power(Times<100>),
    /// Lets every k-th write, sync and open fail, for every k
    Faults(Faults),
    /// Fills the disk under load, and makes room again; needs root
    Full(Times<20>),
    /// Turns over bits of what killed servers have left
    Damage(Times<1000>),
    /// Has clocks jump, machines reboot and servers stand still
    Clock(Clock),
    /// Attacks servers that are broken on purpose, and sees whether that is noticed
    Controls {
        /// Only those whose names have one of these in them
        words: Vec<String>,
    },
}

#[derive(Clone, Debug, Args)]
struct Clock {
    /// How often, in each way
    #[arg(long, value_name = "N", default_value_t = 10)]
    times: u64,
    /// Do not build the server anew whose clocks can be told another time
    #[arg(long)]
    no_build: bool,
}

#[derive(Clone, Debug, Args)]
struct Faults {
    /// How long the scenario is
    #[arg(long, value_name = "N", default_value_t = 40)]
    requests: u64,
    /// How everything fails
    #[arg(long, value_name = "ERROR", value_delimiter = ',', default_value = "EIO,ENOSPC")]
    errors: Vec<String>,
    /// Every how many calls one fails
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    step: u64,
}

#[derive(Clone, Copy, Debug, Args)]
struct Times<const N: u64> {
    /// How often
    #[arg(long, value_name = "N", default_value_t = N)]
    times: u64,
}

fn main() -> ExitCode {
    match attack(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("octostore-crashes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn attack(cli: &Cli) -> Outcome<ExitCode> {
    if let Some(code) = isolated()? {
        return Ok(code);
    }
    let server = cli.server.clone().map_or_else(built, Ok)?;
    let lab = Lab::new(&server, cli.seed)?;
    let begun = Instant::now();
    let reports = match &cli.attack {
        Attack::Kill(Times { times }) => vec![kill::run(&lab, *times)?],
        Attack::Power(Times { times }) => vec![power::run(&lab, *times)?, copies::run_all(&lab)?],
        Attack::Faults(Faults { requests, errors, step }) => {
            let (requests, step) = (*requests, *step);
            vec![faults::run(&lab, &faults::Extent { requests, errors: errors.clone(), step })?]
        }
        Attack::Full(Times { times }) => vec![full::run(&lab, *times)?],
        Attack::Damage(Times { times }) => damage::run(&lab, *times)?,
        Attack::Clock(Clock { times, no_build }) => {
            let shifted = if *no_build { None } else { Some(SHIFTED.build(&target()?)?) };
            clock::run(&lab, *times, shifted.as_deref())?
        }
        Attack::Controls { words } => vec![controls::run(&lab, &target()?, words)?],
    };
    for report in &reports {
        print!("{report}");
    }
    let again: Vec<String> = std::env::args().collect();
    let took = begun.elapsed().as_secs_f64();
    println!("seed {}, {took:.1} s; again: {}", cli.seed, again.join(" "));
    let broken = reports.iter().any(|report: &Report| !report.failures.is_empty());
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The folder that this program is in, where things are built.
fn target() -> Outcome<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().ok_or("this program is nowhere")?.to_owned())
}

/// The server as this tree has it, built like this program.
fn built() -> Outcome<PathBuf> {
    let folder = target()?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--bin", "octostore"]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !cargo.current_dir(root).status()?.success() {
        return Err("the server cannot be built".into());
    }
    Ok(folder.join("octostore"))
}
