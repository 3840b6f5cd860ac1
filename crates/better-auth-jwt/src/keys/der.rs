//! The DER encoding of RSA public keys (RFC 8017, appendix A.1.1).

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// Parses an `RSAPublicKey`. Returns its modulus and exponent, which must be positive.
pub(crate) fn rsa_public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, rest) = value(der, SEQUENCE)?;
    let (n, key) = positive_integer(key)?;
    let (e, key) = positive_integer(key)?;
    (rest.is_empty() && key.is_empty()).then_some((n, e))
}

/// X.690, section 8.3: the first bit is the sign, so a positive number may start with a zero byte.
fn positive_integer(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bytes, rest) = value(der, INTEGER)?;
    match bytes {
        [0, magnitude @ ..] if magnitude.first()? & 0x80 != 0 => Some((magnitude, rest)),
        [first, ..] if (1..0x80).contains(first) => Some((bytes, rest)),
        _ => None,
    }
}

/// Parses a value with this tag. Returns its content, and the rest.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (length, rest) = match *rest {
        // X.690, section 10.1: the length has as few bytes as possible.
        [length @ 0..=0x7f, ref rest @ ..] => (usize::from(length), rest),
        [0x81, length @ 0x80..=0xff, ref rest @ ..] => (usize::from(length), rest),
        [0x82, high @ 1..=0xff, low, ref rest @ ..] => (usize::from(high) << 8 | usize::from(low), rest),
        _ => return None,
    };
    rest.split_at_checked(length).filter(|_| first == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modulus_and_exponent_are_read() {
        assert_eq!(rsa_public_key(&[0x30, 7, 2, 2, 0, 0x81, 2, 1, 3]), Some((&[0x81][..], &[3][..])));
        let mut long = vec![0x30, 0x81, 0x87, 2, 0x81, 0x81, 0];
        long.extend([0xff; 0x80]);
        long.extend([2, 1, 3]);
        assert_eq!(rsa_public_key(&long), Some((&[0xff; 0x80][..], &[3][..])));
    }

    #[test]
    fn everything_but_two_positive_numbers_in_the_shortest_form_is_rejected() {
        for der in [
            &[][..],
            &[0x30],
            &[0x30, 0],
            &[0x31, 6, 2, 1, 5, 2, 1, 3],
            &[0x30, 6, 3, 1, 5, 2, 1, 3],
            &[0x30, 6, 2, 1, 5, 2, 1],
            &[0x30, 5, 2, 1, 5, 2, 1, 3],
            &[0x30, 6, 2, 1, 5, 2, 1, 3, 0],
            &[0x30, 9, 2, 1, 5, 2, 1, 3, 2, 1, 3],
            &[0x30, 0x81, 6, 2, 1, 5, 2, 1, 3],
            &[0x30, 0x82, 0, 6, 2, 1, 5, 2, 1, 3],
            &[0x30, 0x80, 2, 1, 5, 2, 1, 3, 0, 0],
            &[0x30, 7, 2, 2, 0, 5, 2, 1, 3],
            &[0x30, 6, 2, 1, 0, 2, 1, 3],
            &[0x30, 6, 2, 1, 0x81, 2, 1, 3],
            &[0x30, 5, 2, 0, 2, 1, 3],
        ] {
            assert_eq!(rsa_public_key(der), None, "{der:x?}");
        }
    }
}
