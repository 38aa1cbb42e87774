//! The bugs, put in on purpose: parts like the shipped ones but for one flaw each.
//!
//! They are built of what the shipped crate makes public, and never the other way round.

pub mod actor;
pub mod bell;
pub mod gather;
pub mod mailbox;
pub mod persistence;
pub mod reply;
pub mod station;
