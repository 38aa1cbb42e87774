//! The limiter machine, promise by promise, and against an oracle that keeps every timestamp.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that wants one outcome fails on every other"
)]



#[path = "../common/mod.rs"]
mod common;
mod crashes;


mod oracle;




mod windows;
mod world;
