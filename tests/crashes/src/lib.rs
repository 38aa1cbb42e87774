//! Attacks on the real program: over real HTTP, on a real file, with real clocks.
//!
//! - [`attacks`]: one file an attack;
//! - [`arena`]: servers on one file, [`worker`]s that ask all the time by way of a [`caller`], and the
//!   [`log`] of it;
//! - [`history`]: whether what was told can be;
//! - [`lab`], [`disk`], [`server`], [`client`]: what it takes.

#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "attacks on a real process: they start threads, wait at random and read the clock"
)]

pub mod arena;
pub mod attacks;
pub mod caller;
pub mod client;
pub mod disk;
pub mod history;
pub mod lab;
pub mod log;
pub mod names;
pub mod report;
pub mod server;
pub mod twin;
pub mod worker;

/// What may go wrong in an attack besides what it attacks.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
