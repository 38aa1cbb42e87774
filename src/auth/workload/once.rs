//! Which tokens were used, of those that are accepted once.

use octostore_actors::domain::values::WallTime;
use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a token is known by.
pub type Mark = [u8; 32];

/// The tokens that were used, each until it has expired. They are kept in memory, and so
/// forgotten when the process ends.
#[derive(Debug)]
pub struct Used {
    capacity: usize,
    marks: Mutex<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    all: HashSet<Mark>,
    by_end: BTreeSet<(WallTime, Mark)>,
}

/// Why a token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotUse {
    /// It was used.
    Again,
    /// As many as can be remembered were used and have not expired.
    Full,
}

/// The use of a token, which may be one that is accepted as often as it is shown. Whoever drops this
/// unspent has traded it for nothing that reached anybody: it can be used again.
#[derive(Debug)]
pub struct OneUse {
    used: Arc<Used>,
    /// With when it expires; `None` if there is nothing to remember.
    mark: Option<(Mark, WallTime)>,
}

impl OneUse {
    /// Uses the token of this mark, which is refused as expired from then on.
    ///
    /// # Errors
    /// See [`CannotUse`].
    pub(super) fn begin(
        used: &Arc<Used>,
        mark: Option<(Mark, WallTime)>,
        now: WallTime,
    ) -> Result<Self, CannotUse> {
        if let Some((mark, end)) = mark {
            used.mark(mark, end, now)?;
        }
        Ok(Self { used: Arc::clone(used), mark })
    }

    /// It has bought something: it was used for good.
    pub fn spend(mut self) {
        self.mark = None;
    }
}

impl Drop for OneUse {
    fn drop(&mut self) {
        if let Some((mark, end)) = self.mark {
            self.used.forget(mark, end);
        }
    }
}

impl Used {
    /// None, and never more than `capacity`.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, marks: Mutex::default() }
    }

    /// Uses a token that is refused as expired from `end` on.
    ///
    /// # Errors
    /// See [`CannotUse`].
    fn mark(&self, mark: Mark, end: WallTime, now: WallTime) -> Result<(), CannotUse> {
        let mut marks = self.lock();
        while marks.by_end.first().is_some_and(|&(end, _)| end <= now) {
            if let Some((_, expired)) = marks.by_end.pop_first() {
                marks.all.remove(&expired);
            }
        }
        if marks.all.contains(&mark) {
            return Err(CannotUse::Again);
        }
        if marks.all.len() >= self.capacity {
            return Err(CannotUse::Full);
        }
        marks.all.insert(mark);
        marks.by_end.insert((end, mark));
        Ok(())
    }

    /// The token was not used after all.
    fn forget(&self, mark: Mark, end: WallTime) {
        let mut marks = self.lock();
        marks.all.remove(&mark);
        marks.by_end.remove(&(end, mark));
    }

    fn lock(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> WallTime {
        WallTime::from_millis(seconds * 1000)
    }

    #[test]
    fn a_token_is_used_once_until_it_has_expired() {
        let used = Used::new(10);
        assert_eq!(used.mark([1; 32], at(100), at(0)), Ok(()));
        assert_eq!(used.mark([1; 32], at(100), at(1)), Err(CannotUse::Again));
        assert_eq!(used.mark([1; 32], at(100), at(99)), Err(CannotUse::Again));
        assert_eq!(used.mark([2; 32], at(100), at(99)), Ok(()));
        // From here on the token itself is refused as expired: nothing need be remembered.
        assert_eq!(used.mark([3; 32], at(200), at(100)), Ok(()));
        assert_eq!(used.marks.lock().unwrap().all.len(), 1);
    }

    #[test]
    fn when_no_more_can_be_remembered_none_is_accepted() {
        let used = Used::new(2);
        assert_eq!(used.mark([1; 32], at(10), at(0)), Ok(()));
        assert_eq!(used.mark([2; 32], at(20), at(0)), Ok(()));
        assert_eq!(used.mark([3; 32], at(30), at(0)), Err(CannotUse::Full));
        assert_eq!(used.mark([1; 32], at(10), at(0)), Err(CannotUse::Again));
        assert_eq!(used.mark([3; 32], at(30), at(10)), Ok(()), "the first has expired");
    }

    #[test]
    fn a_token_that_was_not_used_after_all_can_be() {
        let used = Used::new(1);
        assert_eq!(used.mark([1; 32], at(10), at(0)), Ok(()));
        used.forget([1; 32], at(10));
        assert_eq!(used.mark([2; 32], at(20), at(0)), Ok(()));
        used.forget([2; 32], at(20));
        assert!(used.lock().by_end.is_empty(), "nothing is kept of what was not used");
        assert_eq!(used.mark([1; 32], at(10), at(0)), Ok(()));
    }
}
