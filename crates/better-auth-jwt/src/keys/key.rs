//! One key with its algorithm.

use std::fmt;

use aws_lc_rs::{
    constant_time,
    digest::MAX_OUTPUT_LEN,
    hmac,
    signature::{ParsedPublicKey, RsaPublicKeyComponents},
};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind};

use super::{Algorithm, JwkError, der, ed25519};
use crate::error::ConfigError;

/// A verification key with its algorithm, parsed once.
///
/// The key is never used for a token with another `alg` (RFC 8725, section 3.1).
///
/// `Debug` prints the id and the algorithm only.
pub struct Key {
    key_id: Option<Box<str>>,
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    /// All of them are valid; the newest is first.
    Secrets(Box<[hmac::Key]>),
    Public(Box<ParsedPublicKey>),
}

impl Key {
    /// Creates a key from jsonwebtoken's [`DecodingKey`], which reads PEM, DER and components. PEM needs its feature
    /// `use_pem`: add jsonwebtoken to your dependencies to enable it.
    ///
    /// ```
    /// use better_auth_jwt::keys::{Algorithm, DecodingKey, Key};
    ///
    /// let pem = b"-----BEGIN PUBLIC KEY-----
    /// MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
    /// -----END PUBLIC KEY-----";
    /// let key = Key::new(Algorithm::EdDSA, &DecodingKey::from_ed_pem(pem)?)?.with_key_id("key-1");
    /// # assert_eq!(key.key_id(), Some("key-1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The key is malformed, too small, or of another type or curve than the algorithm's. Use
    /// [`SharedSecret`](super::SharedSecret) for secrets.
    pub fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, ConfigError> {
        if algorithm.is_symmetric() {
            return Err(ConfigError::keys("use SharedSecret for HMAC secrets"));
        }
        Self::from_decoding_key(algorithm, key)
            .map_err(|error| ConfigError::keys(format!("the key cannot be used for {algorithm}: {error}")))
    }

    pub(super) fn from_decoding_key(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, JwkError> {
        let family = match algorithm {
            _ if algorithm.is_rsa() => AlgorithmFamily::Rsa,
            Algorithm::EdDSA | Algorithm::Ed25519 => AlgorithmFamily::Ed,
            _ => AlgorithmFamily::Ec,
        };
        if key.family() != family {
            return Err(JwkError::AlgorithmMismatch);
        }
        let parsed = match key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => rsa(algorithm, n, e),
            DecodingKeyKind::SecretOrDer(der) if family == AlgorithmFamily::Rsa => {
                let (n, e) = der::rsa_public_key(der).ok_or(JwkError::Malformed)?;
                rsa(algorithm, n, e)
            }
            DecodingKeyKind::SecretOrDer(bytes) => point(algorithm, bytes),
        }?;
        Ok(Self { key_id: None, algorithm, material: Material::Public(Box::new(parsed)) })
    }

    /// Sets the id that is compared with the token's `kid`.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<Box<str>>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// The `kid` of the key, if it has one.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The algorithm of the key.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// A key of one or more HMAC secrets, the newest first. Callers must check their strength.
    pub(super) fn secrets(algorithm: Algorithm, secrets: impl Iterator<Item = hmac::Key>) -> Self {
        Self { key_id: None, algorithm, material: Material::Secrets(secrets.collect()) }
    }

    /// Whether this is a valid signature of the message by this key.
    ///
    /// HMAC tags are compared in constant time, by aws-lc-rs.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secrets(secrets) => secrets.iter().any(|secret| is_tag(secret, message, signature)),
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }

    /// The public key's encoding. Empty for secrets, which are not part of a set.
    pub(super) fn public_bytes(&self) -> &[u8] {
        match &self.material {
            Material::Secrets(_) => &[],
            Material::Public(key) => key.as_ref().as_ref(),
        }
    }
}

/// An RSA key from big-endian modulus and exponent.
fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<ParsedPublicKey, JwkError> {
    // RFC 7518, section 6.3.1: the minimum number of octets.
    if n.first().is_none_or(|byte| *byte == 0) || e.first().is_none_or(|byte| *byte == 0) {
        return Err(JwkError::InvalidLength);
    }
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    // RFC 7518, sections 3.3 and 3.5, require 2048 bits; above 8192, verification takes too long.
    // aws-lc-rs accepts smaller keys and rejects only their signatures.
    if !(2048..=8192).contains(&bits) {
        return Err(JwkError::RsaKeySize);
    }
    let odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte & 1 == 1);
    if !odd(n) {
        return Err(JwkError::Malformed);
    }
    if !odd(e) || e == [1] || e.len() > 4 {
        return Err(JwkError::RsaExponent);
    }
    let parameters = algorithm.rsa().ok_or(JwkError::AlgorithmMismatch)?;
    RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| JwkError::Malformed)
}

/// A point on a curve, in the form that aws-lc-rs reads.
fn point(algorithm: Algorithm, bytes: &[u8]) -> Result<ParsedPublicKey, JwkError> {
    if let Algorithm::EdDSA | Algorithm::Ed25519 = algorithm {
        ed25519::check_public_key(bytes)?;
    }
    let verification = algorithm.curve().ok_or(JwkError::AlgorithmMismatch)?;
    ParsedPublicKey::new(verification, bytes).map_err(|_| JwkError::Malformed)
}

/// Like `hmac::verify`, but without copying the context, which would be measurable.
fn is_tag(secret: &hmac::Key, message: &[u8], signature: &[u8]) -> bool {
    let mut buffer = [0; MAX_OUTPUT_LEN];
    hmac::sign_to_buffer(secret, message, &mut buffer)
        .is_ok_and(|tag| constant_time::verify_slices_are_equal(tag, signature).is_ok())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("key_id", &self.key_id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsa_keys_of_the_wrong_size_or_exponent_are_rejected() {
        let modulus = |bits: usize| {
            let mut n = vec![0xff; bits.div_ceil(8)];
            n[0] = 0xff >> (n.len() * 8 - bits);
            n
        };
        let error = |n: &[u8], e: &[u8]| rsa(Algorithm::RS256, n, e).err();
        assert_eq!(error(&modulus(2048), &[1, 0, 1]), None);
        assert_eq!(error(&modulus(2048), &[3]), None);
        assert_eq!(error(&modulus(2048), &[1, 0, 0, 1]), None);
        assert_eq!(error(&modulus(8192), &[1, 0, 1]), None);
        assert_eq!(error(&modulus(2047), &[1, 0, 1]), Some(JwkError::RsaKeySize));
        assert_eq!(error(&modulus(8193), &[1, 0, 1]), Some(JwkError::RsaKeySize));
        assert_eq!(error(&modulus(1024), &[1, 0, 1]), Some(JwkError::RsaKeySize));
        for e in [&[1][..], &[2], &[4], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
            assert_eq!(error(&modulus(2048), e), Some(JwkError::RsaExponent), "{e:?}");
        }
        assert_eq!(error(&modulus(2048), &[]), Some(JwkError::InvalidLength));
        assert_eq!(error(&modulus(2048), &[0, 1, 0, 1]), Some(JwkError::InvalidLength));
        assert_eq!(error(&[&[0], &*modulus(2048)].concat(), &[1, 0, 1]), Some(JwkError::InvalidLength));
        assert_eq!(error(&[], &[1, 0, 1]), Some(JwkError::InvalidLength));
    }

    #[test]
    fn an_rsa_key_in_der_is_that_of_its_components() {
        // RFC 8017, appendix A.1.1.
        let mut der = vec![0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0];
        der.extend([0xff; 256]);
        der.extend([2, 3, 1, 0, 1]);
        let key = Key::new(Algorithm::RS256, &DecodingKey::from_rsa_der(&der)).unwrap();
        let same = rsa(Algorithm::RS256, &[0xff; 256], &[1, 0, 1]).unwrap();
        assert_eq!(key.public_bytes(), same.as_ref());
    }

    #[test]
    fn a_key_of_another_family_is_rejected() {
        let ed = DecodingKey::from_ed_components("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert!(Key::new(Algorithm::EdDSA, &ed).is_ok());
        assert!(Key::new(Algorithm::ES256, &ed).is_err());
        assert!(Key::new(Algorithm::RS256, &ed).is_err());
        assert!(Key::new(Algorithm::HS256, &ed).is_err());
        assert!(Key::new(Algorithm::HS256, &DecodingKey::from_secret(&[7; 32])).is_err());
    }
}
