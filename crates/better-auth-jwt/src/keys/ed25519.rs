//! Validation of Ed25519 public keys.
//!
//! aws-lc-rs accepts any 32 bytes. If they are not a point on the curve, it rejects all signatures. But it also accepts
//! points of small order, for which anyone can forge signatures.

use super::JwkError;

/// A 256-bit number: its upper and its lower half.
type Number = (u128, u128);

/// The field's prime, 2^255 - 19.
const P: Number = (u128::MAX >> 1, u128::MAX - 18);

/// The y coordinates of the eight points whose order divides 8.
///
/// In this order: y is 1 for order 1, -1 for order 2, 0 for order 4, and one of the last two for order 8.
const SMALL_ORDER: [Number; 5] = [
    (0, 1),
    (P.0, P.1 - 1),
    (0, 0),
    (0x05fc_536d_8802_38b1_3933_c6d3_05ac_dfd5, 0xf098_eff2_89f4_c345_b027_b2c2_8f95_e826),
    (0x7a03_ac92_77fd_c74e_c6cc_392c_fa53_202a, 0x0f67_100d_760b_3cba_4fd8_4d3d_706a_17c7),
];

/// Rejects points of small order. Also rejects encodings that RFC 8032, section 5.1.3, does not allow, because they
/// could be such points.
pub(super) fn check_public_key(bytes: &[u8]) -> Result<(), JwkError> {
    let ([low, high], []) = bytes.as_chunks() else { return Err(JwkError::InvalidLength) };
    // RFC 8032, section 5.1.2: little-endian, and the top bit is the sign of x.
    let y = (u128::from_le_bytes(*high) & (u128::MAX >> 1), u128::from_le_bytes(*low));
    if y >= P {
        return Err(JwkError::NotOnCurve);
    }
    if SMALL_ORDER.contains(&y) { Err(JwkError::SmallOrder) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

    use super::*;

    /// Both encodings with this y.
    fn with_either_sign((high, low): Number) -> [[u8; 32]; 2] {
        [high, high | 1 << 127].map(|high| [low.to_le_bytes(), high.to_le_bytes()].concat().try_into().unwrap())
    }

    /// Whether anyone can sign some message for this key.
    ///
    /// RFC 8032, section 5.1.7: a signature (R, S) verifies if S B = R + k A, with k a hash of R, A and the message.
    /// With S = 0 that is R = -k A. If the order of A divides 8, one of at most eight points fits, whatever the private
    /// key.
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
            assert!(can_be_forged(&with_either_sign(y)[0]), "{y:02x?}");
        }
    }

    #[test]
    fn non_canonical_encodings_and_other_lengths_are_rejected() {
        // These are all y from 2^255 - 19 to 2^255 - 1. The first two are equal to 0 and 1, which have small order.
        for low in P.1..=u128::MAX {
            for key in with_either_sign((P.0, low)) {
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
