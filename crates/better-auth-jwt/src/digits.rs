//! Decimal digits, eight at a time: as the bytes of a word.

const EACH: u64 = 0x0101_0101_0101_0101;

/// How many of eight bytes are digits before the first that is none.
#[inline(always)]
pub(crate) fn leading(bytes: [u8; 8]) -> usize {
    others(values(bytes)).trailing_zeros() as usize / 8
}

/// The number that eight digits are.
#[inline(always)]
pub(crate) fn number(bytes: [u8; 8]) -> Option<u64> {
    let ones = values(bytes);
    if others(ones) != 0 {
        return None;
    }
    // The first digit is the lowest byte. Each step makes one number of two neighbours.
    let twos = ones.wrapping_mul(1 + (10 << 8)) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = twos.wrapping_mul(1 + (100 << 16)) >> 16 & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(1 + (10_000 << 32)) >> 32)
}

/// A digit becomes its value, and nothing else becomes less than ten.
#[inline(always)]
fn values(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes) ^ (EACH * 0x30)
}

/// The high bits of the bytes that are no digits, and maybe of some behind the first of those.
#[inline(always)]
fn others(values: u64) -> u64 {
    (values | values.wrapping_add(EACH * 0x76)) & (EACH * 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_a_digit_or_none_wherever_it_stands() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                for around in [b'0', b'5', b'9'] {
                    let mut bytes = [around; 8];
                    bytes[place] = byte;
                    let expected = if byte.is_ascii_digit() { 8 } else { place };
                    assert_eq!(leading(bytes), expected, "{bytes:?}");
                    let text = std::str::from_utf8(&bytes).ok();
                    let read = text.filter(|_| expected == 8).and_then(|text| text.parse().ok());
                    assert_eq!(number(bytes), read, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_read_from_the_first_digit_on() {
        assert_eq!(number(*b"12345678"), Some(12_345_678));
        assert_eq!(number(*b"00000001"), Some(1));
        assert_eq!(number(*b"99999999"), Some(99_999_999));
        assert_eq!(leading(*b"1234,\xff\0a"), 4);
        assert_eq!(leading(*b"\xff\xff123456"), 0);
    }
}
