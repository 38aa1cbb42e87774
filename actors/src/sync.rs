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
pub use loom::{future::block_on, thread};

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
