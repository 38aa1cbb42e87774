//! The lock machine, promise by promise.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test that wants one outcome fails on every other"
)]

#[path = "../common/mod.rs"]
mod common;
mod durability;
mod expiry;
mod fencing;
mod force_release;
mod ghosts;
mod grants;
mod quotas;
mod refusals;
mod world;
