//! The only place that knows std from loom. Everything that synchronizes imports from here,
//! but the mailbox's channel, which loom cannot see into.

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
pub use {
    self::loom_only::{Baton, BatonGuard, block_on},
    loom::thread,
};

// Reference counts only keep things alive here; no algorithm depends on the ordering a count
// gives. loom's own `Arc` cannot become an `Arc<dyn Trait>`, so the models use std's as well.
pub use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::TryLockError;

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

/// Has what a [`Baton`] guards, until it is dropped.
#[cfg(not(loom))]
pub type BatonGuard<'a, T> = MutexGuard<'a, T>;

/// What one thread at a time has, and others can find taken.
#[cfg(not(loom))]
pub struct Baton<T>(Mutex<T>);

#[cfg(not(loom))]
impl<T> Baton<T> {
    /// Nobody has it.
    pub fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Waits until it is free, and takes it until the guard is dropped.
    pub fn take(&self) -> BatonGuard<'_, T> {
        lock(&self.0)
    }

    /// Takes it if it is free.
    pub fn try_take(&self) -> Option<BatonGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(loom)]
mod loom_only {
    use super::{
        Arc,
        thread::{self, Thread},
    };
    use std::{
        mem::replace,
        ops::{Deref, DerefMut},
        pin::pin,
        sync::{Mutex, MutexGuard, PoisonError},
        task::{Context, Poll, Wake, Waker},
    };

    /// As outside of loom, whose own `try_lock` waits for whoever takes the mutex in that moment.
    pub struct Baton<T> {
        state: super::Mutex<Holding>,
        /// That of std: by the state nobody ever waits for it.
        value: Mutex<T>,
    }

    struct Holding {
        taken: bool,
        waiting: Vec<Thread>,
    }

    impl<T> Baton<T> {
        /// It is free.
        pub fn new(value: T) -> Self {
            let state = super::Mutex::new(Holding { taken: false, waiting: Vec::new() });
            Self { state, value: Mutex::new(value) }
        }

        /// Waits until it is free.
        pub fn take(&self) -> BatonGuard<'_, T> {
            loop {
                if let Some(guard) = self.take_or(|holding| holding.waiting.push(thread::current()))
                {
                    return guard;
                }
                thread::park();
            }
        }

        /// `None` if somebody has it.
        pub fn try_take(&self) -> Option<BatonGuard<'_, T>> {
            self.take_or(|_| ())
        }

        fn take_or(&self, taken: impl FnOnce(&mut Holding)) -> Option<BatonGuard<'_, T>> {
            let mut holding = super::lock(&self.state);
            if holding.taken {
                taken(&mut holding);
                return None;
            }
            holding.taken = true;
            let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
            Some(BatonGuard { baton: self, value: Some(value) })
        }
    }

    /// Whoever has it; gives it back when it is dropped.
    pub struct BatonGuard<'a, T> {
        baton: &'a Baton<T>,
        /// There until it is dropped.
        value: Option<MutexGuard<'a, T>>,
    }

    impl<T> Deref for BatonGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.value.as_ref().expect("it is not dropped")
        }
    }

    impl<T> DerefMut for BatonGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.value.as_mut().expect("it is not dropped")
        }
    }

    impl<T> Drop for BatonGuard<'_, T> {
        fn drop(&mut self) {
            self.value = None;
            let mut holding = super::lock(&self.baton.state);
            holding.taken = false;
            holding.waiting.drain(..).for_each(|thread| thread.unpark());
        }
    }

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
