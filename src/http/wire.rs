//! Values as they stand in JSON.

use jiff::Timestamp;
use octostore_actors::domain::values::WallTime;
use serde::{Serialize, Serializer};

/// The UUID that stands for "not yours to know".
pub const NIL: [u8; 16] = [0; 16];

/// A time in RFC 3339, UTC, with milliseconds: `2026-11-23T01:15:56.007Z`.
#[derive(Clone, Copy, Debug)]
pub struct Stamp(pub Timestamp);

impl From<WallTime> for Stamp {
    fn from(time: WallTime) -> Self {
        // Further off than any clock of ours gets.
        Self(Timestamp::from_millisecond(time.as_millis()).unwrap_or(Timestamp::MAX))
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_has_milliseconds_and_ends_in_z() {
        let stamp = Stamp(Timestamp::from_millisecond(1_700_000_000_007).unwrap());
        assert_eq!(serde_json::to_string(&stamp).unwrap(), "\"2023-11-14T22:13:20.007Z\"");
        let stamp = Stamp(Timestamp::from_second(1_700_000_000).unwrap());
        assert_eq!(serde_json::to_string(&stamp).unwrap(), "\"2023-11-14T22:13:20.000Z\"");
    }
}
