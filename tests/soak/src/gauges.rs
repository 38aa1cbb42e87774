//! Memory, files, threads and journal over time, and whether they level off.

use std::time::Duration;

/// What the server had at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Resident memory, in bytes.
    pub resident: u64,
    /// Open file descriptors.
    pub files: u64,
    /// Threads.
    pub threads: u64,
    /// The journal beside the database, in bytes.
    pub journal: u64,
    /// The database, in bytes.
    pub database: u64,
}

impl Sample {
    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            resident: self.resident.max(other.resident),
            files: self.files.max(other.files),
            threads: self.threads.max(other.threads),
            journal: self.journal.max(other.journal),
            database: self.database.max(other.database),
        }
    }
}

/// Samples in order, each with how long after the beginning it was taken.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<(Duration, Sample)>);

impl Series {
    /// One more.
    pub fn add(&mut self, at: Duration, sample: Sample) {
        self.0.push((at, sample));
    }

    /// About `count` of them, evenly spread, the last included.
    pub fn thinned(&self, count: usize) -> impl Iterator<Item = &(Duration, Sample)> {
        let last = self.0.len().saturating_sub(1);
        let step = self.0.len().div_ceil(count.max(1)).max(1);
        self.0.iter().enumerate().filter(move |(n, _)| n % step == 0 || *n == last).map(|(_, s)| s)
    }

    /// The largest of each.
    pub fn peak(&self) -> Sample {
        self.0.iter().fold(Sample::default(), |peak, (_, sample)| peak.max(*sample))
    }

    /// How `number` grew from the middle third to the last: 1.0 is not at all.
    #[expect(clippy::cast_precision_loss, reason = "a ratio of two means")]
    pub fn growth(&self, number: fn(&Sample) -> u64) -> f64 {
        let third = self.0.len() / 3;
        let mean = |part: &[(Duration, Sample)]| {
            part.iter().map(|(_, sample)| number(sample)).sum::<u64>() as f64
                / part.len().max(1) as f64
        };
        mean(&self.0[self.0.len() - third..]) / mean(&self.0[third..self.0.len() - third]).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(numbers: &[u64]) -> Series {
        let sample = |&resident| Sample { resident, ..Sample::default() };
        Series(numbers.iter().map(|n| (Duration::ZERO, sample(n))).collect())
    }

    #[test]
    fn what_levels_off_is_told_from_what_grows() {
        let resident = |sample: &Sample| sample.resident;
        assert!(series(&[1, 50, 99, 100, 100, 100, 99, 101, 100]).growth(resident) < 1.01);
        assert!(series(&[10, 20, 30, 40, 50, 60, 70, 80, 90]).growth(resident) > 1.5);
    }

    #[test]
    fn thinning_keeps_the_last() {
        let series = series(&[1, 2, 3, 4, 5, 6, 7]);
        let kept: Vec<u64> = series.thinned(3).map(|(_, sample)| sample.resident).collect();
        assert_eq!(kept, [1, 4, 7]);
        assert_eq!(series.peak().resident, 7);
    }
}
