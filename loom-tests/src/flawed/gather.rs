//! Lists that many fill and one empties, with a flaw.

use crate::gather::Gathering;
use octostore_actors::sync::{Mutex, lock};
use std::task::{Context, Poll, Waker};

/// The collector looks for items, and leaves its waker in a second step.
#[derive(Debug)]
pub struct LooksThenWaits<T>(Mutex<List<T>>);

/// Whoever adds wakes the collector first.
#[derive(Debug)]
pub struct WakesThenAdds<T>(Mutex<List<T>>);

#[derive(Debug)]
struct List<T> {
    items: Vec<T>,
    collector: Option<Waker>,
}

impl<T> List<T> {
    fn empty() -> Mutex<Self> {
        Mutex::new(Self { items: Vec::new(), collector: None })
    }

    fn take_at_most(&mut self, most: usize) -> Vec<T> {
        self.items.drain(..most.min(self.items.len())).collect()
    }
}

impl<T> Default for LooksThenWaits<T> {
    fn default() -> Self {
        Self(List::empty())
    }
}

impl<T: Send + 'static> Gathering<T> for LooksThenWaits<T> {
    fn add(&self, item: T) {
        let collector = {
            let mut list = lock(&self.0);
            list.items.push(item);
            list.collector.take()
        };
        collector.into_iter().for_each(Waker::wake);
    }

    fn take_at_most(&self, most: usize) -> Vec<T> {
        lock(&self.0).take_at_most(most)
    }

    fn poll_filled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !lock(&self.0).items.is_empty() {
            return Poll::Ready(());
        }
        lock(&self.0).collector = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Default for WakesThenAdds<T> {
    fn default() -> Self {
        Self(List::empty())
    }
}

impl<T: Send + 'static> Gathering<T> for WakesThenAdds<T> {
    fn add(&self, item: T) {
        let collector = lock(&self.0).collector.take();
        collector.into_iter().for_each(Waker::wake);
        lock(&self.0).items.push(item);
    }

    fn take_at_most(&self, most: usize) -> Vec<T> {
        lock(&self.0).take_at_most(most)
    }

    fn poll_filled(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut list = lock(&self.0);
        if !list.items.is_empty() {
            return Poll::Ready(());
        }
        list.collector = Some(cx.waker().clone());
        Poll::Pending
    }
}
