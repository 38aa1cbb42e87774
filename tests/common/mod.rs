//! What every test needs: a client, a server, and bounded patience.

mod answer;
mod asked;
pub mod browser;
mod client;
pub mod document;
pub mod github;
mod issuer;
pub mod jwt;
pub mod provider;
mod server;
pub mod terminal;

pub use answer::{Answer, is_stamp, is_uuid};
pub use client::{Address, Client, Connection, is_late, request};
pub use issuer::{Issuer, now};
pub use server::{Server, Setup, measured};

use std::time::{Duration, Instant};

/// The tokens of the two accounts of [`Setup::new`].
pub const ALICE: &str = "alice-token-5f0c";
pub const BOB: &str = "bob-token-91ad";

/// Only a broken server takes longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` gives something.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs `work` on `count` threads at once and returns what each made, in their order.
pub fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        let (work, start) = (&work, &start);
        let threads: Vec<_> = (0..count)
            .map(|index| {
                scope.spawn(move || {
                    start.wait();
                    work(index)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
