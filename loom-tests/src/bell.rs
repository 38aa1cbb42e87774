//! What the bell promises, at which the receiver of a mailbox sleeps.

use crate::{join, spawn};
use octostore_actors::{
    bell::{Bell, Woken},
    sync::{Arc, Mutex, lock},
};
use std::collections::VecDeque;

/// The shipped bell, or a flawed one.
pub trait Waking: Default + Send + Sync + 'static {
    /// As [`Bell::ring`].
    fn ring(&self);

    /// As [`Bell::sleep_unless`], without end to the patience.
    fn sleep_unless(&self, ready: impl FnOnce() -> bool);
}

impl Waking for Bell {
    fn ring(&self) {
        self.ring();
    }

    fn sleep_unless(&self, ready: impl FnOnce() -> bool) {
        assert_eq!(self.sleep_unless(ready, None), Woken::Rung);
    }
}

/// A queue beside a bell, as the channel of a mailbox is: the bell does not see into it.
#[derive(Default)]
struct Queue<B> {
    items: Mutex<VecDeque<u32>>,
    bell: B,
}

/// Two fill a queue while the third empties it and sleeps in between: it is woken, and gets all.
pub fn the_sleeper_gets_everything<B: Waking>() {
    let queue = Arc::new(Queue::<B>::default());
    let fillers = [1, 2].map(|item| {
        let queue = Arc::clone(&queue);
        spawn(move || {
            lock(&queue.items).push_back(item);
            queue.bell.ring();
        })
    });
    let mut got = 0;
    while got < 1 + 2 {
        let item = lock(&queue.items).pop_front();
        match item {
            Some(item) => got += item,
            None => queue.bell.sleep_unless(|| !lock(&queue.items).is_empty()),
        }
    }
    fillers.into_iter().for_each(join);
}
