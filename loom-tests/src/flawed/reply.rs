//! Replies with a flaw.

use crate::reply::Answering;
use octostore_actors::{
    reply::{Home, Lost},
    sync::{Arc, Mutex, lock},
};
use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A second poll leaves the waker of the first in place.
    KeepsTheFirstWaker,
    /// Whoever gives up looks for an answer, and then leaves without having looked again.
    LooksThenLeaves,
    /// A reply that is dropped tells nobody.
    DropsSilently,
}

/// Makes a reply and the future that waits for it.
pub fn reply(home: Arc<dyn Home<u32>>, flaw: Flaw) -> (Reply, Waiting) {
    let slot = Arc::new(Slot {
        flaw,
        state: Mutex::new(State { answer: None, over: false, waker: None }),
        home,
    });
    (Reply(Some(Arc::clone(&slot))), Waiting(slot))
}

struct Slot {
    flaw: Flaw,
    state: Mutex<State>,
    home: Arc<dyn Home<u32>>,
}

struct State {
    answer: Option<Result<u32, Lost>>,
    over: bool,
    waker: Option<Waker>,
}

impl Slot {
    fn tell(&self, answer: Result<u32, Lost>) {
        let mut state = lock(&self.state);
        if state.over {
            drop(state);
            if let Ok(value) = answer {
                self.home.give_back(value);
            }
            return;
        }
        state.answer = Some(answer);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The answering end.
pub struct Reply(Option<Arc<Slot>>);

impl Answering for Reply {
    fn answer(mut self, value: u32) {
        if let Some(slot) = self.0.take() {
            slot.tell(Ok(value));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take()
            && slot.flaw != Flaw::DropsSilently
        {
            slot.tell(Err(Lost::OutcomeUnknown));
        }
    }
}

/// The waiting end.
pub struct Waiting(Arc<Slot>);

impl Future for Waiting {
    type Output = Result<u32, Lost>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0.state);
        if let Some(answer) = state.answer.take() {
            return Poll::Ready(answer);
        }
        if state.waker.is_none() || self.0.flaw != Flaw::KeepsTheFirstWaker {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        let answer = state.answer.take();
        if self.0.flaw == Flaw::LooksThenLeaves {
            drop(state);
            state = lock(&self.0.state);
        }
        state.over = true;
        drop(state);
        if let Some(Ok(value)) = answer {
            self.0.home.give_back(value);
        }
    }
}
