//! What a reply promises when its two ends move at once.

use crate::{join, spawn, wait_restlessly};
use octostore_actors::{
    reply::{Home, Lost, Reply},
    sync::{Arc, Mutex, lock},
};
use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// The answering end, of the shipped reply or of a flawed one.
pub trait Answering: Send + 'static {
    /// Answers, in the one of the two ways that this stands for.
    fn answer(self, value: u32);
}

impl Answering for Reply<u32> {
    fn answer(self, value: u32) {
        self.send(value);
    }
}

/// Answers by way of [`Reply::hold`].
pub struct Parked(pub Reply<u32>);

impl Answering for Parked {
    fn answer(self, value: u32) {
        self.0.hold(value).release();
    }
}

/// The waiting end, of the shipped reply or of a flawed one.
pub trait Awaiting: Future<Output = Result<u32, Lost>> + Unpin + Send + 'static {}

impl<F: Future<Output = Result<u32, Lost>> + Unpin + Send + 'static> Awaiting for F {}

/// What came home.
#[derive(Default)]
struct Returned(Mutex<Vec<u32>>);

impl Home<u32> for Returned {
    fn give_back(&self, value: u32) {
        lock(&self.0).push(value);
    }
}

/// Polls once, with a waker that wakes nobody.
pub(crate) fn look<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Whoever waits looks once and then gives up, while the answer comes: the answer is either
/// theirs or back home, and only one of the two.
pub fn an_answer_reaches_somebody<R: Answering, W: Awaiting>(
    reply: impl FnOnce(Arc<dyn Home<u32>>) -> (R, W),
) {
    let home = Arc::new(Returned::default());
    let (reply, mut waiting) = reply(Arc::clone(&home) as Arc<dyn Home<u32>>);
    let answers = spawn(move || reply.answer(7));
    let seen = look(&mut waiting);
    drop(waiting);
    join(answers);
    let home = lock(&home.0).clone();
    match seen {
        Some(answer) => assert_eq!((answer, home), (Ok(7), vec![])),
        None => assert_eq!(home, [7], "an answer was lost, or given back twice"),
    }
}

/// The future is polled in one task and then awaited in another, while the answer comes: the
/// task that waits last is the one that is woken.
pub fn the_last_waker_is_woken<R: Answering, W: Awaiting>(
    reply: impl FnOnce(Arc<dyn Home<u32>>) -> (R, W),
) {
    let home = Arc::new(Returned::default());
    let (reply, mut waiting) = reply(Arc::clone(&home) as Arc<dyn Home<u32>>);
    let answers = spawn(move || reply.answer(7));
    let answer = match look(&mut waiting) {
        Some(answer) => answer,
        None => join(spawn(move || wait_restlessly(waiting))),
    };
    assert_eq!(answer, Ok(7));
    join(answers);
    assert!(lock(&home.0).is_empty(), "it arrived and came home as well");
}

/// The answering end is dropped while somebody waits: they are told that nobody knows.
pub fn a_dropped_reply_is_noticed<R: Answering, W: Awaiting>(
    reply: impl FnOnce(Arc<dyn Home<u32>>) -> (R, W),
) {
    let home = Arc::new(Returned::default());
    let (reply, waiting) = reply(Arc::clone(&home) as Arc<dyn Home<u32>>);
    let drops = spawn(move || drop(reply));
    assert_eq!(wait_restlessly(waiting), Err(Lost::OutcomeUnknown));
    join(drops);
    assert!(lock(&home.0).is_empty(), "there was nothing to come home");
}
