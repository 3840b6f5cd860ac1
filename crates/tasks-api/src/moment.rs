use std::str;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::store;

/// A time as RFC 3339 has it, in UTC, and always with six digits after the point, so that clients may compare times as texts.
pub(crate) struct Moment([u8; 27]);

impl Moment {
    pub(crate) fn now() -> Self {
        Self::at(store::now())
    }

    /// So many microseconds after 1970.
    pub(crate) fn at(micros: i64) -> Self {
        let second = micros.div_euclid(1_000_000);
        let time = OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second) = time.to_hms();
        // Digit by digit: the general way to write a time shows in what a list costs.
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        write(&mut text[..4], year.unsigned_abs());
        for (n, part) in [month.into(), day, hour, minute, second].into_iter().enumerate() {
            write(&mut text[5 + 3 * n..][..2], part.into());
        }
        write(&mut text[20..26], micros.rem_euclid(1_000_000) as u32);
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

fn write(places: &mut [u8], mut number: u32) {
    for place in places.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_to_the_microsecond() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_868_799_999_999, "2000-02-29T23:59:59.999999Z"),
            (1_790_000_000_000_001, "2026-09-21T14:13:20.000001Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Moment::at(micros).as_str(), text);
        }
    }
}
