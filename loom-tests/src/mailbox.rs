//! What a mailbox promises to two threads. What it promises to one stands in its own tests.

use crate::{join, spawn};
use octostore_actors::mailbox::{Address, Mailbox, Refused};
use octostore_actors::sync::Arc;

/// The sending side, of the shipped mailbox or of a flawed one.
pub trait Sending<T>: Clone + Send + 'static {
    /// As [`Address::try_send`].
    ///
    /// # Errors
    /// As there.
    fn try_send(&self, message: T) -> Result<(), Refused<T>>;

    /// As [`Address::send`].
    ///
    /// # Errors
    /// As there.
    fn send(&self, message: T) -> Result<(), T>;
}

/// The receiving side, of the shipped mailbox or of a flawed one.
pub trait Receiving<T>: Send + 'static {
    /// Waits for the next message, as the shipped loops do; `None` is that no more will come.
    fn receive(&self) -> Option<T>;

    /// As [`Mailbox::len`].
    fn waiting(&self) -> usize;
}

impl<T: Send + 'static> Sending<T> for Address<T> {
    fn try_send(&self, message: T) -> Result<(), Refused<T>> {
        self.try_send(message)
    }

    fn send(&self, message: T) -> Result<(), T> {
        self.send(message)
    }
}

impl<T: Send + 'static> Receiving<T> for Mailbox<T> {
    fn receive(&self) -> Option<T> {
        loop {
            if let Some(message) = self.try_receive() {
                return Some(message);
            }
            if self.is_over() {
                return None;
            }
            self.arrivals().wait(None);
        }
    }

    fn waiting(&self) -> usize {
        self.len()
    }
}

/// Who sent it, and which of theirs it is.
pub type Letter = (char, u8);

/// Two senders, who wait for room, and one receiver, who waits for letters: every letter comes
/// out once, each sender's in order, and then the mailbox says that it is closed.
pub fn every_message_arrives_in_order(
    (address, mailbox): (impl Sending<Letter>, impl Receiving<Letter>),
) {
    let other = address.clone();
    let a = spawn(move || {
        for n in 1..=2 {
            assert_eq!(address.send(('a', n)), Ok(()));
        }
    });
    let b = spawn(move || assert_eq!(other.send(('b', 1)), Ok(())));
    let letters: Vec<Letter> = std::iter::from_fn(|| mailbox.receive()).collect();
    join(a);
    join(b);
    let of = |sender| letters.iter().copied().filter(move |(from, _)| *from == sender);
    assert!(of('a').eq([('a', 1), ('a', 2)]), "lost or out of order");
    assert!(of('b').eq([('b', 1)]), "lost or doubled");
}

/// Two senders for the one place of an empty mailbox: one gets it, the other its message back.
pub fn one_place_is_given_once((address, mailbox): (impl Sending<Letter>, impl Receiving<Letter>)) {
    let other = address.clone();
    let a = spawn(move || address.try_send(('a', 1)));
    let b = other.try_send(('b', 1));
    let a = join(a);
    assert_eq!(mailbox.waiting(), 1, "more messages than places");
    let expected = match (a, b) {
        (Ok(()), Err(Refused::Full(('b', 1)))) => ('a', 1),
        (Err(Refused::Full(('a', 1))), Ok(())) => ('b', 1),
        wrong => panic!("neither or both got the one place: {wrong:?}"),
    };
    assert_eq!(mailbox.receive(), Some(expected));
}

/// The last sender goes while the receiver waits for it: the receiver learns of it.
pub fn the_last_sender_is_missed(
    (address, mailbox): (impl Sending<Letter>, impl Receiving<Letter>),
) {
    let other = address.clone();
    let a = spawn(move || drop(address));
    let b = spawn(move || drop(other));
    assert_eq!(mailbox.receive(), None);
    join(a);
    join(b);
}

/// The receiver goes while one sender waits for room and another has just got in: neither waits
/// for ever, and no message outlives the mailbox, whatever its sender was told.
pub fn closing_wakes_and_drops(
    (address, mailbox): (impl Sending<Arc<()>>, impl Receiving<Arc<()>>),
) {
    let message = Arc::new(());
    assert_eq!(address.try_send(Arc::clone(&message)), Ok(()));
    let waits = {
        let (address, message) = (address.clone(), Arc::clone(&message));
        spawn(move || drop(address.send(message)))
    };
    drop(mailbox);
    drop(address.try_send(Arc::clone(&message)));
    join(waits);
    assert_eq!(Arc::strong_count(&message), 1, "a message outlived its mailbox");
}
