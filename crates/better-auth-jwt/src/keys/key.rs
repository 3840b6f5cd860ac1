//! One key and its one algorithm.

use std::fmt;

use aws_lc_rs::{
    constant_time,
    digest::MAX_OUTPUT_LEN,
    hmac,
    signature::{ParsedPublicKey, RsaPublicKeyComponents, RsaSubjectPublicKey},
};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind};

use super::{Algorithm, Flaw, ed25519};
use crate::error::ConfigError;

/// A verification key, parsed once, with the one algorithm it is for.
///
/// The algorithm is the key's and never the token's: a token whose `alg` differs does not reach
/// the key (RFC 8725, section 3.1).
///
/// `Debug` prints the id and the algorithm only.
pub struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    /// Secrets that are all in force, the newest first.
    Secrets(Box<[hmac::Key]>),
    Public(Box<ParsedPublicKey>),
}

impl Key {
    /// A key from jsonwebtoken's readers: PEM, DER or components. Those for PEM are behind its feature
    /// `use_pem`, which is on for whoever depends on jsonwebtoken as it comes.
    ///
    /// ```
    /// use better_auth_jwt::keys::{Algorithm, DecodingKey, Key};
    ///
    /// let pem = b"-----BEGIN PUBLIC KEY-----
    /// MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
    /// -----END PUBLIC KEY-----";
    /// let key = Key::new(Algorithm::EdDSA, &DecodingKey::from_ed_pem(pem)?)?.with_id("key-1");
    /// # assert_eq!(key.id(), Some("key-1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The key is not of the algorithm's family, is off its curve, too small, or no key at all.
    /// Secrets belong into a [`SharedSecret`](super::SharedSecret).
    pub fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, ConfigError> {
        let family = match algorithm {
            _ if algorithm.is_rsa() => AlgorithmFamily::Rsa,
            Algorithm::ES256 | Algorithm::ES384 | Algorithm::ES512 => AlgorithmFamily::Ec,
            Algorithm::EdDSA | Algorithm::Ed25519 => AlgorithmFamily::Ed,
            _ => return Err(ConfigError::new("a secret is no Key: use SharedSecret instead")),
        };
        if key.family() != family {
            return Err(ConfigError::new(format!("the key given is not one for {algorithm}")));
        }
        let parsed = match key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => Self::rsa(algorithm, n, e),
            DecodingKeyKind::SecretOrDer(der) if family == AlgorithmFamily::Rsa => {
                match RsaSubjectPublicKey::from_der(der) {
                    Ok(key) => Self::rsa(
                        algorithm,
                        key.modulus().big_endian_without_leading_zero(),
                        key.exponent().big_endian_without_leading_zero(),
                    ),
                    Err(_) => Err(Flaw::Unreadable),
                }
            }
            DecodingKeyKind::SecretOrDer(bytes) => Self::point(algorithm, bytes),
        };
        parsed.map_err(|flaw| ConfigError::new(format!("the key cannot be used for {algorithm}: {flaw}")))
    }

    /// The same key under an id, compared with the token's `kid`.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The `kid` of the key, if it has one.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The one algorithm this key is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Secrets for HMAC, the newest first. Their strength is the caller's to check.
    pub(super) fn secrets<'s>(algorithm: Algorithm, secrets: impl IntoIterator<Item = &'s [u8]>) -> Option<Self> {
        let hmac = algorithm.hmac()?;
        let secrets = secrets.into_iter().map(|secret| hmac::Key::new(hmac, secret)).collect();
        Some(Self { id: None, algorithm, material: Material::Secrets(secrets) })
    }

    /// An RSA key from big-endian modulus and exponent.
    pub(super) fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Self, Flaw> {
        // RFC 7518, section 6.3.1: the minimum number of octets.
        if n.first().is_none_or(|byte| *byte == 0) || e.first().is_none_or(|byte| *byte == 0) {
            return Err(Flaw::WrongLength);
        }
        let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        // RFC 7518, sections 3.3 and 3.5 ask for 2048; above 8192 one check takes too long.
        // aws-lc-rs reads smaller keys and refuses only their signatures.
        if !(2048..=8192).contains(&bits) {
            return Err(Flaw::RsaSize);
        }
        let odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte & 1 == 1);
        if !odd(n) {
            return Err(Flaw::Unreadable);
        }
        if !odd(e) || e == [1] || e.len() > 4 {
            return Err(Flaw::RsaExponent);
        }
        let parameters = algorithm.rsa().ok_or(Flaw::AlgorithmMismatch)?;
        let parsed = RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| Flaw::Unreadable)?;
        Ok(Self { id: None, algorithm, material: Material::Public(Box::new(parsed)) })
    }

    /// A point on a curve, in the form that aws-lc-rs reads.
    pub(super) fn point(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, Flaw> {
        if let Algorithm::EdDSA | Algorithm::Ed25519 = algorithm {
            ed25519::check_public_key(bytes)?;
        }
        let verification = algorithm.curve().ok_or(Flaw::AlgorithmMismatch)?;
        let parsed = ParsedPublicKey::new(verification, bytes).map_err(|_| Flaw::Unreadable)?;
        Ok(Self { id: None, algorithm, material: Material::Public(Box::new(parsed)) })
    }

    /// Whether the signature is this key's over the message.
    ///
    /// Secrets are compared in constant time, by aws-lc-rs.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secrets(secrets) => secrets.iter().any(|secret| is_tag(secret, message, signature)),
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }

    /// Whether both are the same public key for the same algorithm, whatever their ids.
    pub(super) fn same_material(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm
            && match (&self.material, &other.material) {
                (Material::Public(ours), Material::Public(theirs)) => {
                    ours.as_ref().as_ref() == theirs.as_ref().as_ref()
                }
                _ => false,
            }
    }
}

/// What `hmac::verify` does, with a copy less of the context, which shows.
fn is_tag(secret: &hmac::Key, message: &[u8], signature: &[u8]) -> bool {
    let mut buffer = [0; MAX_OUTPUT_LEN];
    hmac::sign_to_buffer(secret, message, &mut buffer)
        .is_ok_and(|tag| constant_time::verify_slices_are_equal(tag, signature).is_ok())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsa_keys_of_the_wrong_size_or_exponent_are_refused() {
        let modulus = |bits: usize| {
            let mut n = vec![0xff; bits.div_ceil(8)];
            n[0] = 0xff >> (n.len() * 8 - bits);
            n
        };
        let flaw = |n: &[u8], e: &[u8]| Key::rsa(Algorithm::RS256, n, e).err();
        assert_eq!(flaw(&modulus(2048), &[1, 0, 1]), None);
        assert_eq!(flaw(&modulus(2048), &[3]), None);
        assert_eq!(flaw(&modulus(2048), &[1, 0, 0, 1]), None);
        assert_eq!(flaw(&modulus(8192), &[1, 0, 1]), None);
        assert_eq!(flaw(&modulus(2047), &[1, 0, 1]), Some(Flaw::RsaSize));
        assert_eq!(flaw(&modulus(8193), &[1, 0, 1]), Some(Flaw::RsaSize));
        assert_eq!(flaw(&modulus(1024), &[1, 0, 1]), Some(Flaw::RsaSize));
        for e in [&[1][..], &[2], &[4], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
            assert_eq!(flaw(&modulus(2048), e), Some(Flaw::RsaExponent), "{e:?}");
        }
        assert_eq!(flaw(&modulus(2048), &[]), Some(Flaw::WrongLength));
        assert_eq!(flaw(&modulus(2048), &[0, 1, 0, 1]), Some(Flaw::WrongLength));
        assert_eq!(flaw(&[&[0], &*modulus(2048)].concat(), &[1, 0, 1]), Some(Flaw::WrongLength));
        assert_eq!(flaw(&[], &[1, 0, 1]), Some(Flaw::WrongLength));
    }

    #[test]
    fn a_key_of_another_family_is_refused() {
        let ed = DecodingKey::from_ed_components("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert!(Key::new(Algorithm::EdDSA, &ed).is_ok());
        assert!(Key::new(Algorithm::ES256, &ed).is_err());
        assert!(Key::new(Algorithm::RS256, &ed).is_err());
        assert!(Key::new(Algorithm::HS256, &ed).is_err());
        assert!(Key::new(Algorithm::HS256, &DecodingKey::from_secret(&[7; 32])).is_err());
    }
}
