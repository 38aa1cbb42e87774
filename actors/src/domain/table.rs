//! The hash table of the machines.

use foldhash::quality::FixedState;
use std::collections::HashMap;

/// A hash table whose hash has a fixed key: a machine is deterministic, so it draws no random
/// one. Callers could make names collide; the quota of their account bounds what that costs.
pub type Table<K, V> = HashMap<K, V, FixedState>;
