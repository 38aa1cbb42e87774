//! How often a provider, or an issuer of workloads, is asked for its keys because of what somebody
//! sent.

use octostore_actors::time::Instant;
use std::time::Duration;

/// Five at once, and one more every ten seconds. A bucket that was never used is full.
#[derive(Debug)]
pub struct Bucket {
    left: u32,
    /// When what is in it was counted last.
    counted: Instant,
}

impl Bucket {
    const FULL: u32 = 5;
    const REFILL: Duration = Duration::from_secs(10);

    /// A full one.
    pub const fn full() -> Self {
        Self { left: Self::FULL, counted: Instant::from_nanos(0) }
    }

    /// Takes one, if there is one left.
    pub fn take(&mut self, now: Instant) -> bool {
        let gained = now.since(self.counted).as_nanos() / Self::REFILL.as_nanos();
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        self.counted = if gained >= Self::FULL - self.left {
            self.left = Self::FULL;
            now
        } else {
            self.left += gained;
            self.counted + Self::REFILL * gained
        };
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_five_at_once_and_one_more_every_ten_seconds() {
        let at = |seconds| Instant::from_nanos(0) + Duration::from_secs(seconds);
        let mut bucket = Bucket::full();
        let given = |bucket: &mut Bucket, now| (0..9).filter(|_| bucket.take(now)).count();
        assert_eq!(given(&mut bucket, at(1000)), 5);
        assert_eq!(given(&mut bucket, at(1009)), 0);
        assert_eq!(given(&mut bucket, at(1010)), 1);
        assert_eq!(given(&mut bucket, at(1035)), 2, "what is over is not lost");
        assert_eq!(given(&mut bucket, at(1040)), 1);
        assert_eq!(given(&mut bucket, at(9000)), 5, "never more than five");
    }
}
