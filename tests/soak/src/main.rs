//! The soak: see README.md beside this crate.

use clap::Parser;
use octostore_soak::{
    plan::Plan,
    run::{RunError, run},
    server,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{path::PathBuf, process::ExitCode};

/// Files that this program needs besides its idle connections.
const OTHER_FILES: usize = 2_000;

/// An octostore at overload, with hostile clients beside honest ones.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Options {
    /// How long the hostile clients stay.
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,

    /// About twenty seconds, and nothing is judged by a clock.
    #[arg(long)]
    short: bool,

    /// Repeats what a run was drawn from.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// The server. Without it, the release server is built.
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,

    /// Where the server keeps its files. Not a tmpfs: nothing is synced there.
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

fn main() -> ExitCode {
    match soak(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the soak could not be made: {error}");
            ExitCode::FAILURE
        }
    }
}

fn soak(options: &Options) -> Result<bool, RunError> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let plan = if options.short { Plan::short(seed) } else { Plan::long(seed, options.minutes) };
    let plan = Plan { idle: plan.idle.min(room_for_idle()), ..plan };
    let program = options.server.clone().map_or_else(server::build, Ok)?;
    let folder = tempfile::tempdir_in(&options.dir)?;
    println!("seed {seed}: {} s of attack, {} idle connections", plan.attack.as_secs(), plan.idle);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run(&plan, &program, folder.path()))?;
    let kept = report.print();
    if !kept {
        println!(
            "\na promise was broken: see above; the files stay in {}",
            folder.keep().display()
        );
    }
    Ok(kept)
}

/// How many idle connections there are files for, after asking the system for all it gives.
fn room_for_idle() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files =
        if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    let room = files.saturating_sub(OTHER_FILES);
    if room < Plan::long(0, 1).idle {
        eprintln!(
            "\n*** ONLY {room} IDLE CONNECTIONS: the limit of open files is {files}; raise it with ulimit -n ***\n"
        );
    }
    room
}
