//! base64url as RFC 7515, section 2, has it: no padding, no blanks, no stray bits.

use base64_simd::URL_SAFE_NO_PAD;

/// Decodes, or refuses.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok()
}

/// The same into a buffer, behind what is there.
pub(crate) fn decode_into(text: &[u8], buffer: &mut Vec<u8>) -> Option<()> {
    URL_SAFE_NO_PAD.decode_append(text, buffer).ok()
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
    fn every_other_last_character_of_a_short_group_is_refused() {
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
