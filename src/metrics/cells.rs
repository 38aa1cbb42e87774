//! The cells that are counted in.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that one at a time sets.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// It is this now.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of what was observed were how large.
#[derive(Debug)]
pub struct Histogram {
    /// The upper bounds of all buckets but the last, which has none. Rising.
    bounds: &'static [u64],
    buckets: Box<[Counter]>,
    sum: Counter,
}

/// Upper bounds for durations: from 50 microseconds, which a read takes, to ten seconds. In
/// nanoseconds.
pub const DURATIONS: &[u64] = &[
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Upper bounds for how many there are of something.
pub const SIZES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

impl Histogram {
    /// Nothing was observed yet.
    pub fn new(bounds: &'static [u64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self { bounds, buckets, sum: Counter::default() }
    }

    /// One more, that is so large.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|&bound| bound < value);
        self.buckets[bucket].add_one();
        self.sum.add(value);
    }

    /// One more, that took so long. For bounds in nanoseconds.
    pub fn observe_span(&self, span: Duration) {
        self.observe(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What was observed, with bounds and sum in units of so many of its own.
    pub fn read(&self, unit: f64) -> Observed {
        let bounds = self.bounds.iter().map(|&bound| approximately(bound) / unit);
        let counts = self.buckets.iter().map(Counter::get);
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        Observed {
            // Of the same reading as the buckets: a scraper checks that they agree.
            count: buckets.iter().map(|(_, count)| count).sum(),
            sum: approximately(self.sum.get()) / unit,
            buckets,
        }
    }
}

/// What a histogram has observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The upper bound of each bucket, and how many are in it and in none before.
    pub buckets: Vec<(f64, u64)>,
    /// All of them together.
    pub sum: f64,
    /// How many there are.
    pub count: u64,
}

/// As a floating-point number, which is all that a scraper takes.
#[expect(clippy::cast_precision_loss, reason = "above 2^53 the last digits do not matter")]
pub fn approximately(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1000] {
            histogram.observe(value);
        }
        let observed = histogram.read(10.0);
        assert_eq!(observed.buckets, [(1.0, 2), (2.0, 2), (f64::INFINITY, 2)]);
        assert_eq!((observed.count, observed.sum), (6, 106.2));
    }

    #[test]
    fn bounds_rise() {
        for bounds in [DURATIONS, SIZES] {
            assert!(bounds.is_sorted_by(|one, next| one < next));
        }
    }
}
