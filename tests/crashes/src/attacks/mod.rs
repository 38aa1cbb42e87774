//! The attacks, one file each.

pub mod kill;
pub mod power;
