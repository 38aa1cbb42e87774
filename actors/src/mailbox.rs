//! The bounded mailbox of an actor: many senders, one receiver, first in first out.
//!
//! On threads it is a crossbeam channel, whose receiver sleeps at a [`Bell`](crate::bell::Bell).
//! loom cannot see into crossbeam, so under loom a stand-in of a mutex and threads that park
//! takes its place; both pass the same contract tests. The bell has a model of its own.

#[cfg(not(loom))]
mod channel;
#[cfg(any(loom, test))]
mod standin;
#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(not(loom))]
pub use channel::{Address, Arrivals, Mailbox, mailbox};
#[cfg(loom)]
pub use standin::{Address, Arrivals, Mailbox, mailbox};

/// Why a message was not taken. It comes back to its sender: nothing of it was executed.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<T> {
    /// The mailbox holds as many messages as it may.
    Full(T),
    /// The receiver is gone and will not come back.
    Closed(T),
}
