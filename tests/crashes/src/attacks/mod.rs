//! The attacks, one file each.

pub mod clock;
pub mod controls;
pub mod copies;
pub mod damage;
pub mod faults;
pub mod full;
pub mod kill;
pub mod leftovers;
pub mod power;
