//! OctoStore in one thread, from a seed.

pub mod breaks;
pub mod dice;
pub mod disk;
pub mod oracle;
pub mod scenario;
pub mod server;
pub mod time;
pub mod trace;
