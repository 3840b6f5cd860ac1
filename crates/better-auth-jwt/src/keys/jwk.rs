//! One JSON Web Key (RFC 7517), parsed strictly and converted by jsonwebtoken.

use std::fmt;

use super::{Algorithm, DecodingKey, Key, RejectedKey};
use crate::{
    header::MAX_KEY_ID,
    json::{Document, Value, unescape},
};

/// Why a JWK is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwkError {
    /// Not an object, or a member of the wrong type.
    Malformed,
    /// `kty`, `crv` or `alg` is not supported.
    Unsupported,
    /// `use` or `key_ops` says that the key is for something else.
    WrongUse,
    /// The key has private members, which must not be published.
    PrivateKey,
    /// A symmetric key in a set of public keys.
    Symmetric,
    /// `alg` contradicts the key's type or curve.
    AlgorithmMismatch,
    /// An RSA key without `alg`, and no default algorithm is configured.
    AlgorithmMissing,
    /// An RSA modulus below 2048 or above 8192 bits.
    RsaKeySize,
    /// An RSA exponent that is even, below three, or longer than 32 bits.
    RsaExponent,
    /// A coordinate, modulus or exponent has an invalid length.
    InvalidLength,
    /// Not a point on the key's curve.
    NotOnCurve,
    /// A point of small order: anyone can forge signatures for it.
    SmallOrder,
    /// Another key of the set has the same `kid` and algorithm.
    DuplicateKeyId,
    /// The `kid` is longer than 256 bytes.
    KeyIdTooLong,
}

impl fmt::Display for JwkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is malformed",
            Self::Unsupported => "its type, curve or algorithm is not supported",
            Self::WrongUse => "its use or key_ops does not allow verifying signatures",
            Self::PrivateKey => "it has private members; the issuer must replace it",
            Self::Symmetric => "it is a symmetric key",
            Self::AlgorithmMismatch => "its alg contradicts its type or curve",
            Self::AlgorithmMissing => "it is an RSA key without alg; set a default algorithm for such keys",
            Self::RsaKeySize => "its modulus is not between 2048 and 8192 bits",
            Self::RsaExponent => "its public exponent is even, below three, or longer than 32 bits",
            Self::InvalidLength => "a member has an invalid length",
            Self::NotOnCurve => "it is not a point on its curve",
            Self::SmallOrder => "it is a point of small order",
            Self::DuplicateKeyId => "another key has the same kid and algorithm",
            Self::KeyIdTooLong => "its kid is longer than 256 bytes",
        })
    }
}

impl std::error::Error for JwkError {}

/// Parses one element of a set's `keys`.
pub(super) fn parse(json: &str, default_rsa_algorithm: Option<Algorithm>) -> Result<Key, RejectedKey> {
    let rejected = |key_id, error| RejectedKey { key_id, error };
    let jwk = Document::parse(json.to_owned()).map_err(|_| rejected(None, JwkError::Malformed))?;
    Jwk(&jwk).key(default_rsa_algorithm).map_err(|error| {
        let id = jwk.find("kid").and_then(Value::as_str).filter(|id| id.len() <= MAX_KEY_ID);
        rejected(id.map(str::to_owned), error)
    })
}

struct Jwk<'d>(&'d Document);

impl Jwk<'_> {
    fn key(&self, default_rsa_algorithm: Option<Algorithm>) -> Result<Key, JwkError> {
        let kty = self.text("kty")?.ok_or(JwkError::Malformed)?;
        if kty == "oct" || self.0.find("k").is_some() {
            return Err(JwkError::Symmetric);
        }
        if ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|name| self.0.find(name).is_some()) {
            return Err(JwkError::PrivateKey);
        }
        self.check_use()?;
        let id = self.text("kid")?;
        if id.is_some_and(|id| id.len() > MAX_KEY_ID) {
            return Err(JwkError::KeyIdTooLong);
        }
        let key = match kty {
            "OKP" => self.okp(),
            "EC" => self.ec(),
            "RSA" => self.rsa(default_rsa_algorithm),
            _ => Err(JwkError::Unsupported),
        }?;
        Ok(match id {
            Some(id) => key.with_key_id(id),
            None => key,
        })
    }

    /// RFC 7517, sections 4.2 and 4.3.
    fn check_use(&self) -> Result<(), JwkError> {
        if self.text("use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(JwkError::WrongUse);
        }
        let Some(operations) = self.0.find("key_ops") else { return Ok(()) };
        let mut operations: Vec<_> = operations
            .elements()
            .and_then(|elements| elements.map(unescape).collect::<Option<_>>())
            .ok_or(JwkError::Malformed)?;
        let count = operations.len();
        operations.sort_unstable();
        operations.dedup();
        if operations.len() == count && operations.iter().any(|operation| operation == "verify") {
            Ok(())
        } else {
            Err(JwkError::WrongUse)
        }
    }

    fn okp(&self) -> Result<Key, JwkError> {
        let algorithm = match self.text("crv")? {
            Some("Ed25519") => self.algorithm_among(&[Algorithm::EdDSA, Algorithm::Ed25519])?,
            _ => return Err(JwkError::Unsupported),
        };
        let key = DecodingKey::from_ed_components(self.required("x")?).map_err(|_| JwkError::Malformed)?;
        Key::from_decoding_key(algorithm.unwrap_or(Algorithm::EdDSA), &key)
    }

    fn ec(&self) -> Result<Key, JwkError> {
        // RFC 7518, section 6.2.1.2: coordinates have their full size; these are the lengths in base64url.
        let (algorithm, length) = match self.text("crv")? {
            Some("P-256") => (Algorithm::ES256, 43),
            Some("P-384") => (Algorithm::ES384, 64),
            Some("P-521") => (Algorithm::ES512, 88),
            _ => return Err(JwkError::Unsupported),
        };
        self.algorithm_among(&[algorithm])?;
        let (x, y) = (self.required("x")?, self.required("y")?);
        let key = DecodingKey::from_ec_components(x, y).map_err(|_| JwkError::Malformed)?;
        if x.len() != length || y.len() != length {
            return Err(JwkError::InvalidLength);
        }
        Key::from_decoding_key(algorithm, &key).map_err(|_| JwkError::NotOnCurve)
    }

    fn rsa(&self, default: Option<Algorithm>) -> Result<Key, JwkError> {
        use Algorithm::*;
        let named = self.algorithm_among(&[RS256, RS384, RS512, PS256, PS384, PS512])?;
        let algorithm = named.or(default).ok_or(JwkError::AlgorithmMissing)?;
        let (n, e) = (self.required("n")?, self.required("e")?);
        let key = DecodingKey::from_rsa_components(n, e).map_err(|_| JwkError::Malformed)?;
        Key::from_decoding_key(algorithm, &key)
    }

    /// `alg`, which must be one of those that the type and curve allow.
    fn algorithm_among(&self, allowed: &[Algorithm]) -> Result<Option<Algorithm>, JwkError> {
        let Some(name) = self.text("alg")? else { return Ok(None) };
        match Algorithm::from_name(name) {
            Some(algorithm) if allowed.contains(&algorithm) => Ok(Some(algorithm)),
            Some(_) => Err(JwkError::AlgorithmMismatch),
            None => Err(JwkError::Unsupported),
        }
    }

    fn required(&self, name: &str) -> Result<&str, JwkError> {
        self.text(name)?.ok_or(JwkError::Malformed)
    }

    /// A member that must be a string if it is present.
    fn text(&self, name: &str) -> Result<Option<&str>, JwkError> {
        match self.0.find(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(JwkError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
