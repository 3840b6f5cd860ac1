//! base64url as RFC 7515, section 2, defines it: without padding, whitespace and stray bits.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

/// Decodes the canonical form and nothing else.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes to the end of the buffer.
pub(crate) fn decode_into(text: &[u8], buffer: &mut Vec<u8>) -> Option<()> {
    BASE64_URL_SAFE_NO_PAD.decode_vec(text, buffer).ok()
}

#[cfg(any(feature = "test-util", test))]
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_decoded() {
        assert_eq!(decode(b"").unwrap(), b"");
        assert_eq!(decode(b"Zg").unwrap(), b"f");
        assert_eq!(decode(b"Zm8").unwrap(), b"fo");
        assert_eq!(decode(b"Zm9v").unwrap(), b"foo");
        assert_eq!(decode(b"-_-_").unwrap(), [0xfb, 0xff, 0xbf]);
        for text in [
            "Z", "Zg==", "Zg=", "Zm9v=", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm 9v", "Zm9v\n", " Zm9v", "Zm9v ", "Zm%39",
            "Zm?v", "Zm.v", "Zmé",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_unused_bits_of_the_last_character_must_be_zero() {
        // Two characters carry eight bits and four that must be zero.
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for prefix in ["", "AAAA", &"A".repeat(64)] {
            let accepted = |head: &str| {
                let decodes = |last: &&u8| decode(format!("{prefix}{head}{}", char::from(**last)).as_bytes()).is_some();
                alphabet.iter().filter(decodes).count()
            };
            assert_eq!(accepted("A"), 4);
            assert_eq!(accepted("AA"), 16);
            assert_eq!(accepted("AAA"), 64);
        }
    }
}
