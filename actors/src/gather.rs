//! A list that many fill and one empties, and that wakes the one as seldom as it can.
//!
//! A thread or a task that sleeps costs much to wake, and one that is awake costs nothing. So
//! whoever adds wakes the collector only if it waits, and the collector takes all that is there, or
//! as much as it wants. Nothing is ever left in the list while the collector waits.

use crate::sync::{Mutex, lock};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// The list. Shared by those who add to it and the one who collects.
pub struct Gather<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    items: Vec<T>,
    /// The collector waits, and is woken with this. Only ever set while there are no items.
    collector: Option<Waker>,
}

impl<T> Default for Gather<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { items: Vec::new(), collector: None }) }
    }
}

impl<T> fmt::Debug for Gather<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gather")
    }
}

impl<T> Gather<T> {
    /// Adds one item behind those that are there, and says how many there are now. Does not block.
    pub fn add(&self, item: T) -> usize {
        self.change(|items| {
            items.push(item);
            items.len()
        })
    }

    /// Adds many items, in their order, behind those that are there. Does not block.
    pub fn append(&self, mut items: Vec<T>) {
        if !items.is_empty() {
            self.change(|there| there.append(&mut items));
        }
    }

    /// Takes all that is there, in the order it was added: nothing, if nothing is.
    pub fn take(&self) -> Vec<T> {
        self.take_at_most(usize::MAX)
    }

    /// Takes the first of what is there, `most` at most, and leaves the rest.
    pub fn take_at_most(&self, most: usize) -> Vec<T> {
        let items = &mut lock(&self.state).items;
        if items.len() <= most { std::mem::take(items) } else { items.drain(..most).collect() }
    }

    /// How many there are, at this moment.
    pub fn len(&self) -> usize {
        lock(&self.state).items.len()
    }

    /// Whether there are none, at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until there is something to take. Only one may wait at a time: a second takes the
    /// place of the first.
    pub fn filled(&self) -> Filled<'_, T> {
        Filled(self)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let (changed, collector) = {
            let mut state = lock(&self.state);
            (change(&mut state.items), state.collector.take())
        };
        // After the lock is free: who is woken may run at once, and takes it.
        if let Some(collector) = collector {
            collector.wake();
        }
        changed
    }
}

/// Resolves when there is something to take: see [`Gather::filled`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Filled<'a, T>(&'a Gather<T>);

impl<T> Future for Filled<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Looking and leaving the waker is one step, or an item that comes in between wakes nobody.
        let mut state = lock(&self.0.state);
        if state.items.is_empty() {
            state.collector = Some(cx.waker().clone());
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn items_are_taken_in_their_order_and_once() {
        let gather = Gather::default();
        gather.add(1);
        gather.append(vec![2, 3]);
        gather.add(4);
        assert_eq!((gather.take(), gather.take()), (vec![1, 2, 3, 4], vec![]));
        gather.append(vec![5, 6, 7]);
        let take = || gather.take_at_most(2);
        assert_eq!((take(), take(), take()), (vec![5, 6], vec![7], vec![]));
    }

    #[test]
    fn a_collector_that_waits_is_woken_once_and_one_that_does_not_is_left_alone() {
        let (gather, bell) = (Gather::default(), Arc::new(Bell::default()));
        let waker = Waker::from(Arc::clone(&bell));
        let is_filled = || Pin::new(&mut gather.filled()).poll(&mut Context::from_waker(&waker));
        let rung = || bell.0.load(Ordering::Relaxed);

        assert_eq!(is_filled(), Poll::Pending);
        gather.append(Vec::new());
        assert_eq!(rung(), 0, "there is nothing to take");
        gather.add(1);
        gather.add(2);
        assert_eq!(rung(), 1);
        assert_eq!(is_filled(), Poll::Ready(()));
        assert_eq!(gather.take(), [1, 2]);
        gather.add(3);
        assert_eq!(rung(), 1, "nobody waits");
        assert_eq!(is_filled(), Poll::Ready(()), "what came while nobody waited is noticed");
    }
}
