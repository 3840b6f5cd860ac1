//! UTC timestamps with the precision of PostgreSQL: microseconds.

use time::OffsetDateTime;

/// The current time.
pub(crate) fn now() -> OffsetDateTime {
    to_microseconds(OffsetDateTime::now_utc())
}

/// Truncates to PostgreSQL's precision, so that the response to a write shows the same time as later reads.
pub(crate) fn to_microseconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(time.nanosecond() / 1000 * 1000).unwrap_or(time)
}

// RFC 3339, always with six fractional digits, so that clients can compare times as strings.
time::serde::format_description!(
    pub(crate) rfc3339,
    OffsetDateTime,
    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
);

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn timestamps_have_six_fractional_digits() {
        for (time, text) in [
            (datetime!(1970-01-01 0:00 UTC), "1970-01-01T00:00:00.000000Z"),
            (datetime!(2000-02-29 23:59:59.999_999_999 UTC), "2000-02-29T23:59:59.999999Z"),
            (datetime!(2026-09-21 14:13:20.000_001 UTC), "2026-09-21T14:13:20.000001Z"),
        ] {
            assert_eq!(rfc3339::serialize(&time, serde_json::value::Serializer).unwrap(), text);
        }
    }
}
