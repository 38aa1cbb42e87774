//! Who is told what, who is woken, and what comes home.

use super::*;
use crate::sync::block_on;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    task::Wake,
};

#[derive(Default)]
struct Returned(Mutex<Vec<u32>>);

impl Home<u32> for Returned {
    fn give_back(&self, value: u32) {
        lock(&self.0).push(value);
    }
}

fn slot() -> (Reply<u32>, Waiting<u32>, Arc<Returned>) {
    let home = Arc::new(Returned::default());
    let (reply, waiting) = reply::<u32>(Arc::clone(&home) as Arc<dyn Home<u32>>);
    (reply, waiting, home)
}

fn returned(home: &Returned) -> Vec<u32> {
    lock(&home.0).clone()
}

#[test]
fn a_sent_value_arrives_and_stays() {
    let (reply, waiting, home) = slot();
    reply.send(7);
    assert_eq!(block_on(waiting), Ok(7));
    assert!(returned(&home).is_empty());
}

#[test]
fn a_held_value_arrives_only_when_released() {
    let (reply, mut waiting, home) = slot();
    let held = reply.hold(7);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut waiting).poll(&mut cx).is_pending());
    held.release();
    assert_eq!(block_on(waiting), Ok(7));
    assert!(returned(&home).is_empty());
}

#[test]
fn a_refused_value_says_so_and_comes_home() {
    let (reply, waiting, home) = slot();
    reply.hold(7).refuse();
    assert_eq!(block_on(waiting), Err(Lost::StoreFull));
    assert_eq!(returned(&home), [7]);
}

#[test]
fn a_dropped_reply_says_that_the_outcome_is_unknown() {
    let (reply, waiting, _) = slot();
    drop(reply);
    assert_eq!(block_on(waiting), Err(Lost::OutcomeUnknown));

    let (reply, waiting, home) = slot();
    drop(reply.hold(7));
    assert_eq!(block_on(waiting), Err(Lost::OutcomeUnknown));
    assert!(returned(&home).is_empty());
}

#[test]
fn a_value_that_reaches_nobody_comes_home_once() {
    let (reply, waiting, home) = slot();
    drop(waiting);
    reply.send(1);
    assert_eq!(returned(&home), [1]);

    let (reply, waiting, home) = slot();
    reply.send(2);
    drop(waiting);
    assert_eq!(returned(&home), [2]);

    let (reply, waiting, home) = slot();
    let held = reply.hold(3);
    drop(waiting);
    assert!(returned(&home).is_empty(), "not let go yet");
    held.release();
    assert_eq!(returned(&home), [3]);

    let (reply, waiting, home) = slot();
    drop(waiting);
    reply.hold(4).refuse();
    assert_eq!(returned(&home), [4]);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Sleeper(AtomicUsize);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Sleeper {
    /// Waits in vain.
    fn sleep(self: &Arc<Self>, waiting: &mut Waiting<u32>) {
        let waker = Waker::from(Arc::clone(self));
        assert!(Pin::new(waiting).poll(&mut Context::from_waker(&waker)).is_pending());
    }

    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn one_outcome_whoever_waits_is_woken_once_whatever_there_is_to_tell() {
    let ways: [fn(Reply<u32>); 7] = [
        |reply| reply.send(7),
        |reply| reply.refuse(Lost::Overloaded),
        drop,
        |reply| reply.hold(7).release(),
        |reply| reply.hold(7).refuse(),
        |reply| drop(reply.hold(7)),
        |reply| WakeHere.wake(reply.hold(7).release_quietly().into_iter().collect()),
    ];
    for (number, tell) in ways.into_iter().enumerate() {
        let (reply, mut waiting, _home) = slot();
        let sleeper = Arc::new(Sleeper::default());
        sleeper.sleep(&mut waiting);
        tell(reply);
        assert_eq!(sleeper.woken(), 1, "way {number}");
        let told = Pin::new(&mut waiting).poll(&mut Context::from_waker(Waker::noop()));
        assert!(told.is_ready(), "way {number}");
    }
}

#[test]
fn one_outcome_of_those_who_waited_the_last_is_woken() {
    let (reply, mut waiting, _home) = slot();
    let (first, last) = (Arc::new(Sleeper::default()), Arc::new(Sleeper::default()));
    first.sleep(&mut waiting);
    last.sleep(&mut waiting);
    reply.send(7);
    assert_eq!((first.woken(), last.woken()), (0, 1));
}

#[test]
fn one_outcome_everybody_of_a_batch_is_woken() {
    let sleepers: Vec<_> = (0..5).map(|_| Arc::new(Sleeper::default())).collect();
    WakeHere.wake(sleepers.iter().map(|sleeper| Waker::from(Arc::clone(sleeper))).collect());
    assert!(sleepers.iter().all(|sleeper| sleeper.woken() == 1));
}
