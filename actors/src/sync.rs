//! The only place that knows std from loom. Everything that synchronizes imports from here.

#[cfg(not(loom))]
pub use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
#[cfg(not(loom))]
pub use {pollster::block_on, std::thread};

#[cfg(loom)]
pub use loom::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
#[cfg(loom)]
pub use {self::loom_only::block_on, loom::thread};

// Reference counts only keep things alive here; no algorithm depends on the ordering a count
// gives. loom's own `Arc` cannot become an `Arc<dyn Trait>`, so the models use std's as well.
pub use std::sync::Arc;

/// Lets other threads run first, if any can. Under loom, which tries every order anyway and would
/// try fewer after a yield, this does nothing.
pub fn let_others_run() {
    #[cfg(not(loom))]
    thread::yield_now();
}

/// Locks `mutex`, also after a panic of another holder: what is guarded here is changed in
/// single steps, so it is consistent even then, and the answers pending must still be given.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(loom)]
mod loom_only {
    use super::{
        Arc,
        thread::{self, Thread},
    };
    use std::{
        mem::replace,
        pin::pin,
        sync::{Mutex, PoisonError},
        task::{Context, Poll, Wake, Waker},
    };

    #[derive(PartialEq)]
    enum State {
        Awake,
        Asleep,
        /// Woken before it slept.
        Woken,
    }

    /// Whoever waits. Its mutex is that of std: loom need not try the orders in which it is locked,
    /// for a future looks, and leaves its waker, under a lock that loom knows.
    struct Sleeper(Thread, Mutex<State>);

    impl Sleeper {
        fn turn(&self, state: State) -> State {
            replace(&mut *self.1.lock().unwrap_or_else(PoisonError::into_inner), state)
        }
    }

    impl Wake for Sleeper {
        fn wake(self: Arc<Self>) {
            if self.turn(State::Woken) == State::Asleep {
                self.0.unpark();
            }
        }
    }

    /// Waits for `future`.
    ///
    /// As [`loom::future::block_on`] does, but with fewer steps for loom to try in every order: that
    /// one is also woken without cause, and counts its wakers for all threads to see. What a reply
    /// or a list does then, models of their own explore.
    pub fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        let sleeper = Arc::new(Sleeper(thread::current(), Mutex::new(State::Awake)));
        let waker = Waker::from(Arc::clone(&sleeper));
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            if sleeper.turn(State::Asleep) != State::Woken {
                thread::park();
            }
            sleeper.turn(State::Awake);
        }
    }
}
