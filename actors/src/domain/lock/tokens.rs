//! The fencing tokens that are still to be granted.

use super::{LockOutcome, LockRecord};
use crate::{
    domain::{
        Effects,
        values::{FencingToken, WallTime},
    },
    progress::Seq,
};

/// Where tokens go on in a copy of the store that was made when `mark` was its mark, and of which
/// nobody knows what was granted since: above every token that can have been, at `now`.
///
/// The bound is the wall clock: [`LOST_EACH_SECOND`] tokens for every second since
/// [`LOST_SINCE`], and for [`AHEAD`] more. A store that began at zero is far below it, and one that was
/// restored before began below it and spends them more slowly than it rises; so whichever copy is
/// restored, and however often, no token comes twice. Where the mark is less than that hour above it, the
/// clock was set back a little: the tokens go on a second's worth above the mark, and the clock
/// overtakes them again. Where it is further above, the clock cannot be right, and the mark itself rises
/// by [`LOST_AT_MOST`].
pub fn after_restore(mark: FencingToken, now: WallTime) -> FencingToken {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    let millis = millis.saturating_sub((LOST_SINCE - AHEAD) * 1000);
    let bound = millis.saturating_mul(LOST_EACH_SECOND) / 1000;
    match mark.get().checked_sub(bound) {
        None => FencingToken::ZERO.saturating_add(bound),
        Some(above) if above < AHEAD * LOST_EACH_SECOND => mark.saturating_add(LOST_EACH_SECOND),
        Some(_) => mark.saturating_add(LOST_AT_MOST),
    }
}

/// More tokens than a store spends in a second: ten times as many as it grants and reserves, or a crash
/// every sixteen milliseconds, which skips what a start reserves. 2^53 of them last until 2088.
const LOST_EACH_SECOND: u64 = 1 << 22;

/// The most that are reserved at a time.
const LARGEST_BLOCK: u64 = 1 << 24;

/// 2020, before the first store there was, in seconds since 1970.
const LOST_SINCE: u64 = 1_577_836_800;

/// By how many seconds the bound is ahead of the clock: an hour.
const AHEAD: u64 = 3600;

/// What a store spends in about a week and a half at that speed.
const LOST_AT_MOST: u64 = 1 << 42;

/// The fencing tokens that may be granted: those after `last`, up to the `mark` on disk.
///
/// The mark is raised a block at a time, long before it is reached. A commit that is lost later
/// with a damaged journal can therefore take leases with it, but never make a token repeat. What is
/// reserved and not granted is skipped by a crash, so blocks begin small, and each is twice as large as the
/// one before it: what is skipped is no more than a few times what was granted.
#[derive(Debug)]
pub struct Tokens {
    pub(super) last: FencingToken,
    mark: FencingToken,
    block: u64,
    /// The next mark, on its way to the disk.
    raising: Option<(Seq, FencingToken)>,
}

impl Tokens {
    /// Continues after `last`, with `mark` on disk, of which `block` tokens were reserved last.
    ///
    /// # Panics
    /// If `last` is above `mark`: a token would have been granted that the disk knows nothing of.
    pub fn new(last: FencingToken, mark: FencingToken, block: u64) -> Self {
        assert!(last <= mark, "a granted token is above the mark on disk");
        Self { last, mark, block, raising: None }
    }

    /// The last token that may have been granted so far.
    pub const fn last(&self) -> FencingToken {
        self.last
    }

    /// The next token, if one may be granted. Raises the mark in time.
    pub(super) fn take(&mut self, effects: &mut Effects<LockOutcome>) -> Option<FencingToken> {
        if self.raising.is_none() && self.mark.get() - self.last.get() <= self.block / 2 {
            let mark = self.mark.saturating_add(self.next_block());
            if mark > self.mark {
                let seq = effects.record(LockRecord::TokenMark(mark));
                self.raising = Some((seq, mark));
            }
        }
        if self.last == self.mark {
            return None;
        }
        self.last = self.last.saturating_add(1);
        debug_assert!(self.last <= self.mark);
        Some(self.last)
    }

    /// How many are reserved next.
    fn next_block(&self) -> u64 {
        self.block.saturating_mul(2).min(LARGEST_BLOCK)
    }

    pub(super) fn settle(&mut self, durable: Seq) {
        if let Some((_, mark)) = self.raising.take_if(|(seq, _)| *seq <= durable) {
            self.mark = mark;
            self.block = self.next_block();
        }
    }

    pub(super) fn rewind(&mut self, durable: Seq) {
        // `last` stays: a token that reached nobody is skipped, not granted twice.
        self.raising.take_if(|(seq, _)| *seq > durable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1000;
    const NOW: WallTime = WallTime::from_millis(1_795_000_000 * SECOND);

    fn token(number: u64) -> FencingToken {
        FencingToken::new(number).unwrap()
    }

    #[test]
    fn fencing_whichever_copy_is_restored_and_however_often_no_token_comes_twice() {
        // Two copies of one store: the second restore is of the older one.
        let granted_until = |from: FencingToken, seconds: u64| from.get() + seconds * 100_000;
        let first = after_restore(token(5_000_000), NOW);
        let later = WallTime::from_millis(NOW.as_millis() + 60 * SECOND);
        for copy in [0, 1, 5_000_000, first.get() - 1] {
            assert!(after_restore(token(copy), later).get() > granted_until(first, 60));
        }
        // A store that was never restored, after a year of nothing but grants.
        assert!(first.get() > granted_until(FencingToken::ZERO, 366 * 86_400));
    }

    #[test]
    fn fencing_a_clock_that_is_behind_does_not_lower_the_tokens() {
        let mark = after_restore(FencingToken::ZERO, NOW);
        for behind in [0, -5 * SECOND, NOW.as_millis() - 86_400 * SECOND] {
            let restored = after_restore(mark, WallTime::from_millis(behind));
            assert_eq!(restored.get(), mark.get() + LOST_AT_MOST);
        }
        let end = WallTime::from_millis(i64::MAX);
        assert_eq!(after_restore(mark, end), FencingToken::MAX);
    }

    #[test]
    fn fencing_a_clock_that_was_set_back_a_little_overtakes_the_tokens_again() {
        let mark = after_restore(FencingToken::ZERO, NOW);
        let back = WallTime::from_millis(NOW.as_millis() - 600 * SECOND);
        let restored = after_restore(mark, back);
        assert!(restored > mark);
        let older = WallTime::from_millis(NOW.as_millis() + 2 * SECOND);
        assert!(after_restore(FencingToken::ZERO, older) > restored, "of an older copy, later");
    }

    #[test]
    fn there_are_tokens_for_sixty_years_of_restores() {
        let then = WallTime::from_millis(NOW.as_millis() + 60 * 365 * 86_400 * SECOND);
        assert!(after_restore(FencingToken::ZERO, then) < FencingToken::MAX);
    }
}
