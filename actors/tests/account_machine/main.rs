//! The account machine, promise by promise.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that wants one outcome fails on every other"
)]

mod accounts;
#[path = "../common/mod.rs"]
mod common;
mod durability;
mod model;
mod scopes;
mod tokens;
mod world;
