//! Servers that are broken on purpose: an attack that does not notice proves nothing.

use super::{clock, damage, kill, power};
use crate::{
    Outcome,
    lab::{self, Lab},
    report::Report,
    twin::{Edit, Twin},
};
use std::path::Path;

/// A commit is acknowledged before it is on the disk.
const SYNC_NORMAL: Twin = Twin {
    name: "synchronous-normal",
    edits: &[Edit {
        file: "src/store/open.rs",
        from: r#"pragma_update(None, "synchronous", "FULL")"#,
        to: r#"pragma_update(None, "synchronous", "NORMAL")"#,
    }],
    libc: false,
};

/// What waits for the commit is let go before it.
const REPLY_FIRST: Twin = Twin {
    name: "reply-before-commit",
    edits: &[Edit {
        file: "actors/src/commit.rs",
        from: "        let mut batch = self.gather(first);\n",
        to: "        let mut batch = self.gather(first);\n        \
             let early = batch.iter_mut().flat_map(|turn| turn.held.drain(..));\n        \
             self.alarm.wake(early.filter_map(Held::release_quietly).collect());\n",
    }],
    libc: false,
};

/// The mark is raised one token at a time, and not written through to the main file.
const NO_MARK: Twin = Twin {
    name: "no-mark",
    edits: &[
        Edit {
            file: "src/store/open.rs",
            from: "pub const TOKEN_BLOCK: u64 = 1 << 16;",
            to: "pub const TOKEN_BLOCK: u64 = 1;",
        },
        Edit {
            file: "src/store/mod.rs",
            from: "&& records.iter().any(raises_mark)",
            to: "&& records.is_empty()\n            && records.iter().any(raises_mark)",
        },
    ],
    libc: false,
};

/// Leases run on the wall clock.
const WALL_CLOCK: Twin = Twin {
    name: "wall-clock",
    edits: &[Edit {
        file: "src/clock.rs",
        from: "clock_gettime(ClockId::Boottime)",
        to: "clock_gettime(ClockId::Realtime)",
    }],
    libc: true,
};

/// All of them.
pub const TWINS: [Twin; 4] = [SYNC_NORMAL, REPLY_FIRST, NO_MARK, WALL_CLOCK];

/// How often an attack may try until it must have noticed.
const TRIES: u64 = 30;

/// Breaks the server in every way whose name has one of `words` in it, or in every way if there are
/// none, and has it attacked.
///
/// # Errors
/// It cannot be broken, or not be attacked.
pub fn run(lab: &Lab, target: &Path, words: &[String]) -> Outcome<Report> {
    let mut controls = Controls { words, tried: 0, told: Vec::new(), missed: Vec::new() };
    controls.control("no sync, power", || {
        let library = lab::preloaded_by("eatmydata", &[])?;
        power::run_with(lab, TRIES, |host| host.variable("LD_PRELOAD", library.clone()))
    })?;
    controls.control("synchronous=NORMAL, power", || {
        power::run(&lab.of(&SYNC_NORMAL.build(target)?)?, TRIES)
    })?;
    controls.control("reply before commit, kill", || {
        // It must fall between an answer and its commit, which is a moment.
        kill::run(&lab.of(&REPLY_FIRST.build(target)?)?, 10 * TRIES)
    })?;
    controls.control("reply before commit, power", || {
        power::run(&lab.of(&REPLY_FIRST.build(target)?)?, TRIES)
    })?;
    controls.control("no reserved tokens, damage", || {
        let failures = damage::tails(&lab.of(&NO_MARK.build(target)?)?, TRIES)?;
        Ok(Report::new(PROMISES, "tails", format!("{TRIES} journals"), failures))
    })?;
    controls.control("leases on the wall clock, clock", || {
        clock::jumps(lab, 2, Some(&WALL_CLOCK.build(target)?))
    })?;
    let Controls { tried, told, missed, .. } = controls;
    let times = format!("{tried} broken servers");
    let report = Report::new(PROMISES, "broken servers are noticed", times, missed);
    Ok(told.into_iter().fold(report, Report::tell))
}

const PROMISES: &str = "Fencing, Durability, Time";

struct Controls<'a> {
    words: &'a [String],
    tried: u64,
    told: Vec<String>,
    missed: Vec<String>,
}

impl Controls<'_> {
    fn control(&mut self, what: &str, attack: impl FnOnce() -> Outcome<Report>) -> Outcome<()> {
        if !self.words.is_empty() && !self.words.iter().any(|word| what.contains(&**word)) {
            return Ok(());
        }
        // Building them takes a while.
        eprintln!("{what}: is built and attacked");
        let report = attack()?;
        if let Some(why) = report.skipped {
            self.told.push(format!("SKIPPED: {what}: {why}"));
            return Ok(());
        }
        self.tried += 1;
        match report.failures.first().and_then(|failure| failure.lines().next()) {
            Some(first) => {
                self.told.push(format!("{what}: noticed after {}: {first}", report.times))
            }
            None => self.missed.push(format!("nobody has noticed in {}: {what}", report.times)),
        }
        Ok(())
    }
}
