//! `kill -9` at any instant, in the middle of work and in the middle of a start.

use crate::{
    Outcome,
    arena::Arena,
    lab::Lab,
    report::Report,
    server::{Exit, Host},
    worker::Work,
};
use std::time::Duration;

/// The promises that it attacks.
pub const PROMISES: &str = "Exclusion, Fencing, Durability, No ghosts, Limits, One outcome";

/// Kills the server so many times.
///
/// # Errors
/// It cannot be tried.
pub fn run(lab: &Lab, times: u64) -> Outcome<Report> {
    let host = Host::new(&lab.server, &lab.folder("kill")?);
    let mut arena = Arena::new(host, lab.seed);
    let mut failures = Vec::new();
    let mut young = 0;
    let mut kills = 0;
    while kills < times && !arena.is_broken() {
        kills += 1;
        // One in eight goes before it serves.
        if arena.dice.u32(0..8) == 0 {
            let wait = Duration::from_micros(arena.dice.u64(0..30_000));
            let starting = arena.host.spawn()?;
            std::thread::sleep(wait);
            failures.extend(was_killed(&starting.kill()?));
            young += 1;
            continue;
        }
        let work = Work::endless(&mut arena.dice);
        let ended = arena.life(work, |server, dice| {
            std::thread::sleep(Duration::from_micros(dice.u64(1_000..150_000)));
            server.kill()
        });
        match ended {
            Ok(exit) => failures.extend(was_killed(&exit)),
            Err(error) => {
                failures.push(error.to_string());
                break;
            }
        }
    }
    failures.extend(arena.finish());
    Ok(Report::new(PROMISES, "kill -9 at a random instant", format!("{kills} kills"), failures)
        .tell(format!("{young} of the kills came in the middle of a start"))
        .tell_tally(&arena.tally))
}

/// What is wrong if it did not take a `kill -9` to end it.
fn was_killed(exit: &Exit) -> Option<String> {
    exit.code.map(|_| format!("the server ended by itself: {exit:?}"))
}
