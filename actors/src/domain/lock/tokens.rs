//! The fencing tokens that are still to be granted.

use super::{LockOutcome, LockRecord};
use crate::{
    domain::{Effects, values::FencingToken},
    progress::Seq,
};

/// The fencing tokens that may be granted: those after `last`, up to the `mark` on disk.
///
/// The mark is raised a block at a time, long before it is reached. A commit that is lost later
/// with a damaged journal can therefore take leases with it, but never make a token repeat.
#[derive(Debug)]
pub struct Tokens {
    pub(super) last: FencingToken,
    mark: FencingToken,
    block: u64,
    /// The next mark, on its way to the disk.
    raising: Option<(Seq, FencingToken)>,
}

impl Tokens {
    /// Continues after `last`, with `mark` on disk, raising it by `block` at a time.
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
            let mark = self.mark.saturating_add(self.block);
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

    pub(super) fn settle(&mut self, durable: Seq) {
        if let Some((_, mark)) = self.raising.take_if(|(seq, _)| *seq <= durable) {
            self.mark = mark;
        }
    }

    pub(super) fn rewind(&mut self, durable: Seq) {
        // `last` stays: a token that reached nobody is skipped, not granted twice.
        self.raising.take_if(|(seq, _)| *seq > durable);
    }
}
