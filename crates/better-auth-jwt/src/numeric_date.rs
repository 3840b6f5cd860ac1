//! `exp`, `nbf` and `iat`: RFC 7519, section 2.

/// The last second of the year 9999. A later date is a mistake, such as milliseconds.
const MAX: u64 = 253_402_300_799;

/// Seconds since 1970, possibly with a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NumericDate {
    seconds: u64,
    has_fraction: bool,
}

impl NumericDate {
    /// Parses a JSON number; rejects other types, negative numbers and dates after the year 9999.
    ///
    /// The digits are parsed as decimals, because a float would round them.
    pub(crate) fn parse(json: &str) -> Option<Self> {
        // Most dates are whole seconds.
        if let Ok(seconds) = json.parse() {
            return (seconds <= MAX).then_some(Self { seconds, has_fraction: false });
        }
        let (mantissa, exponent) = match json.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (json, 0),
        };
        let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // The exponent moves the decimal point: this is the number of digits before it.
        let point = i64::try_from(whole.len()).ok()? + exponent;

        let (mut seconds, mut has_fraction, mut position) = (0_u64, false, 0_i64);
        for digit in whole.bytes().chain(decimals.bytes()) {
            let digit = u64::from(char::from(digit).to_digit(10)?);
            if position < point {
                seconds = seconds.checked_mul(10)?.checked_add(digit)?;
            } else {
                has_fraction |= digit != 0;
            }
            position += 1;
        }
        while position < point && seconds != 0 {
            seconds = seconds.checked_mul(10)?;
            position += 1;
        }
        (position > 0 && seconds <= MAX).then_some(Self { seconds, has_fraction })
    }

    /// Rounded down: for the date at which a token expires.
    pub(crate) fn floor(self) -> u64 {
        self.seconds
    }

    /// Rounded up: for the date before which a token is not valid.
    pub(crate) fn ceil(self) -> u64 {
        self.seconds + u64::from(self.has_fraction)
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A longer exponent moves the point beyond any digit that a token has room for.
    let size = i64::from(digits.parse::<i32>().unwrap_or(i32::MAX));
    Some(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<(u64, u64)> {
        NumericDate::parse(json).map(|date| (date.floor(), date.ceil()))
    }

    #[test]
    fn numbers_are_read_exactly() {
        assert_eq!(read("0"), Some((0, 0)));
        assert_eq!(read("0.0"), Some((0, 0)));
        assert_eq!(read("1795227496"), Some((1_795_227_496, 1_795_227_496)));
        assert_eq!(read("1795227837.731"), Some((1_795_227_837, 1_795_227_838)));
        assert_eq!(read("1795227837.000"), Some((1_795_227_837, 1_795_227_837)));
        assert_eq!(read("1.5e3"), Some((1500, 1500)));
        assert_eq!(read("1.5E+3"), Some((1500, 1500)));
        assert_eq!(read("15000e-1"), Some((1500, 1500)));
        assert_eq!(read("15001e-1"), Some((1500, 1501)));
        assert_eq!(read("1e-400"), Some((0, 1)));
        assert_eq!(read("0e999999999999999999"), Some((0, 0)));
        assert_eq!(read("1699999999.99999999999999999"), Some((1_699_999_999, 1_700_000_000)));
    }

    #[test]
    fn dates_after_the_year_9999_are_rejected() {
        assert_eq!(read("253402300799"), Some((MAX, MAX)));
        assert_eq!(read("253402300800"), None);
        assert_eq!(read("2.534023008e11"), None);
    }

    #[test]
    fn everything_else_is_rejected() {
        for json in [
            "1e",
            "1e+",
            "1ex",
            "1e+-1",
            "1.5.5",
            "-1",
            "-0",
            "-0.5",
            "1e400",
            "1e12",
            "9007199254740993000",
            "18446744073709551616",
            "\"1795227496\"",
            "null",
            "true",
            "[]",
            "{}",
            "1795227496000",
            "1e99999999999999999999",
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn long_numbers_are_read_in_linear_time() {
        assert_eq!(read(&"9".repeat(5000)), None);
        assert_eq!(read(&format!("1.{}", "0".repeat(5000))), Some((1, 1)));
        assert_eq!(read(&format!("0.{}1", "0".repeat(5000))), Some((0, 1)));
        assert_eq!(read(&format!("0.{}1e5001", "0".repeat(5000))), Some((1, 1)));
    }
}
