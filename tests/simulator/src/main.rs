//! Runs scenarios.

use octostore_simulator::scenario::run;

fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (from, to) = (args[0], args[1]);
    let readable = from + 1 == to;
    let mut tally = octostore_simulator::scenario::Tally::default();
    let mut bad = 0;
    for seed in from..to {
        let first = run(seed, None, readable);
        let second = run(seed, None, false);
        if first.hash != second.hash {
            println!("seed {seed}: NOT DETERMINISTIC");
        }
        if let Some(v) = &first.violation {
            println!("seed {seed}: {v}");
            bad += 1;
        }
        if let Some(t) = &first.trace { println!("{t}"); }
        tally += first.tally;
        if bad > 10 { break }
    }
    println!("{tally:#?}");
}
