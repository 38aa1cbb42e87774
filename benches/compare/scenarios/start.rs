//! From the start of the program to its being ready, on an empty file.

use super::must_be_ready;
use crate::{
    Outcome, measurement::Spread, options::Options, peers::Place, process::Server, targets::Target,
};
use std::{path::Path, time::Instant};

const ROUNDS: u32 = 15;

/// Starts it again and again, each time where there was no database.
pub fn measure(options: &Options, folder: &Path) -> Outcome<Vec<Target>> {
    let rounds = if options.quick { 3 } else { ROUNDS };
    let mut took = Vec::new();
    for round in 0..rounds {
        let folder = folder.join(round.to_string());
        std::fs::create_dir(&folder)?;
        let place = Place::new(&options.server, &folder, 1)?;
        took.push(timed(&place)?.0 * 1000.0);
    }
    let Spread { median, low, high } = Spread::of(took.into_iter());
    Ok(vec![Target {
        workload: "start to ready on an empty file".to_owned(),
        target: "< 50 ms".to_owned(),
        measured: format!("{median:.1} ms ({low:.1} to {high:.1}, {rounds} starts)"),
        met: Some(median < 50.0),
    }])
}

/// Starts the server at `place`: how many seconds it takes until it has said that it is ready.
pub fn timed(place: &Place) -> Outcome<(f64, Server)> {
    let began = Instant::now();
    let server = place.start()?;
    must_be_ready(&server)?;
    Ok((began.elapsed().as_secs_f64(), server))
}
