//! The limiter machine, promise by promise, and against an oracle that keeps every timestamp.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that wants one outcome fails on every other"
)]

mod answers;
mod bounds;
#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod idle;
mod memory;
mod oracle;
mod policies;
mod restarts;
mod room;
mod rows;
mod windows;
mod world;
