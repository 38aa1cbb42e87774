//! Futures that are polled along with others, and seldom have anything to say.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Polls a future only when that has asked to be polled, and not each time its task is: a connection
/// is polled several times a request, and its timer once in a while.
#[derive(Debug)]
pub struct Rarely<'a, F> {
    future: Pin<&'a mut F>,
    asked: Arc<Asked>,
}

#[derive(Debug)]
struct Asked {
    /// Whether the future wants to be polled.
    due: AtomicBool,
    task: Mutex<Waker>,
}

impl Wake for Asked {
    fn wake(self: Arc<Self>) {
        self.due.store(true, Ordering::Release);
        self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

impl<'a, F: Future> Rarely<'a, F> {
    /// It is polled for the first time at once. Must stay in one task from then on.
    pub fn new(future: Pin<&'a mut F>) -> Self {
        let task = Mutex::new(Waker::noop().clone());
        Self { future, asked: Arc::new(Asked { due: AtomicBool::new(true), task }) }
    }
}

impl<F: Future> Future for Rarely<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Not swapped where it is not set: this is what most polls come to.
        if !self.asked.due.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.asked.due.store(false, Ordering::Release);
        self.asked.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
        let waker = Waker::from(Arc::clone(&self.asked));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, pin::pin};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn it_is_polled_when_it_has_asked_for_it_and_not_otherwise() {
        let (notify, mut polls) = (Notify::new(), 0);
        let mut told = pin!(notify.notified());
        let counted = pin!(poll_fn(|cx| {
            polls += 1;
            told.as_mut().poll(cx)
        }));
        let mut rarely = Rarely::new(counted);
        for _ in 0..10 {
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut rarely).poll(cx))).await;
            assert_eq!(polled, Poll::Pending);
        }
        notify.notify_one();
        // The task is woken too, or this would wait for ever.
        rarely.await;
        assert_eq!(polls, 2);
    }
}
