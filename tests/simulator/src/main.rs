//! Runs scenarios: `octostore-simulator FROM TO`. One alone is told step by step.

#![forbid(unsafe_code)]

use octostore_simulator::scenario::{Tally, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map_while(|text| text.parse::<u64>().ok());
    let (Some(from), Some(to)) = (numbers.next(), numbers.next()) else {
        eprintln!("usage: octostore-simulator FROM TO");
        return ExitCode::from(64);
    };
    let (mut tally, mut failures) = (Tally::default(), 0_u64);
    for seed in from..to {
        let first = run(seed, None, to - from == 1);
        let second = run(seed, None, false);
        let broken = if first.hash == second.hash {
            first.violation.as_ref().map(ToString::to_string)
        } else {
            Some("two runs of it differ".to_owned())
        };
        if let Some(broken) = broken {
            println!("seed {seed}: {broken}; again: octostore-simulator {seed} {}", seed + 1);
            failures += 1;
        }
        if let Some(told) = &first.trace {
            println!("{told}");
        }
        tally += first.tally;
    }
    println!("{tally:#?}\n{failures} of {} scenarios broke a promise", to - from);
    ExitCode::from(u8::from(failures > 0))
}
