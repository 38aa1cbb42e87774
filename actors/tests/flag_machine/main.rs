//! The flag machine, promise by promise.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that wants one outcome fails on every other"
)]

mod audit;
#[path = "../common/mod.rs"]
mod common;
mod durability;
mod evaluation;
mod model;
mod spread;
mod stored;
mod world;
