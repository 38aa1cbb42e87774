//! Chance, from a seed.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::ops::RangeInclusive;

/// Everything that is left to chance in one scenario is decided by dice of its seed.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Dice of `seed`. Those of another `stream` fall independently.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// One of `range`, all alike. An empty range gives its beginning.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (first, last) = range.into_inner();
        match last.saturating_sub(first).checked_add(1) {
            // Which of them are a little more likely does not matter here.
            Some(count) => first + self.any() % count,
            None => self.any(),
        }
    }

    /// A number below `count`, or zero.
    pub fn below(&mut self, count: usize) -> usize {
        let last = (count as u64).saturating_sub(1);
        usize::try_from(self.within(0..=last)).unwrap_or(0)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.within(1..=times) == 1
    }

    /// One of these, all alike.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// The place of one of these weights, each as likely as it is heavy.
    pub fn weighted(&mut self, weights: impl IntoIterator<Item = u64> + Clone) -> usize {
        let total: u64 = weights.clone().into_iter().sum();
        let mut left = self.within(1..=total.max(1));
        for (index, weight) in weights.into_iter().enumerate() {
            if left <= weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    /// Brings `items` into any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_falls_alike_and_streams_fall_apart() {
        let throws = |seed, stream| {
            let mut dice = Dice::new(seed, stream);
            [dice.any(), dice.within(1..=6), dice.any()]
        };
        assert_eq!(throws(1, 0), throws(1, 0));
        assert_ne!(throws(1, 0), throws(2, 0));
        assert_ne!(throws(1, 0), throws(1, 1));
    }

    #[test]
    fn weights_decide_and_what_weighs_nothing_never_comes() {
        let mut dice = Dice::new(7, 0);
        let mut seen = [0; 3];
        (0..4000).for_each(|_| seen[dice.weighted([1, 0, 3])] += 1);
        assert!(seen[1] == 0 && seen[2] > 2 * seen[0] && seen[0] > 0, "{seen:?}");
    }
}
