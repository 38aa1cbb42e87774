//! Values as they stand in JSON.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
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
        let mut text = StampText::default();
        PRINTER.print_timestamp(&self.0, &mut text).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(text.as_str())
    }
}

static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// Room for one stamp: nothing is allocated for it.
#[derive(Default)]
struct StampText {
    text: [u8; 32],
    length: usize,
}

impl StampText {
    fn as_str(&self) -> &str {
        // Only whole pieces of text were written.
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

impl jiff::fmt::Write for StampText {
    fn write_str(&mut self, piece: &str) -> Result<(), jiff::Error> {
        let end = self.length + piece.len();
        let room = self.text.get_mut(self.length..end);
        let room = room.ok_or_else(|| jiff::Error::from_args(format_args!("a stamp is short")))?;
        room.copy_from_slice(piece.as_bytes());
        self.length = end;
        Ok(())
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
