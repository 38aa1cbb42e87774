//! The limiter machine, promise by promise, and against an oracle that keeps every timestamp.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that wants one outcome fails on every other"
)]

//X mod answers;
//X mod bounds;
#[path = "../common/mod.rs"]
mod common;
mod crashes;
//X mod idle;
//X mod memory;
mod oracle;
//X mod policies;
//X mod restarts;
//X mod room;
//X mod rows;
mod windows;
mod world;
