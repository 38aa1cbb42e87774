//! OctoStore in one thread, from a seed.

pub mod breaks;
pub mod campaign;
pub mod dice;
pub mod disk;
pub mod oracle;
pub mod report;
pub mod scenario;
pub mod server;
pub mod time;
pub mod trace;
