//! The timer hyper asks about slow heads of requests: coarse, and almost free.
//!
//! tokio's own would be armed and disarmed once a request. Here a deadline is only looked at when
//! the connection is polled, and each connection sees to it that it is polled now and then.

use crate::clock::recent_instant;
use hyper::rt::{Sleep, Timer};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// Makes deadlines that nobody is woken for.
#[derive(Clone, Copy, Debug)]
pub struct CoarseTimer;

/// How soon a connection is polled for the first time: one that is used once, and no more, comes to
/// rest soon.
pub const FIRST_POLL: Duration = Duration::from_millis(50);

/// How long after that a connection with deadlines of `timeout` is polled once more, and so on: ever
/// less often, but so that its deadlines are noticed no more than a quarter late.
pub fn next_poll(last: Duration, timeout: Duration) -> Duration {
    (last * 2).min((timeout / 4).clamp(FIRST_POLL, Duration::from_secs(1)))
}

impl Timer for CoarseTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(CoarseSleep { deadline })
    }

    /// As it was at the last tick of the system, some milliseconds ago.
    fn now(&self) -> Instant {
        recent_instant()
    }
}

/// It took too long.
#[derive(Clone, Copy, Debug)]
pub struct TooSlow;

/// What comes of `work`, which is a part of a connection and polled with it, so that its deadline is
/// noticed when those of the connection are.
///
/// # Errors
/// It was not done so long after it was polled for the first time.
pub async fn within<F: Future>(patience: Duration, work: F) -> Result<F::Output, TooSlow> {
    let (mut work, mut deadline) = (pin!(work), None);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        let now = CoarseTimer.now();
        if now >= *deadline.get_or_insert(now + patience) {
            Poll::Ready(Err(TooSlow))
        } else {
            Poll::Pending
        }
    })
    .await
}

struct CoarseSleep {
    deadline: Instant,
}

impl Sleep for CoarseSleep {}

impl Future for CoarseSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if CoarseTimer.now() >= self.deadline { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_noticed_no_more_than_a_quarter_late() {
        for timeout in [100, 1_000, 3_000, 10_000, 60_000].map(Duration::from_millis) {
            let mut every = FIRST_POLL;
            for _ in 0..20 {
                every = next_poll(every, timeout);
                assert!(every <= (timeout / 4).max(FIRST_POLL), "{every:?} of {timeout:?}");
                assert!(every <= Duration::from_secs(1), "{every:?} of {timeout:?}");
            }
            assert!(every > FIRST_POLL || timeout / 4 < FIRST_POLL, "ever less often");
        }
    }
}
