//! OctoStore.
fn main() {}
