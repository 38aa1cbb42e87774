//! What a campaign did, as a table, and as one line an attack.

use crate::{
    campaign::{Failure, Outcome},
    oracle::Promise,
    scenario::Tally,
};
use std::fmt;

/// One way in which promises are attacked.
struct Attack {
    /// The promises, by their names in the README.
    promises: &'static [&'static str],
    what: &'static str,
    /// What is counted.
    noun: &'static str,
    count: fn(&Tally) -> u64,
}

const CRASHED: &[&str] = &["Exclusion", "Fencing", "Durability", "Time", "Limits", "One outcome"];

/// All of them.
const ATTACKS: [Attack; 14] = [
    Attack {
        promises: CRASHED,
        what: "kill -9 of the simulated server, everything told looked for at its next start",
        noun: "kills",
        count: |tally| tally.kills,
    },
    Attack {
        promises: CRASHED,
        what: "power cuts on the simulated disk: unsynced writes lost, torn, reordered",
        noun: "power cuts",
        count: |tally| tally.cuts,
    },
    Attack {
        promises: CRASHED,
        what: "reboots in good order in between",
        noun: "reboots",
        count: |tally| tally.reboots,
    },
    Attack {
        promises: CRASHED,
        what: "death in the middle of a write, a sync or a start",
        noun: "deaths",
        count: |tally| tally.inside,
    },
    Attack {
        promises: &["Durability", "One outcome"],
        what: "writes, syncs and truncations that fail, and a full disk",
        noun: "faults",
        count: |tally| tally.faults + tally.full,
    },
    Attack {
        promises: &["Fencing"],
        what: "the whole journal lost after grants that were told",
        noun: "lost journals",
        count: |tally| tally.lost_journals,
    },
    Attack {
        promises: &["Exclusion", "Fencing"],
        what: "each grant against every earlier one",
        noun: "grants",
        count: |tally| tally.grants,
    },
    Attack {
        promises: &["Time"],
        what: "wall clock set to another time",
        noun: "jumps",
        count: |tally| tally.jumps,
    },
    Attack {
        promises: &["Time"],
        what: "seconds in which nothing runs, with requests queued",
        noun: "stalls",
        count: |tally| tally.stalls,
    },
    Attack {
        promises: &["No ghosts"],
        what: "clients that hang up, and answers lost on their way",
        noun: "hang-ups",
        count: |tally| tally.hang_ups,
    },
    Attack {
        promises: &["Limits"],
        what: "each window of the true time, over restarts and reboots",
        noun: "checks",
        count: |tally| tally.limit_checks,
    },
    Attack {
        promises: &["Durability", "One outcome"],
        what: "histories of one lock, flag or config key, searched for an order that explains them",
        noun: "histories",
        count: |tally| tally.histories,
    },
    Attack {
        promises: &["Durability", "One outcome"],
        what: "revoked tokens presented, the audit log read for what was and was not done",
        noun: "looks",
        count: |tally| tally.presented + tally.audits,
    },
    Attack {
        promises: &["Bounded"],
        what: "requests beyond a quota or into a full mailbox",
        noun: "refusals",
        count: |tally| tally.bounded,
    },
];

impl Outcome {
    /// One line an attack: the promises, the attack, how often it was tried, and in how many
    /// scenarios that had it one of these promises was broken.
    pub fn proof(&self) -> String {
        let line = |attack: &Attack| {
            let broken = |failure: &&Failure| {
                attack.promises.contains(&failure.violation.promise.invariant())
                    && (attack.count)(&failure.tally) > 0
            };
            let failures = self.failures.iter().filter(broken).count();
            let times = thousands((attack.count)(&self.tally));
            let Attack { promises, what, noun, .. } = attack;
            format!("proof: {} | {what} | {times} {noun} | {failures}\n", promises.join(", "))
        };
        ATTACKS.iter().map(line).collect()
    }

    /// Whether the attacks were made at all.
    pub fn has_tried(&self) -> bool {
        self.tally.recovered * 10 >= self.tally.scenarios * 9 && self.tally.checks > 0
    }

    /// Failures of the simulator itself, which are no proof of anything.
    fn own(&self) -> usize {
        let own = |failure: &&Failure| failure.violation.promise == Promise::Determinism;
        self.failures.iter().filter(own).count()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        let seconds = self.took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "it is only shown")]
        let speed = tally.recovered as f64 / seconds;
        let rows: [(&str, u64); 27] = [
            ("scenarios, each run twice", tally.scenarios),
            ("  with a crash and a recovery", tally.recovered),
            ("requests", tally.requests),
            ("answers", tally.answers),
            ("commits", tally.commits),
            ("crashes", tally.crashes()),
            ("  kill -9", tally.kills),
            ("  power cuts", tally.cuts),
            ("  reboots", tally.reboots),
            ("  in the middle of a write, a sync or a start", tally.inside),
            ("starts", tally.starts),
            ("  interrupted or refused before", tally.failed_starts),
            ("  refused for good, after a failed write or sync", tally.refusals),
            ("stops in good order", tally.stops),
            ("faults of the disk", tally.faults),
            ("  after which the store gave up", tally.failures),
            ("writes without room", tally.full),
            ("journals lost", tally.lost_journals),
            ("wall clock set", tally.jumps),
            ("stalls", tally.stalls),
            ("hang-ups", tally.hang_ups),
            ("refusals for a quota or a full mailbox", tally.bounded),
            ("checks", tally.checks),
            ("histories explained", tally.histories),
            ("  undecided", tally.undecided),
            ("promises broken", self.failures.len() as u64),
            ("  by the simulator itself", self.own() as u64),
        ];
        for (name, count) in rows {
            writeln!(f, "| {name:<50} | {:>15} |", thousands(count))?;
        }
        writeln!(f, "{seconds:.0} s, {speed:.0} crash-and-recover scenarios a second")
    }
}

/// `1234567` as `1,234,567`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Violation;

    #[test]
    fn a_failure_is_told_with_the_attacks_that_its_scenario_had() {
        let tally = Tally { kills: 1, cuts: 0, ..Tally::default() };
        let violation = Violation::new(Promise::Recovery, "no start");
        let outcome = Outcome {
            tally: Tally { kills: 6_247, cuts: 1_000_000, ..Tally::default() },
            failures: vec![Failure { seed: 7, violation, tally }],
            ..Outcome::default()
        };
        let proof = outcome.proof();
        assert_eq!(proof.lines().count(), ATTACKS.len());
        let ends = |attack: &str, end: &str| {
            proof.lines().any(|line| line.contains(attack) && line.ends_with(end))
        };
        assert!(ends("kill -9", "| 6,247 kills | 1"), "{proof}");
        assert!(ends("power cuts", "| 1,000,000 power cuts | 0"), "{proof}");
        assert!(ends("each grant", "| 0 grants | 0"), "{proof}");
    }
}
