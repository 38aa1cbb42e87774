//! The bounded mailbox of an actor: many senders, one receiver, first in first out.
//!
//! On threads it is a crossbeam channel, whose receiver sleeps at a [`Bell`](crate::bell::Bell).
//! loom cannot see into crossbeam, so under loom a stand-in of a mutex and a condition variable
//! takes its place; both pass the same contract tests, below. The bell has a model of its own.

#[cfg(not(loom))]
pub use channel::{Address, Mailbox, mailbox};
#[cfg(loom)]
pub use standin::{Address, Mailbox, mailbox};

/// Why a message was not taken. It comes back to its sender: nothing of it was executed.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<T> {
    /// The mailbox holds as many messages as it may.
    Full(T),
    /// The receiver is gone and will not come back.
    Closed(T),
}

/// What a wait for the next message brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// The oldest message.
    Message(T),
    /// None came in the time given.
    TimedOut,
    /// The mailbox is empty and every sender is gone.
    Closed,
}

#[cfg(not(loom))]
mod channel {
    use super::{Received, Refused};
    use crate::bell::{Bell, Woken};
    use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};
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
        let rest = Rest { receiver, shared: Arc::default() };
        let presence = Presence::begin(&rest.shared);
        (Address { sender, rest: rest.clone(), _presence: presence }, Mailbox(rest))
    }

    /// What both ends share besides the channel.
    #[derive(Default)]
    struct Shared {
        /// The mailbox is gone.
        closed: AtomicBool,
        /// How many addresses there are.
        senders: AtomicUsize,
        /// Where the receiver sleeps.
        bell: Bell,
    }

    /// A sender, as the receiver counts them: if the last is gone, he must not sleep on.
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

    /// What is left in the channel when its mailbox is gone.
    ///
    /// A bounded crossbeam channel keeps it as long as a sender lives; its messages must be
    /// dropped at once, because whoever waits for an answer learns from the drop that none will
    /// come. So the mailbox closes first and empties the channel afterwards, and a sender looks
    /// whether it was closed after it has sent: whichever comes second finds the message.
    struct Rest<T> {
        receiver: Receiver<T>,
        shared: Arc<Shared>,
    }

    impl<T> Clone for Rest<T> {
        fn clone(&self) -> Self {
            Self { receiver: self.receiver.clone(), shared: Arc::clone(&self.shared) }
        }
    }

    impl<T> Rest<T> {
        fn is_closed(&self) -> bool {
            self.shared.closed.load(Ordering::SeqCst)
        }

        /// Whether every sender is gone.
        fn is_abandoned(&self) -> bool {
            self.shared.senders.load(Ordering::Acquire) == 0
        }

        fn close(&self) {
            self.shared.closed.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            self.empty();
        }

        fn after_send(&self) {
            fence(Ordering::SeqCst);
            if self.is_closed() {
                self.empty();
            }
            self.shared.bell.ring();
        }

        fn empty(&self) {
            while self.receiver.try_recv().is_ok() {}
        }
    }

    /// Where to send to. Clones share the one mailbox.
    pub struct Address<T> {
        sender: Sender<T>,
        rest: Rest<T>,
        /// Dropped after the sender, and so not counted when that is gone.
        _presence: Presence,
    }

    impl<T> Clone for Address<T> {
        fn clone(&self) -> Self {
            Self {
                sender: self.sender.clone(),
                rest: self.rest.clone(),
                _presence: Presence::begin(&self.rest.shared),
            }
        }
    }

    impl<T> Address<T> {
        /// Puts `message` in, or gives it back at once.
        pub fn try_send(&self, message: T) -> Result<(), Refused<T>> {
            if self.rest.is_closed() {
                return Err(Refused::Closed(message));
            }
            self.sender.try_send(message).map_err(|error| match error {
                TrySendError::Full(message) => Refused::Full(message),
                TrySendError::Disconnected(message) => Refused::Closed(message),
            })?;
            self.rest.after_send();
            Ok(())
        }

        /// Puts `message` in, waiting for room. Gives it back if the receiver is gone.
        pub fn send(&self, message: T) -> Result<(), T> {
            if self.rest.is_closed() {
                return Err(message);
            }
            self.sender.send(message).map_err(|error| error.0)?;
            self.rest.after_send();
            Ok(())
        }

        /// How many messages wait, at this moment.
        pub fn queued(&self) -> usize {
            self.sender.len()
        }
    }

    /// The receiving end. Dropping it drops the messages that are still in it.
    pub struct Mailbox<T>(Rest<T>);

    impl<T> Drop for Mailbox<T> {
        fn drop(&mut self) {
            self.0.close();
        }
    }

    impl<T> Mailbox<T> {
        /// Waits for the next message: for ever, or `patience` long.
        pub fn receive(&self, patience: Option<Duration>) -> Received<T> {
            loop {
                match self.0.receiver.try_recv() {
                    Ok(message) => return Received::Message(message),
                    Err(TryRecvError::Disconnected) => return Received::Closed,
                    Err(TryRecvError::Empty) => {}
                }
                let news = || !self.is_empty() || self.0.is_abandoned();
                if self.0.shared.bell.sleep_unless(news, patience) == Woken::TimedOut {
                    return Received::TimedOut;
                }
            }
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
    }
}

#[cfg(any(loom, test))]
mod standin {
    use super::{Received, Refused};
    use crate::sync::{Arc, Condvar, Mutex, lock};
    use std::{collections::VecDeque, num::NonZeroUsize, sync::PoisonError, time::Duration};

    /// As [`super::mailbox`] promises.
    pub fn mailbox<T>(capacity: NonZeroUsize) -> (Address<T>, Mailbox<T>) {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                capacity: capacity.get(),
                senders: 1,
                receiving: true,
            }),
            arrived: Condvar::new(),
            room: Condvar::new(),
        });
        (Address(Arc::clone(&shared)), Mailbox(shared))
    }

    struct Shared<T> {
        state: Mutex<State<T>>,
        /// A message came, or the last sender went.
        arrived: Condvar,
        /// A message was taken, or the receiver went.
        room: Condvar,
    }

    struct State<T> {
        queue: VecDeque<T>,
        capacity: usize,
        senders: usize,
        receiving: bool,
    }

    /// As [`super::Address`] promises.
    pub struct Address<T>(Arc<Shared<T>>);

    impl<T> Clone for Address<T> {
        fn clone(&self) -> Self {
            lock(&self.0.state).senders += 1;
            Self(Arc::clone(&self.0))
        }
    }

    impl<T> Drop for Address<T> {
        fn drop(&mut self) {
            lock(&self.0.state).senders -= 1;
            self.0.arrived.notify_one();
        }
    }

    impl<T> Address<T> {
        /// As [`super::Address::try_send`] promises.
        pub fn try_send(&self, message: T) -> Result<(), Refused<T>> {
            let mut state = lock(&self.0.state);
            if !state.receiving {
                return Err(Refused::Closed(message));
            }
            if state.queue.len() == state.capacity {
                return Err(Refused::Full(message));
            }
            state.queue.push_back(message);
            drop(state);
            self.0.arrived.notify_one();
            Ok(())
        }

        /// As [`super::Address::send`] promises.
        pub fn send(&self, message: T) -> Result<(), T> {
            let mut state = lock(&self.0.state);
            while state.receiving && state.queue.len() == state.capacity {
                state = self.0.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !state.receiving {
                return Err(message);
            }
            state.queue.push_back(message);
            drop(state);
            self.0.arrived.notify_one();
            Ok(())
        }

        /// As [`super::Address::queued`] promises.
        pub fn queued(&self) -> usize {
            lock(&self.0.state).queue.len()
        }
    }

    /// As [`super::Mailbox`] promises.
    pub struct Mailbox<T>(Arc<Shared<T>>);

    impl<T> Drop for Mailbox<T> {
        fn drop(&mut self) {
            let left = {
                let mut state = lock(&self.0.state);
                state.receiving = false;
                std::mem::take(&mut state.queue)
            };
            self.0.room.notify_all();
            // Outside the lock: a message may own what sends to this very mailbox.
            drop(left);
        }
    }

    impl<T> Mailbox<T> {
        /// As [`super::Mailbox::receive`] promises; under loom no patience ever ends.
        pub fn receive(&self, patience: Option<Duration>) -> Received<T> {
            let mut state = lock(&self.0.state);
            loop {
                if let Some(message) = state.queue.pop_front() {
                    drop(state);
                    self.0.room.notify_one();
                    return Received::Message(message);
                }
                if state.senders == 0 {
                    return Received::Closed;
                }
                let Some(patience) = patience else {
                    state = self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                };
                let (guard, wait) = self
                    .0
                    .arrived
                    .wait_timeout(state, patience)
                    .unwrap_or_else(PoisonError::into_inner);
                state = guard;
                if wait.timed_out() && state.queue.is_empty() {
                    return Received::TimedOut;
                }
            }
        }

        /// As [`super::Mailbox::try_receive`] promises.
        pub fn try_receive(&self) -> Option<T> {
            let message = lock(&self.0.state).queue.pop_front();
            if message.is_some() {
                self.0.room.notify_one();
            }
            message
        }

        /// As [`super::Mailbox::len`] promises.
        pub fn len(&self) -> usize {
            lock(&self.0.state).queue.len()
        }

        /// As [`super::Mailbox::is_empty`] promises.
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        hint::spin_loop,
        num::NonZeroUsize,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    /// The contract both mailboxes keep. What needs two threads stands in `loom-tests`.
    macro_rules! contract {
        ($name:ident, $mailbox:path) => {
            mod $name {
                use crate::mailbox::{Received, Refused};
                use std::{num::NonZeroUsize, sync::Arc, time::Duration};
                use $mailbox as open;

                fn capacity(n: usize) -> NonZeroUsize {
                    NonZeroUsize::new(n).unwrap()
                }

                #[test]
                fn messages_come_out_in_the_order_they_went_in() {
                    let (address, mailbox) = open(capacity(3));
                    for n in 1..=3 {
                        address.try_send(n).unwrap();
                    }
                    assert_eq!((mailbox.len(), address.queued()), (3, 3));
                    assert_eq!(mailbox.receive(None), Received::Message(1));
                    assert_eq!(mailbox.try_receive(), Some(2));
                    assert_eq!(mailbox.receive(Some(Duration::ZERO)), Received::Message(3));
                    assert!(mailbox.is_empty());
                }

                #[test]
                fn a_full_mailbox_gives_the_message_back() {
                    let (address, mailbox) = open(capacity(1));
                    address.try_send('a').unwrap();
                    assert_eq!(address.try_send('b'), Err(Refused::Full('b')));
                    assert_eq!(mailbox.try_receive(), Some('a'));
                    assert_eq!(address.try_send('b'), Ok(()));
                }

                #[test]
                fn an_empty_mailbox_times_out_while_a_sender_lives() {
                    let (address, mailbox) = open::<u8>(capacity(1));
                    assert_eq!(mailbox.try_receive(), None);
                    assert_eq!(mailbox.receive(Some(Duration::ZERO)), Received::TimedOut);
                    drop(address);
                    assert_eq!(mailbox.receive(Some(Duration::ZERO)), Received::Closed);
                }

                #[test]
                fn what_was_sent_is_received_after_the_last_sender_went() {
                    let (address, mailbox) = open(capacity(2));
                    let second = address.clone();
                    address.try_send(1).unwrap();
                    drop(address);
                    second.send(2).unwrap();
                    drop(second);
                    assert_eq!(mailbox.receive(None), Received::Message(1));
                    assert_eq!(mailbox.receive(None), Received::Message(2));
                    assert_eq!(mailbox.receive(None), Received::Closed);
                }

                #[test]
                fn a_dropped_receiver_closes_and_drops_what_is_queued() {
                    let (address, mailbox) = open(capacity(1));
                    let message = Arc::new(());
                    address.try_send(Arc::clone(&message)).unwrap();
                    drop(mailbox);
                    assert_eq!(Arc::strong_count(&message), 1, "the queued message was dropped");
                    assert_eq!(
                        address.try_send(Arc::clone(&message)),
                        Err(Refused::Closed(Arc::clone(&message)))
                    );
                    assert_eq!(address.send(Arc::clone(&message)), Err(message));
                }
            }
        };
    }

    contract!(channel, crate::mailbox::channel::mailbox);
    contract!(standin, crate::mailbox::standin::mailbox);

    /// Waits until the other thread is here too.
    fn meet(here: &AtomicUsize, round: usize) {
        here.fetch_add(1, Ordering::SeqCst);
        let mut spins = 0_u32;
        while here.load(Ordering::SeqCst) < 2 * round {
            spins += 1;
            if spins.is_multiple_of(1_000) { std::thread::yield_now() } else { spin_loop() }
        }
    }

    /// loom does not see into the channel: here two real threads meet, at another moment each time.
    #[test]
    fn one_outcome_what_is_sent_while_the_mailbox_closes_is_dropped_or_comes_back() {
        const ROUNDS: usize = 100_000;
        let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let ends: Vec<_> = (0..ROUNDS).map(|_| super::mailbox(NonZeroUsize::MIN)).collect();
        let (addresses, mailboxes): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        let mut left = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (round, mailbox) in mailboxes.into_iter().enumerate() {
                    meet(&begun, round + 1);
                    (0..round / 16 % 16).for_each(|_| spin_loop());
                    drop(mailbox);
                    meet(&ended, round + 1);
                }
            });
            for (round, address) in addresses.into_iter().enumerate() {
                let message = Arc::new(());
                meet(&begun, round + 1);
                (0..round % 16).for_each(|_| spin_loop());
                // What comes back is dropped here.
                drop(address.try_send(Arc::clone(&message)));
                meet(&ended, round + 1);
                left.extend((Arc::strong_count(&message) > 1).then_some(round));
            }
        });
        assert!(left.is_empty(), "nobody will look at what was sent in the rounds {left:?}");
    }
}
