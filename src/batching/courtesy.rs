//! Who goes first, on few cores: those who look before a crowd that a commit has answered, and the
//! journal before whatever else the runtime has to do, if it works for a few.

use octostore_actors::commit::CROWD;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

/// Lets the journal's thread run first. It may have been woken on the core of this one, and would wait for
/// as long as the system lets this one go on: milliseconds, for what takes it microseconds.
pub fn offer_the_core() {
    std::thread::yield_now();
}

/// Whether somebody looks, or asks something else that is answered at once.
///
/// A commit answers everybody who had waited for it, and to send all of that takes the runtime longer
/// than some fifty looks. Those who wait for the disk have waited long; so while somebody looks,
/// a few of them at a time go on, and who looks goes in between.
#[derive(Debug, Default)]
pub struct Lookers {
    /// So many times more they are taken to be about.
    left: AtomicU32,
}

/// After so many groups of [`ANSWERS_AT_ONCE`] answers without a look, nobody is taken to look any more: some fifty
/// milliseconds of a server that is busy.
pub const UNTIL_FORGOTTEN: u32 = 1024;

/// So many answers of a commit go together while somebody looks.
pub const ANSWERS_AT_ONCE: usize = 6;

impl Lookers {
    /// Somebody looks.
    pub fn have_looked(&self) {
        self.left.store(UNTIL_FORGOTTEN, Ordering::Relaxed);
    }

    /// Counts down, and says whether there are some; asked once for each few answers. That a look
    /// which comes in between is overlooked does no harm: where it matters, there are more.
    pub fn are_about(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }
}

/// Those who have asked for what must be on disk, and have no answer yet.
///
/// For the few of them the journal's thread wakes three times: for them, for the disk, and for the
/// disk again. Each time it may find the cores taken by a runtime that is busy with everybody else.
/// So the runtime offers its own a few times before they have their answers; not more often, as it is
/// the system that decides who gets it, and when it comes back. Where they are a [`CROWD`], the journal has work to
/// begin with when it can, and to be interrupted costs everybody more.
#[derive(Debug, Default)]
pub struct Waiters {
    waiting: AtomicUsize,
    /// How many were answered, whoever they are, since the latest of them began to wait.
    answered: AtomicU32,
}

/// The core is offered after so many answers to others, which take some fifty microseconds, and then after
/// twice as many each time.
const FIRST: u32 = 8;

/// After so many, it is not offered any more.
const LAST: u32 = 64;

impl Waiters {
    /// One more waits for this `answer`, until what is given here is dropped.
    pub fn wait<F>(self: &Arc<Self>, answer: F) -> Waits<F> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.answered.store(0, Ordering::Relaxed);
        Waits { answer, waiters: Arc::clone(self) }
    }

    /// Somebody, whoever it is, was answered: offers the core if it is time to.
    pub fn let_the_journal_go_on(&self) {
        if self.are_to_be_thought_of() {
            offer_the_core();
        }
    }

    /// How many wait, and how many were answered meanwhile.
    #[cfg(test)]
    pub fn counted(&self) -> (usize, u32) {
        (self.waiting.load(Ordering::Relaxed), self.answered.load(Ordering::Relaxed))
    }

    fn are_to_be_thought_of(&self) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed);
        if !(1..CROWD).contains(&waiting) {
            return false;
        }
        let answered = self.answered.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        answered.is_power_of_two() && (FIRST..=LAST).contains(&answered)
    }
}

/// The answer that one of the [`Waiters`] waits for.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Waits<F> {
    answer: F,
    waiters: Arc<Waiters>,
}

impl<F: Future + Unpin> Future for Waits<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut self.answer).poll(cx)
    }
}

impl<F> Drop for Waits<F> {
    fn drop(&mut self) {
        self.waiters.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const NEVER: [u32; 0] = [];

    /// After which of the next thousand answers the core is offered.
    fn offered(waiters: &Arc<Waiters>) -> Vec<u32> {
        (1..=1000).filter(|_| waiters.are_to_be_thought_of()).collect()
    }

    #[test]
    fn the_core_is_offered_a_few_times_while_a_few_wait_for_the_disk_and_not_for_nobody_or_many() {
        let waiters = Arc::new(Waiters::default());
        assert_eq!(offered(&waiters), NEVER, "nobody waits");
        let mut waiting = Vec::new();
        for _ in 1..CROWD {
            waiting.push(waiters.wait(pending::<()>()));
            assert_eq!(offered(&waiters), [8, 16, 32, 64]);
            assert_eq!(offered(&waiters), NEVER, "often enough");
        }
        waiting.push(waiters.wait(pending()));
        assert_eq!(offered(&waiters), NEVER, "many wait");
        waiting.pop();
        assert_eq!(offered(&waiters), [8, 16, 32, 64], "one has its answer");
        waiting.clear();
        assert_eq!(offered(&waiters), NEVER, "all have");
    }
}
