//! The event loop and the persistence actor, stepped by hand: what is told to whom, and when.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test that looks for it")]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test that wants one outcome fails on every other"
)]

mod bench;
mod by_hand;
#[path = "../common/mod.rs"]
mod common;
mod durability;
mod end;
mod failed_disk;
mod full_disk;
mod ghosts;
mod idle;
mod reads;
mod time;
