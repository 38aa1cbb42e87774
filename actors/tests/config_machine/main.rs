//! The config machine, promise by promise, and against a reference.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that wants one outcome fails on every other"
)]

mod audit;
#[path = "../common/mod.rs"]
mod common;
mod conditions;
mod durability;
mod history;
mod model;
mod quotas;
mod reference;
mod stored;
mod world;
