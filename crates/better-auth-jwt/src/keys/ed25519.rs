//! Validation of Ed25519 public keys.
//!
//! aws-lc-rs accepts any 32 bytes. If they are not a point on the curve, it rejects all signatures. But it also accepts
//! points of small order, for which anyone can forge signatures.

use super::JwkError;

/// The y coordinates of the eight points whose order divides 8, little-endian, without the sign of x.
///
/// In this order: y is 1 for order 1, -1 for order 2, 0 for order 4, and one of the last two for order 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    hex(b"0100000000000000000000000000000000000000000000000000000000000000"),
    hex(b"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex(b"0000000000000000000000000000000000000000000000000000000000000000"),
    hex(b"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    hex(b"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
];

/// The field's prime, 2^255 - 19, little-endian.
const P: [u8; 32] = hex(b"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");

/// Rejects points of small order. Also rejects encodings that RFC 8032, section 5.1.3, does not allow, because they could
/// be such points.
pub(super) fn check_public_key(bytes: &[u8]) -> Result<(), JwkError> {
    let mut y: [u8; 32] = bytes.try_into().map_err(|_| JwkError::InvalidLength)?;
    // RFC 8032, section 5.1.2: the top bit is the sign of x.
    y[31] &= 0x7f;
    if y.iter().rev().ge(P.iter().rev()) {
        return Err(JwkError::NotOnCurve);
    }
    if SMALL_ORDER.contains(&y) { Err(JwkError::SmallOrder) } else { Ok(()) }
}

const fn hex(text: &[u8; 64]) -> [u8; 32] {
    const fn digit(character: u8) -> u8 {
        match character {
            b'0'..=b'9' => character - b'0',
            _ => character - b'a' + 10,
        }
    }
    let mut bytes = [0; 32];
    let mut index = 0;
    while index < 32 {
        bytes[index] = digit(text[2 * index]) << 4 | digit(text[2 * index + 1]);
        index += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

    use super::*;

    /// Both encodings with this y.
    fn with_either_sign(y: [u8; 32]) -> [[u8; 32]; 2] {
        let mut negative = y;
        negative[31] |= 0x80;
        [y, negative]
    }

    /// Whether anyone can sign some message for this key.
    ///
    /// RFC 8032, section 5.1.7: a signature (R, S) verifies if S B = R + k A, with k a hash of R, A and the message. With
    /// S = 0 that is R = -k A. If the order of A divides 8, one of at most eight points fits, whatever the private key.
    fn can_be_forged(key: &[u8; 32]) -> bool {
        let candidates = SMALL_ORDER.into_iter().flat_map(with_either_sign);
        candidates.into_iter().any(|r| {
            let signature = [r, [0; 32]].concat();
            (0..64u8).any(|message| UnparsedPublicKey::new(&ED25519, key).verify(&[message], &signature).is_ok())
        })
    }

    #[test]
    fn generated_keys_are_accepted_and_cannot_be_forged() {
        for seed in 0..20 {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
            let key: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
            assert_eq!(check_public_key(&key), Ok(()));
            assert!(!can_be_forged(&key));
        }
    }

    #[test]
    fn keys_for_which_signatures_can_be_forged_are_rejected() {
        // There is one point for each of y = 1 and y = -1, with x = 0, and two for each of the others: eight in total.
        for y in SMALL_ORDER {
            for key in with_either_sign(y) {
                assert_eq!(check_public_key(&key), Err(JwkError::SmallOrder));
            }
            assert!(can_be_forged(&y), "{y:02x?}");
        }
    }

    #[test]
    fn non_canonical_encodings_and_other_lengths_are_rejected() {
        // These are all y from 2^255 - 19 to 2^255 - 1. The first two are equal to 0 and 1, which have small order.
        for last in 0xed..=0xff {
            let mut y = P;
            y[0] = last;
            for key in with_either_sign(y) {
                assert_eq!(check_public_key(&key), Err(JwkError::NotOnCurve));
            }
        }
        assert_eq!(check_public_key(&[]), Err(JwkError::InvalidLength));
        assert_eq!(check_public_key(&[9; 31]), Err(JwkError::InvalidLength));
        assert_eq!(check_public_key(&[9; 33]), Err(JwkError::InvalidLength));
    }

    #[test]
    fn bytes_that_are_not_a_point_verify_no_signature() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let signature = pair.sign(b"message");
        // For about half of all y there is no point on the curve; 2 is one of them.
        let mut key = [0; 32];
        key[0] = 2;
        assert!(UnparsedPublicKey::new(&ED25519, &key).verify(b"message", signature.as_ref()).is_err());
        assert!(!can_be_forged(&key));
    }
}
