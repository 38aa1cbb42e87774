//! What a list that many fill and one empties promises.

use crate::{join, spawn, wait_restlessly};
use octostore_actors::{
    gather::Gather,
    reply::{Home, reply},
    sync::Arc,
};
use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
};

/// The shipped list, or a flawed one.
pub trait Gathering<T>: Default + Send + Sync + 'static {
    /// As [`Gather::add`].
    fn add(&self, item: T);

    /// As [`Gather::take_at_most`].
    fn take_at_most(&self, most: usize) -> Vec<T>;

    /// Polls [`Gather::filled`].
    fn poll_filled(&self, cx: &mut Context<'_>) -> Poll<()>;
}

impl<T: Send + 'static> Gathering<T> for Gather<T> {
    fn add(&self, item: T) {
        self.add(item);
    }

    fn take_at_most(&self, most: usize) -> Vec<T> {
        self.take_at_most(most)
    }

    fn poll_filled(&self, cx: &mut Context<'_>) -> Poll<()> {
        std::pin::Pin::new(&mut self.filled()).poll(cx)
    }
}

fn collect<T>(gather: &impl Gathering<T>) -> Vec<T> {
    wait_restlessly(poll_fn(|cx| gather.poll_filled(cx)));
    // Less than there may be: the rest is for the next time.
    gather.take_at_most(2)
}

/// Two add while the third collects, two at a time: everything is collected, once, each one's in its order.
pub fn nothing_is_left_behind<G: Gathering<u32>>() {
    let gather = Arc::new(G::default());
    let fillers = [[1, 2], [11, 12]].map(|items| {
        let gather = Arc::clone(&gather);
        spawn(move || items.into_iter().for_each(|item| gather.add(item)))
    });
    let mut collected = Vec::new();
    while collected.len() < 4 {
        collected.extend(collect(&*gather));
    }
    fillers.into_iter().for_each(join);
    let (of_first, of_second): (Vec<_>, Vec<_>) =
        collected.into_iter().partition(|&item| item < 10);
    assert_eq!((of_first, of_second), (vec![1, 2], vec![11, 12]));
}

/// One thread answers and leaves it to another to wake whoever waits, as a commit does: they are
/// woken.
pub fn a_sleeper_is_woken_by_another<G: Gathering<Option<Waker>>>() {
    let gather = Arc::new(G::default());
    let (reply, waiting) = reply(Arc::new(Lost));
    let answers = {
        let gather = Arc::clone(&gather);
        spawn(move || {
            if let Some(sleeper) = reply.send_quietly(7) {
                gather.add(Some(sleeper));
            }
        })
    };
    let wakes = {
        let gather = Arc::clone(&gather);
        spawn(move || {
            // `None` is the end.
            while let Some(sleepers) = collect(&*gather).into_iter().collect::<Option<Vec<_>>>() {
                sleepers.into_iter().for_each(Waker::wake);
            }
        })
    };
    assert_eq!(wait_restlessly(waiting), Ok(7));
    join(answers);
    gather.add(None);
    join(wakes);
}

/// Nothing comes home here: whoever waits does so to the end.
struct Lost;

impl Home<u32> for Lost {
    fn give_back(&self, value: u32) {
        unreachable!("{value} reached nobody");
    }
}
