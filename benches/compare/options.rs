//! What the command line says.

use crate::{client::Load, peers::Make, workload::Part};
use clap::{Parser, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// The octostore under load, side by side with what else there is.
#[derive(Debug, Parser)]
#[command(name = "compare")]
pub struct Options {
    /// Under a minute for all of it: short, small, one round. Nothing is judged.
    #[arg(long)]
    pub quick: bool,

    /// How long one measurement takes, at most 30.
    #[arg(long, value_name = "SECONDS", default_value = "1.5", value_parser = seconds)]
    measured: Duration,

    /// How often each is made, in turns; the median of each number is reported.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: u32,

    /// How many connections, one measurement each.
    #[arg(long, value_delimiter = ',', value_name = "N,N,…", default_value = "1,4,16,64,256")]
    #[arg(default_value_if("quick", "true", "1,64"))]
    pub connections: Vec<u32>,

    /// Only these.
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME,…")]
    only: Vec<Part>,

    /// Another build of the octostore, which takes its turns too.
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,

    /// The earlier octostore.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/earlier/bin/octostore"))]
    pub earlier: PathBuf,

    /// The server to measure.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_octostore"))]
    pub server: PathBuf,

    /// Where the servers keep their files. Not a tmpfs: nothing is synced there.
    #[arg(long, value_name = "FOLDER", default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub dir: PathBuf,

    /// Where compare.json and compare.svg are written.
    #[arg(long, value_name = "FOLDER", default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub out: PathBuf,

    /// What the bare server runs with, which is this program again.
    #[arg(long, hide = true)]
    pub answers: Option<PathBuf>,

    /// How the bare server is made.
    #[arg(long, hide = true, default_value = "ours")]
    pub make: Make,

    /// What `cargo bench` passes; means nothing.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// What is to be measured, in order.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        let wanted = |part: &Part| self.only.is_empty() || self.only.contains(part);
        Part::value_variants().iter().copied().filter(wanted)
    }

    /// How often everything is measured.
    pub fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds.max(1) }
    }

    /// How long one measurement of a load takes.
    pub fn load(&self) -> Load {
        if self.quick {
            Load { warm_up: Duration::from_millis(100), measured: Duration::from_millis(250) }
        } else {
            Load { warm_up: Duration::from_millis(300), measured: self.measured }
        }
    }

    /// `full`, or its fiftieth if it has to be quick.
    pub fn size(&self, full: u32) -> u32 {
        if self.quick { full / 50 } else { full }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number".to_owned())?;
    let measured = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    // The locks that are looked at are held for a minute.
    if measured <= Duration::from_secs(30) { Ok(measured) } else { Err("too long".to_owned()) }
}
