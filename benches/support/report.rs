//! What was measured, as a table and as JSON.

use crate::client::Run;
use serde::Serialize;
use std::time::Duration;

/// One measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Measurement {
    /// Operations a second.
    pub rate: f64,
    /// Half of the operations took no longer, in microseconds.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
    /// What the server has computed for an operation, in microseconds.
    pub cpu: f64,
}

impl Measurement {
    /// Of what came of a load.
    pub fn of(mut run: Run, measured: Duration) -> Self {
        run.latencies.sort_unstable();
        let count = run.latencies.len();
        let percentile = |per_mille: usize| {
            let at = (count * per_mille / 1000).min(count.saturating_sub(1));
            run.latencies.get(at).map_or(f64::NAN, |&nanos| f64::from(nanos) / 1000.0)
        };
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let operations = count as f64;
        Self {
            rate: operations / measured.as_secs_f64(),
            p50: percentile(500),
            p99: percentile(990),
            p999: percentile(999),
            cpu: run.cpu.as_secs_f64() * 1e6 / operations,
        }
    }

    /// The median of each number.
    pub fn median(all: &[Self]) -> Self {
        let of = |number: fn(&Self) -> f64| {
            let mut numbers: Vec<f64> = all.iter().map(number).collect();
            numbers.sort_by(f64::total_cmp);
            let (low, high) = (numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
            f64::midpoint(low, high)
        };
        Self {
            rate: of(|one| one.rate),
            p50: of(|one| one.p50),
            p99: of(|one| one.p99),
            p999: of(|one| one.p999),
            cpu: of(|one| one.cpu),
        }
    }
}

/// All measurements.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
    ratios: Vec<Ratio>,
    resident_kib: u64,
}

#[derive(Debug, Serialize)]
struct Row {
    workload: &'static str,
    server: &'static str,
    connections: u32,
    #[serde(flatten)]
    measurement: Measurement,
}

/// Ours over theirs.
#[derive(Debug, Serialize)]
struct Ratio {
    workload: &'static str,
    connections: u32,
    rate: f64,
    p50: f64,
    cpu: f64,
}

impl Report {
    /// Prints the head of the table.
    pub fn begin(&self) {
        println!(
            "{:<18} {:<10} {:>5} {:>9} {:>9} {:>9} {:>9} {:>10}",
            "workload", "server", "conns", "ops/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs/op"
        );
    }

    /// Prints and keeps a row.
    pub fn add(
        &mut self,
        workload: &'static str,
        server: &'static str,
        connections: u32,
        measurement: Measurement,
    ) {
        let Measurement { rate, p50, p99, p999, cpu } = measurement;
        println!(
            "{workload:<18} {server:<10} {connections:>5} {rate:>9.0} {p50:>9.1} {p99:>9.1} \
             {p999:>9.1} {cpu:>10.2}"
        );
        self.rows.push(Row { workload, server, connections, measurement });
    }

    /// Keeps how `ours` compares with `theirs`.
    pub fn ratio(
        &mut self,
        workload: &'static str,
        connections: u32,
        ours: &Measurement,
        theirs: &Measurement,
    ) {
        self.ratios.push(Ratio {
            workload,
            connections,
            rate: ours.rate / theirs.rate,
            p50: ours.p50 / theirs.p50,
            cpu: ours.cpu / theirs.cpu,
        });
    }

    /// Prints what is left to say.
    pub fn end(&mut self, resident_kib: u64) {
        self.resident_kib = resident_kib;
        println!("\nmemory of the octostore at the end: {resident_kib} KiB");
        if self.ratios.is_empty() {
            return;
        }
        println!("\noctostore/redis    {:>5} {:>9} {:>9} {:>9}", "conns", "ops/s", "p50", "CPU");
        for ratio in &self.ratios {
            println!(
                "{:<18} {:>5} {:>9.2} {:>9.2} {:>9.2}",
                ratio.workload, ratio.connections, ratio.rate, ratio.p50, ratio.cpu
            );
        }
    }

    /// All of it.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
