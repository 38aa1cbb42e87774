//! Tables, and the lines that say what was proved.

use crate::{
    findings::Promise,
    gauges::{Sample, Series},
    honest::{Ledger, Phase},
    hostile::{self, Tally},
    oracle::Oracle,
    plan::Plan,
};
use std::{collections::BTreeMap, fmt::Display, sync::Arc, time::Duration};

/// By how much memory and files may grow from the middle third of the attack to the last.
const GROWTH: f64 = 1.10;

/// By how much the honest clients' 99th percentile may rise under attack.
const SLOWER: f64 = 5.0;

/// What memory may be in all: for each connection, and for everything else.
const MEMORY: (u64, u64) = (24 << 10, 256 << 20);

/// What the journal may be: a thousand pages that wait for a checkpoint, what comes while it is
/// made, and one large batch.
const JOURNAL: u64 = 64 << 20;

/// How many threads the server may have, whoever comes.
const THREADS: u64 = 64;

/// Everything that a run has measured.
#[derive(Debug)]
pub struct Report {
    /// What was to be done.
    pub plan: Plan,
    /// What the honest clients told each other.
    pub oracle: Arc<Oracle>,
    /// What became of their requests.
    pub ledger: Arc<Ledger>,
    /// What became of the others'.
    pub tallies: Vec<(hostile::Kind, Arc<Tally>)>,
    /// The server during the attack.
    pub series: Series,
    /// Before it.
    pub before: Sample,
    /// After it, when files and threads were given back or patience had ended.
    pub after: Sample,
    /// How long the hostile clients took to arrive.
    pub arrived: Duration,
    /// How long the server took to give back files and threads.
    pub given_back: Duration,
    /// What the server's threads computed in a second of the attack.
    pub cpu: Duration,
    /// How long they waited for a core in it, ready to run.
    pub waited: Duration,
    /// How much was looked for after the restart.
    pub kept: usize,
    /// How many requests had no answer because the server was told to stop.
    pub unanswered: u64,
}

impl Report {
    /// Judges what can only be judged at the end.
    pub fn judge(&self) {
        let findings = &self.oracle.findings;
        let peak = self.series.peak();
        let connections = self.tallies.iter().map(|(_, tally)| tally.clients()).sum::<u64>();
        let bound = |held: bool, how: String| findings.check(Promise::Bounded, held, || how);
        let most = MEMORY.0 * connections + MEMORY.1;
        bound(
            peak.resident <= most,
            format!("{} of memory, and {} is the bound", mib(peak.resident), mib(most)),
        );
        bound(peak.journal <= JOURNAL, format!("a journal of {}", mib(peak.journal)));
        bound(peak.threads <= THREADS, format!("{} threads", peak.threads));
        bound(
            self.given_back <= self.plan.patience,
            format!(
                "files and threads are not given back: {:?} before, {:?} after",
                self.before, self.after
            ),
        );
        if !self.plan.judges {
            return;
        }
        for (what, number) in GAUGES {
            let growth = self.series.growth(*number);
            bound(growth <= GROWTH, format!("{what} grew by {growth:.3} in the last third"));
        }
        let ratio = self.slower();
        bound(ratio <= SLOWER, format!("the 99th percentile of honest clients rose by {ratio:.2}"));
    }

    /// Prints everything; whether every promise was kept.
    pub fn print(&self) -> bool {
        self.print_honest();
        self.print_hostile();
        self.print_gauges();
        self.print_proof()
    }

    fn print_honest(&self) {
        println!(
            "\nhonest clients (each at a fixed rate; milliseconds from when a request was due)"
        );
        println!(
            "{:<11} {:>7} {:>8} {:>8} {:>6}  {:>13}  {:>13}  {:>13}  refused",
            "",
            "clients",
            "sent",
            "answered",
            "wrong",
            "alone p50/p99",
            "attack p50/99",
            "after p50/p99"
        );
        for (kind, tally) in self.ledger.kinds().iter() {
            let of = |phase| of(tally.latencies.get(&phase).cloned().unwrap_or_default());
            println!(
                "{:<11} {:>7} {:>8} {:>8} {:>6}  {:>13}  {:>13}  {:>13}  {}",
                format!("{kind:?}"),
                tally.clients,
                tally.sent,
                tally.expected,
                tally.wrong,
                of(Phase::Calm),
                of(Phase::Attack),
                of(Phase::Recovery),
                list(&tally.refused),
            );
        }
        let [calm, attack, after] =
            [Phase::Calm, Phase::Attack, Phase::Recovery].map(|phase| of(self.latencies(phase)));
        println!("{:<44}  {calm:>13}  {attack:>13}  {after:>13}", "all");
        let bound =
            if self.plan.judges { format!("at most {SLOWER}") } else { "not judged".to_owned() };
        println!("p99 under attack / p99 alone: {:.2} ({bound})", self.slower());
    }

    fn print_hostile(&self) {
        println!("\nhostile clients, all there after {:.1} s", self.arrived.as_secs_f64());
        println!(
            "{:<26} {:>7} {:>8} {:>10} {:>8}  answers by status",
            "", "clients", "opened", "sent", "cut off"
        );
        for (kind, tally) in &self.tallies {
            println!(
                "{:<26} {:>7} {:>8} {:>10} {:>8}  {}",
                kind.name(),
                tally.clients(),
                tally.opened(),
                tally.sent(),
                tally.closed(),
                list(&tally.statuses()),
            );
        }
    }

    fn print_gauges(&self) {
        println!(
            "\nthe server under attack: computed {:.0} % of a core, waited for one {:.0} % of the time",
            self.cpu.as_secs_f64() * 100.0,
            self.waited.as_secs_f64() * 100.0
        );
        println!(
            "{:>6} {:>10} {:>7} {:>8} {:>9} {:>9}",
            "s", "memory", "files", "threads", "journal", "database"
        );
        let line = |when: &dyn Display, sample: &Sample| {
            let Sample { resident, files, threads, journal, database } = *sample;
            println!(
                "{when:>6} {:>10} {files:>7} {threads:>8} {:>9} {:>9}",
                mib(resident),
                mib(journal),
                mib(database)
            );
        };
        line(&"before", &self.before);
        for (at, sample) in self.series.thinned(10) {
            line(&at.as_secs(), sample);
        }
        line(&"after", &self.after);
        for (what, number) in GAUGES {
            println!("{what}: last third / middle third {:.3}", self.series.growth(*number));
        }
        println!("files and threads were given back after {:.1} s", self.given_back.as_secs_f64());
        println!(
            "stopped in the middle of requests: {} not taken; restarted: {} things looked for",
            self.unanswered, self.kept
        );
    }

    fn print_proof(&self) -> bool {
        let sent: u64 = self.ledger.kinds().values().map(|tally| tally.sent).sum();
        let hostile: u64 = self.tallies.iter().map(|(_, tally)| tally.sent()).sum();
        let opened: u64 = self.tallies.iter().map(|(_, tally)| tally.opened()).sum();
        let (grants, checks) = (self.oracle.grants(), self.oracle.checks());
        let lines = [
            (
                Promise::OneOutcome,
                "One outcome",
                "honest requests beside hostile clients",
                format!("{sent} honest and {hostile} hostile requests"),
            ),
            (
                Promise::Exclusion,
                "Exclusion",
                "contested and coveted locks at overload",
                format!("{grants} grants"),
            ),
            (
                Promise::Fencing,
                "Fencing",
                "tokens at overload and over a restart",
                format!("{grants} grants"),
            ),
            (
                Promise::Limits,
                "Limits",
                "limits that are always reached, at overload",
                format!("{checks} checks"),
            ),
            (
                Promise::Durability,
                "Durability",
                "a stop in the middle of requests, and a restart",
                format!("{} acknowledged facts", self.kept),
            ),
            (Promise::Bounded, "Bounded", self.bounded(), format!("{opened} hostile connections")),
        ];
        println!();
        let mut kept = true;
        for (promise, name, attack, times) in lines {
            let failures = self.oracle.findings.times(promise);
            println!("proof: {name} | {attack} | {times} | {failures}");
            kept &= failures == 0;
        }
        kept
    }

    fn bounded(&self) -> &'static str {
        if self.plan.judges {
            "memory, files, threads, journal and latency under hostile clients"
        } else {
            "memory, files, threads and journal under hostile clients"
        }
    }

    /// How the honest clients' 99th percentile compares with that of their time alone.
    fn slower(&self) -> f64 {
        let p99 = |phase| f64::from(percentile(&mut self.latencies(phase), 99));
        p99(Phase::Attack) / p99(Phase::Calm).max(1.0)
    }

    fn latencies(&self, phase: Phase) -> Vec<u32> {
        let kinds = self.ledger.kinds();
        kinds.values().filter_map(|tally| tally.latencies.get(&phase)).flatten().copied().collect()
    }
}

type Gauge = (&'static str, fn(&Sample) -> u64);

/// What has to level off.
const GAUGES: &[Gauge] = &[
    ("memory", |sample| sample.resident),
    ("files", |sample| sample.files),
    ("threads", |sample| sample.threads),
    ("journal", |sample| sample.journal),
];

/// The median and the 99th percentile, in milliseconds.
fn of(mut latencies: Vec<u32>) -> String {
    let mut at = |percent| f64::from(percentile(&mut latencies, percent)) / 1000.0;
    format!("{:.2}/{:.2}", at(50), at(99))
}

fn percentile(latencies: &mut [u32], percent: usize) -> u32 {
    latencies.sort_unstable();
    let at = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
    latencies.get(at).copied().unwrap_or(0)
}

fn mib(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20)
}

fn list<K: Display>(counts: &BTreeMap<K, u64>) -> String {
    let each: Vec<String> = counts.iter().map(|(what, count)| format!("{what}: {count}")).collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_numbers() {
        let mut numbers: Vec<u32> = (1..=200).rev().collect();
        assert_eq!(percentile(&mut numbers, 50), 101);
        assert_eq!(percentile(&mut numbers, 99), 199);
        assert_eq!(percentile(&mut [], 99), 0);
    }

    #[test]
    fn bytes_print_as_mebibytes() {
        assert_eq!(
            (mib(0), mib(1 << 19), mib(3 << 20)),
            ("0.0 MiB".into(), "0.5 MiB".into(), "3.0 MiB".into())
        );
    }
}
