//! The one-shot reply: made by a handler, completed by an actor, awaited by the handler.
//!
//! A value takes one of two ways. [`Reply::send`] lets it go at once. [`Reply::hold`] parks it
//! in the slot until the commit it depends on is on disk: the persistence actor then
//! [releases](Held::release) it, or [refuses](Held::refuse) it.
//!
//! Two promises hold on every way and in every order of events:
//! - whoever waits is told something, exactly once: a reply that is dropped says
//!   [`Lost::OutcomeUnknown`];
//! - a value that was let go and reached nobody, or was refused, comes back to its [`Home`],
//!   exactly once.

use crate::sync::{Arc, Mutex, lock};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// Where values go that reached nobody.
pub trait Home<T>: Send + Sync {
    /// Takes `value` back. Called on any thread, also from a destructor: must not block.
    fn give_back(&self, value: T);
}

/// For values that nobody needs back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nowhere;

impl<T> Home<T> for Nowhere {
    fn give_back(&self, _: T) {}
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The store had no room for it. It was undone: nothing was executed.
    #[error("the store has no room; nothing was executed")]
    StoreFull,
    /// The actor had no room for it. Nothing was executed.
    #[error("the mailbox is full; nothing was executed")]
    Overloaded,
    /// The process is going down in the middle of it. It may or may not have happened.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
}

/// Wakes those whom a batch of answers was told.
pub trait Alarm: Send + Sync {
    /// Wakes them all, now or as soon as their runtime gets to it. Must not block.
    fn wake(&self, sleepers: Vec<Waker>);
}

/// Wakes each in turn, here and now.
#[derive(Clone, Copy, Debug)]
pub struct WakeHere;

impl Alarm for WakeHere {
    fn wake(&self, sleepers: Vec<Waker>) {
        sleepers.into_iter().for_each(Waker::wake);
    }
}

/// Makes a reply and the future that waits for it.
pub fn reply<T>(home: Arc<dyn Home<T>>) -> (Reply<T>, Waiting<T>) {
    let slot = Arc::new(Slot {
        state: Mutex::new(State { phase: Phase::Open, parked: None, waker: None }),
        home,
    });
    (Reply(Some(Arc::clone(&slot))), Waiting(slot))
}

struct Slot<T> {
    state: Mutex<State<T>>,
    home: Arc<dyn Home<T>>,
}

struct State<T> {
    phase: Phase<T>,
    /// A value that waits for its commit. It may outlive the wait for it.
    parked: Option<T>,
    waker: Option<Waker>,
}

enum Phase<T> {
    /// Somebody waits and was told nothing yet.
    Open,
    /// Told; not picked up yet.
    Told(Result<T, Lost>),
    /// Nobody waits: the answer was picked up, or the wait was given up.
    Over,
}

impl<T> Slot<T> {
    /// Tells the answer to whoever waits; if nobody does, a value goes home. Returns whom to wake.
    #[must_use]
    fn tell(&self, answer: Result<T, Lost>) -> Option<Waker> {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Open => {
                state.phase = Phase::Told(answer);
                state.waker.take()
            }
            Phase::Over => {
                drop(state);
                if let Ok(value) = answer {
                    self.home.give_back(value);
                }
                None
            }
            Phase::Told(_) => unreachable!("a reply is consumed by its one answer"),
        }
    }
}

/// The right, and the duty, to answer once.
#[must_use = "whoever waits is told that the outcome is unknown when a reply is dropped"]
pub struct Reply<T>(Option<Arc<Slot<T>>>);

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

impl<T> Reply<T> {
    /// Lets `value` go at once. It depends on nothing that is not on disk.
    pub fn send(self, value: T) {
        wake(self.send_quietly(value));
    }

    /// The same, but leaves it to the caller to wake whoever waits.
    #[must_use = "whoever waits is not woken yet"]
    pub fn send_quietly(mut self, value: T) -> Option<Waker> {
        self.0.take().and_then(|slot| slot.tell(Ok(value)))
    }

    /// Says that nothing of the command was executed, and why.
    pub fn refuse(mut self, why: Lost) {
        wake(self.0.take().and_then(|slot| slot.tell(Err(why))));
    }
}

impl<T: Send + 'static> Reply<T> {
    /// Parks `value` until the commit it depends on has succeeded or failed.
    pub fn hold(mut self, value: T) -> Held {
        let slot = self.0.take();
        if let Some(slot) = &slot {
            lock(&slot.state).parked = Some(value);
        }
        Held(slot.map(|slot| slot as Arc<dyn Parked>))
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            wake(slot.tell(Err(Lost::OutcomeUnknown)));
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// An answer that waits for its commit. It does not say what kind of answer it is: the
/// persistence actor serves all domains alike.
#[must_use = "whoever waits is told that the outcome is unknown when a held reply is dropped"]
pub struct Held(Option<Arc<dyn Parked>>);

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

impl Held {
    /// Lets the answer go: what it depends on is on disk.
    pub fn release(self) {
        wake(self.release_quietly());
    }

    /// The same, but leaves it to the caller to wake whoever waits.
    #[must_use = "whoever waits is not woken yet"]
    pub fn release_quietly(mut self) -> Option<Waker> {
        self.0.take().and_then(|slot| slot.release())
    }

    /// Tells whoever waits that nothing was executed: what the answer depends on was undone. The
    /// value goes home.
    pub fn refuse(mut self) {
        if let Some(slot) = self.0.take() {
            slot.refuse();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.forget();
        }
    }
}

trait Parked: Send + Sync {
    fn release(&self) -> Option<Waker>;
    fn refuse(&self);
    fn forget(&self);
}

impl<T> Slot<T> {
    fn unpark(&self) -> Option<T> {
        lock(&self.state).parked.take()
    }
}

impl<T: Send> Parked for Slot<T> {
    fn release(&self) -> Option<Waker> {
        self.unpark().and_then(|value| self.tell(Ok(value)))
    }

    fn refuse(&self) {
        let value = self.unpark();
        wake(self.tell(Err(Lost::StoreFull)));
        if let Some(value) = value {
            self.home.give_back(value);
        }
    }

    fn forget(&self) {
        // The value does not go home: nobody knows whether what it speaks of came to be.
        drop(self.unpark());
        wake(self.tell(Err(Lost::OutcomeUnknown)));
    }
}

/// Waits for the answer. Dropping it gives up the wait; what then still comes goes home.
#[must_use = "futures do nothing unless polled"]
pub struct Waiting<T>(Arc<Slot<T>>);

impl<T> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

impl<T> Future for Waiting<T> {
    type Output = Result<T, Lost>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0.state);
        match std::mem::replace(&mut state.phase, Phase::Over) {
            Phase::Told(answer) => Poll::Ready(answer),
            Phase::Open => {
                state.phase = Phase::Open;
                // The waker of this poll, not of an earlier one: the future may have moved to
                // another task in between.
                match &mut state.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            Phase::Over => unreachable!("polled after it was ready"),
        }
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        let (phase, waker) = {
            let mut state = lock(&self.0.state);
            (std::mem::replace(&mut state.phase, Phase::Over), state.waker.take())
        };
        drop(waker);
        if let Phase::Told(Ok(value)) = phase {
            self.0.home.give_back(value);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
