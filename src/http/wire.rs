//! Values as they stand in JSON.

use jiff::{Timestamp, tz::Offset};
use octostore_actors::domain::values::WallTime;
use serde::{Serialize, Serializer};
use std::{cell::Cell, ops::Deref};

/// The UUID that stands for "not yours to know".
pub const NIL: [u8; 16] = [0; 16];

/// A time in RFC 3339, UTC, with milliseconds: `2026-11-23T01:15:56.007Z`.
#[derive(Clone, Copy, Debug)]
pub struct Stamp(pub WallTime);

impl Stamp {
    /// As text.
    pub fn text(self) -> StampText {
        let millis = self.0.as_millis().clamp(0, LAST_MILLIS);
        let of_day = millis % DAY_MILLIS;
        let mut text = StampText(*b"0000-00-00T00:00:00.000Z");
        text.0[..10].copy_from_slice(&date(millis / DAY_MILLIS));
        for (place, number) in [
            (11, of_day / 3_600_000),
            (14, of_day / 60_000 % 60),
            (17, of_day / 1000 % 60),
            (20, of_day / 10 % 100),
        ] {
            put_two_digits(&mut text.0[place..place + 2], number);
        }
        text.0[22] = digit(of_day % 10);
        text
    }
}

const DAY_MILLIS: i64 = 24 * 3600 * 1000;

/// The last time of jiff's, which is further off than any clock of ours gets.
const LAST_MILLIS: i64 = 253_402_207_200_999;

/// The date of the day that is so many after 1970-01-01. Most times that are printed are of one day:
/// its date is kept.
fn date(day: i64) -> [u8; 10] {
    thread_local! {
        static LAST: Cell<(i64, [u8; 10])> = const { Cell::new((0, *b"1970-01-01")) };
    }
    let (last, text) = LAST.get();
    if last == day {
        return text;
    }
    let midnight = Timestamp::from_millisecond(day * DAY_MILLIS).unwrap_or(Timestamp::MAX);
    let date = Offset::UTC.to_datetime(midnight).date();
    let mut text = *b"0000-00-00";
    put_two_digits(&mut text[0..2], i64::from(date.year()) / 100);
    put_two_digits(&mut text[2..4], i64::from(date.year()) % 100);
    put_two_digits(&mut text[5..7], date.month().into());
    put_two_digits(&mut text[8..10], date.day().into());
    LAST.set((day, text));
    text
}

fn put_two_digits(places: &mut [u8], number: i64) {
    places.copy_from_slice(&[digit(number / 10), digit(number % 10)]);
}

/// The digit of a number from zero to nine.
fn digit(number: i64) -> u8 {
    b"0123456789"[number as usize]
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

/// The text of one stamp: nothing is allocated for it.
#[derive(Clone, Copy, Debug)]
pub struct StampText([u8; 24]);

impl StampText {
    /// Its characters.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for StampText {
    type Target = str;

    fn deref(&self) -> &str {
        // Only digits were put into it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{SignedDuration, fmt::temporal::DateTimePrinter};
    use proptest::prelude::*;

    fn as_jiff_prints_it(millis: i64) -> String {
        static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
        PRINTER.timestamp_to_string(&(Timestamp::UNIX_EPOCH + SignedDuration::from_millis(millis)))
    }

    #[test]
    fn a_stamp_has_milliseconds_and_ends_in_z() {
        let stamp = Stamp(WallTime::from_millis(1_700_000_000_007));
        assert_eq!(serde_json::to_string(&stamp).unwrap(), "\"2023-11-14T22:13:20.007Z\"");
        let stamp = Stamp(WallTime::from_millis(1_700_000_000_000));
        assert_eq!(serde_json::to_string(&stamp).unwrap(), "\"2023-11-14T22:13:20.000Z\"");
    }

    #[test]
    fn what_no_clock_shows_is_printed_as_the_nearest_there_is() {
        let printed = |millis| Stamp(WallTime::from_millis(millis)).text().to_string();
        assert_eq!(printed(i64::MIN), "1970-01-01T00:00:00.000Z");
        assert_eq!(printed(-1), "1970-01-01T00:00:00.000Z");
        assert_eq!(LAST_MILLIS, Timestamp::MAX.as_second() * 1000 + 999);
        assert_eq!(printed(i64::MAX), as_jiff_prints_it(LAST_MILLIS));
    }

    proptest! {
        #[test]
        fn a_time_is_printed_as_jiff_prints_it(
            millis in 0..=LAST_MILLIS,
            beside in 0..2 * DAY_MILLIS,
        ) {
            // The second is of the same day, or of one soon after.
            for millis in [millis, millis.saturating_add(beside)] {
                let millis = millis.min(LAST_MILLIS);
                let printed = Stamp(WallTime::from_millis(millis)).text();
                prop_assert_eq!(&*printed, &as_jiff_prints_it(millis));
            }
        }
    }
}
