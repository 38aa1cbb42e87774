//! OctoStore.
