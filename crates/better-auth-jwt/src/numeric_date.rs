//! NumericDate (RFC 7519, section 2): seconds since 1970 as a JSON number, read without rounding.

use crate::digits;

/// The last second of the year 9999. Beyond it lie mistakes, milliseconds for one.
const LAST: u64 = 253_402_300_799;

/// A point in time as a claim gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NumericDate {
    seconds: u64,
    fraction: bool,
}

impl NumericDate {
    /// Reads a JSON number; refuses other types, negative numbers and dates after the year 9999.
    ///
    /// The digits are read as decimals, since a float would round what it cannot hold.
    #[inline(always)]
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        // Every date that an issuer writes: digits alone, ten of them.
        if let Some((eight, rest)) = json.split_first_chunk()
            && rest.len() < 8
            && let Some(begin) = digits::number(*eight)
        {
            // Without a way out in the middle it takes half the time.
            let (seconds, only_digits) = rest.iter().fold((begin, true), |(seconds, only_digits), byte| {
                let digit = byte.wrapping_sub(b'0');
                (seconds * 10 + u64::from(digit), only_digits & (digit < 10))
            });
            if only_digits {
                return (seconds <= LAST).then_some(Self { seconds, fraction: false });
            }
        }
        Self::parse_any(json)
    }

    /// The same for fractions, exponents, and whatever is no date.
    #[cold]
    fn parse_any(json: &[u8]) -> Option<Self> {
        let json = str::from_utf8(json).ok()?;
        let (mantissa, exponent) = match json.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (json, 0),
        };
        let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = whole.bytes().chain(decimals.bytes());
        // How many digits stand before the decimal point once the exponent has moved it.
        let point = i64::try_from(whole.len()).ok()? + exponent;

        let (mut seconds, mut fraction, mut place) = (0_u64, false, 0_i64);
        for digit in digits {
            let digit = u64::from(char::from(digit).to_digit(10)?);
            if place < point {
                seconds = seconds.checked_mul(10)?.checked_add(digit)?;
            } else {
                fraction |= digit != 0;
            }
            place += 1;
        }
        while place < point && seconds != 0 {
            seconds = seconds.checked_mul(10)?;
            place += 1;
        }
        (seconds <= LAST).then_some(Self { seconds, fraction })
    }

    /// Rounded down: how a date is read after which a token ends.
    pub(crate) fn floor(self) -> u64 {
        self.seconds
    }

    /// Rounded up: how a date is read before which a token does not begin.
    pub(crate) fn ceil(self) -> u64 {
        self.seconds + u64::from(self.fraction)
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // An exponent too long to read moves the point beyond any digit a token could have.
    let size = i64::from(digits.parse::<i32>().unwrap_or(i32::MAX));
    Some(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<(u64, u64)> {
        NumericDate::parse(json.as_bytes()).map(|date| (date.floor(), date.ceil()))
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
    fn the_year_9999_is_the_last() {
        assert_eq!(read("253402300799"), Some((LAST, LAST)));
        assert_eq!(read("253402300800"), None);
        assert_eq!(read("2.534023008e11"), None);
    }

    #[test]
    fn everything_else_is_refused() {
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
    fn long_numbers_end() {
        assert_eq!(read(&"9".repeat(5000)), None);
        assert_eq!(read(&format!("1.{}", "0".repeat(5000))), Some((1, 1)));
        assert_eq!(read(&format!("0.{}1", "0".repeat(5000))), Some((0, 1)));
        assert_eq!(read(&format!("0.{}1e5001", "0".repeat(5000))), Some((1, 1)));
    }
}
