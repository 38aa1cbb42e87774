//! Servers that are broken on purpose: an attack that does not notice proves nothing.

use super::{clock, damage, kill, power};
use crate::{
    Outcome,
    lab::{self, Lab},
    report::Report,
    server::Host,
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
            from: "pub const TOKEN_BLOCK: u64 = 1 << 24;",
            to: "pub const TOKEN_BLOCK: u64 = 1;",
        },
        Edit {
            file: "src/store/mod.rs",
            from: "if records.iter().any(raises_mark)",
            to: "if records.is_empty() && records.iter().any(raises_mark)",
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

/// Breaks the server in every way, and has it attacked.
///
/// # Errors
/// It cannot be broken, or not be attacked.
pub fn run(lab: &Lab, target: &Path) -> Outcome<Report> {
    let mut controls = Controls::default();

    let eatmydata = lab::preloaded_by("eatmydata", &[]);
    match eatmydata {
        Ok(library) => {
            let how = |host: Host| host.variable("LD_PRELOAD", library.clone());
            controls.hear("no sync at all (power)", &power::run_with(lab, TRIES, how)?);
        }
        Err(why) => controls.told.push(format!("SKIPPED: no sync at all: {why}")),
    }
    let normal = lab.of(&SYNC_NORMAL.build(target)?)?;
    controls.hear("synchronous=NORMAL (power)", &power::run(&normal, TRIES)?);

    let first = lab.of(&REPLY_FIRST.build(target)?)?;
    controls.hear("reply before commit (kill)", &kill::run(&first, TRIES)?);
    controls.hear("reply before commit (power)", &power::run(&first, TRIES)?);

    let no_mark = lab.of(&NO_MARK.build(target)?)?;
    controls.judge("no reserved tokens (damage)", &damage::tails(&no_mark, TRIES)?);

    let wall = WALL_CLOCK.build(target)?;
    controls.hear("leases on the wall clock (clock)", &clock::jumps(lab, 2, Some(&wall))?);

    let Controls { tried, told, missed } = controls;
    let times = format!("{tried} broken servers");
    let report = Report::new(PROMISES, "broken servers are noticed", times, missed);
    Ok(told.into_iter().fold(report, Report::tell))
}

const PROMISES: &str = "Fencing, Durability, Time";

#[derive(Default)]
struct Controls {
    tried: u64,
    told: Vec<String>,
    missed: Vec<String>,
}

impl Controls {
    fn hear(&mut self, what: &str, report: &Report) {
        match &report.skipped {
            Some(why) => self.told.push(format!("SKIPPED: {what}: {why}")),
            None => self.judge(what, &report.failures),
        }
    }

    fn judge(&mut self, what: &str, failures: &[String]) {
        self.tried += 1;
        match failures.first().and_then(|failure| failure.lines().next()) {
            Some(first) => self.told.push(format!("{what}: noticed: {first}")),
            None => self.missed.push(format!("nobody has noticed: {what}")),
        }
    }
}
