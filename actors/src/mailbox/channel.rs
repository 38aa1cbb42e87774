//! The mailbox on threads: a crossbeam channel, and a bell.

use super::Refused;
use crate::bell::{Bell, Woken};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    },
    time::Duration,
};

/// Makes a mailbox that holds at most `capacity` messages.
pub fn mailbox<T>(capacity: NonZeroUsize) -> (Address<T>, Mailbox<T>) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity.get());
    let inner = Inner { receiver, shared: Arc::default() };
    let presence = Presence::begin(&inner.shared);
    (Address { sender, inner: inner.clone(), _presence: presence }, Mailbox(inner))
}

/// What both ends share, besides the channel.
#[derive(Default)]
struct Shared {
    /// The mailbox is gone.
    closed: AtomicBool,
    /// The receiver was called since it last waited.
    called: AtomicBool,
    /// How many addresses there are.
    senders: AtomicUsize,
    /// Where the receiver sleeps.
    bell: Bell,
}

/// A sender, as the receiver counts them: if the last is gone, that must not sleep on.
struct Presence(Arc<Shared>);

impl Presence {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.senders.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.senders.fetch_sub(1, Ordering::Release);
        self.0.bell.ring();
    }
}

/// What both ends have.
struct Inner<T> {
    /// To take from: also for a sender, when the mailbox is gone.
    receiver: Receiver<T>,
    shared: Arc<Shared>,
}

impl<T> Clone for Inner<T> {
    fn clone(&self) -> Self {
        Self { receiver: self.receiver.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<T> Inner<T> {
    fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::SeqCst)
    }

    /// Whether every sender is gone.
    fn is_abandoned(&self) -> bool {
        self.shared.senders.load(Ordering::Acquire) == 0
    }

    /// The mailbox is gone.
    ///
    /// A bounded crossbeam channel keeps what is in it as long as a sender lives; those messages must be
    /// dropped at once, because whoever waits for an answer learns from the drop that none will
    /// come. So the mailbox closes first and empties the channel afterwards, and a sender looks
    /// whether it was closed after it has sent: whichever comes second finds the message.
    fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.empty();
        self.shared.bell.ring();
    }

    /// See [`Inner::close`].
    fn after_send(&self) {
        fence(Ordering::SeqCst);
        if self.is_closed() {
            self.empty();
        }
    }

    fn call(&self) {
        // In this order: a receiver who is about to sleep finds the call, or is woken. And not a store:
        // who hears the second of two calls must see what the first was about.
        self.shared.called.swap(true, Ordering::Release);
        self.shared.bell.ring();
    }

    /// Sleeps until there may be news for the receiver.
    fn wait(&self, patience: Option<Duration>) -> Woken {
        let shared = &self.shared;
        let news = || {
            shared.called.load(Ordering::Relaxed)
                || !self.receiver.is_empty()
                || self.is_abandoned()
                || self.is_closed()
        };
        let woken = shared.bell.sleep_unless(news, patience);
        // Whoever called until here is heard: the receiver looks after this, and sees what was
        // there when it was called.
        if shared.called.swap(false, Ordering::Acquire) { Woken::Rung } else { woken }
    }

    fn empty(&self) {
        while self.receiver.try_recv().is_ok() {}
    }
}

/// Where to send to. Clones share the one mailbox.
pub struct Address<T> {
    sender: Sender<T>,
    inner: Inner<T>,
    /// Dropped after the sender, and so not counted when that is gone.
    _presence: Presence,
}

impl<T> Clone for Address<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            inner: self.inner.clone(),
            _presence: Presence::begin(&self.inner.shared),
        }
    }
}

impl<T> Address<T> {
    /// Puts `message` in, or gives it back at once.
    pub fn try_send(&self, message: T) -> Result<(), Refused<T>> {
        self.try_leave(message)?;
        self.wake();
        Ok(())
    }

    /// The same, but wakes nobody who waits for it: whoever leaves it sees to it that it is
    /// received, or [wakes](Address::wake) the receiver then.
    pub fn try_leave(&self, message: T) -> Result<(), Refused<T>> {
        if self.inner.is_closed() {
            return Err(Refused::Closed(message));
        }
        self.sender.try_send(message).map_err(|error| match error {
            TrySendError::Full(message) => Refused::Full(message),
            TrySendError::Disconnected(message) => Refused::Closed(message),
        })?;
        self.inner.after_send();
        Ok(())
    }

    /// Wakes the receiver, if it waits, to look again.
    pub fn wake(&self) {
        self.inner.shared.bell.ring();
    }

    /// Has the receiver look for something that is not in the mailbox: it hears that now, or when it
    /// waits next. Does not block, and takes no room.
    pub fn call(&self) {
        self.inner.call();
    }

    /// Puts `message` in, waiting for room. Gives it back if the receiver is gone.
    pub fn send(&self, message: T) -> Result<(), T> {
        if self.inner.is_closed() {
            return Err(message);
        }
        self.sender.send(message).map_err(|error| error.0)?;
        self.inner.after_send();
        self.wake();
        Ok(())
    }

    /// How many messages wait, at this moment.
    pub fn queued(&self) -> usize {
        self.sender.len()
    }
}

/// The receiving end. Dropping it drops the messages that are still in it.
pub struct Mailbox<T>(Inner<T>);

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T> Mailbox<T> {
    /// How to wait for messages without taking them.
    pub fn arrivals(&self) -> Arrivals<T> {
        Arrivals(self.0.clone())
    }

    /// Takes the next message if there is one.
    pub fn try_receive(&self) -> Option<T> {
        self.0.receiver.try_recv().ok()
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.0.receiver.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.0.receiver.is_empty()
    }

    /// Whether none waits, and none will: every sender is gone.
    pub fn is_over(&self) -> bool {
        // In this order: the last sender may have left something before it went.
        self.0.is_abandoned() && self.is_empty()
    }
}

/// Waits at a mailbox that is somebody else's. Whoever does so is its one receiver for that time.
pub struct Arrivals<T>(Inner<T>);

impl<T> Arrivals<T> {
    /// Waits until there is a message, somebody has [called](Address::call), or the mailbox or every
    /// sender is gone: for ever, or `patience` long. May also end without cause.
    pub fn wait(&self, patience: Option<Duration>) -> Woken {
        self.0.wait(patience)
    }

    /// As [`Address::call`].
    pub fn call(&self) {
        self.0.call();
    }
}
