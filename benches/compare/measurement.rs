//! Numbers: of one measurement, of several, and of two beside each other.

use crate::client::{Load, Run};
use serde::Serialize;

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
    /// All of them.
    pub longest: f64,
    /// What the server has computed for an operation, in microseconds.
    pub cpu: f64,
}

impl Measurement {
    /// Of what came of a load.
    pub fn of(mut run: Run, load: &Load) -> Self {
        run.latencies.sort_unstable();
        let count = run.latencies.len();
        let percentile = |per_mille: usize| {
            let at = (count * per_mille / 1000).min(count.saturating_sub(1));
            run.latencies.get(at).map_or(f64::NAN, |&nanos| f64::from(nanos) / 1000.0)
        };
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let operations = count as f64;
        Self {
            rate: operations / load.measured.as_secs_f64(),
            p50: percentile(500),
            p99: percentile(990),
            p999: percentile(999),
            longest: percentile(1000),
            cpu: run.cpu.as_secs_f64() * 1e6 / operations,
        }
    }

    /// The median of each number.
    pub fn median(all: &[Self]) -> Self {
        let of = |number: fn(&Self) -> f64| Spread::of(all.iter().map(number)).median;
        Self {
            rate: of(|one| one.rate),
            p50: of(|one| one.p50),
            p99: of(|one| one.p99),
            p999: of(|one| one.p999),
            longest: of(|one| one.longest),
            cpu: of(|one| one.cpu),
        }
    }
}

/// The same number, measured several times.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// In the middle.
    pub median: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

impl Spread {
    /// Of `numbers`, of which there is one at least; otherwise it is not a number.
    pub fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.collect();
        numbers.sort_by(f64::total_cmp);
        let at = |index: usize| numbers.get(index).copied().unwrap_or(f64::NAN);
        let (last, count) = (numbers.len().saturating_sub(1), numbers.len());
        Self { median: f64::midpoint(at(last / 2), at(count / 2)), low: at(0), high: at(last) }
    }
}

/// Ours over theirs, of measurements that were made in the same round.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ratios {
    /// Of operations a second.
    pub rate: Spread,
    /// Of the latencies in the middle.
    pub p50: Spread,
    /// Of the server's computing for an operation.
    pub cpu: Spread,
}

impl Ratios {
    /// Of as many rounds as there are.
    pub fn of(ours: &[Measurement], theirs: &[Measurement]) -> Self {
        let of = |number: fn(&Measurement) -> f64| {
            Spread::of(ours.iter().zip(theirs).map(|(a, b)| number(a) / number(b)))
        };
        Self { rate: of(|one| one.rate), p50: of(|one| one.p50), cpu: of(|one| one.cpu) }
    }
}
