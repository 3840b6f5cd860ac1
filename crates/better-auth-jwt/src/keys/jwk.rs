//! One JSON Web Key (RFC 7517), parsed strictly and converted by jsonwebtoken.

use std::fmt;

use super::{Algorithm, DecodingKey, Key, RejectedKey};
use crate::json::{Document, Value, unescape};

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
    /// A point of small order, for which anyone can make signatures.
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
            Self::RsaExponent => "its public exponent is not acceptable",
            Self::InvalidLength => "a member has an invalid length",
            Self::NotOnCurve => "it is not a point on its curve",
            Self::SmallOrder => "it is a point of small order",
            Self::DuplicateKeyId => "another key has the same kid and algorithm",
            Self::KeyIdTooLong => "its kid is longer than 256 bytes",
        })
    }
}

impl std::error::Error for JwkError {}

/// The longest `kid` of a key or token, in bytes.
pub(crate) const MAX_KEY_ID: usize = 256;

/// Reads one element of a set's `keys`.
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
        // RFC 7518, section 6.2.1.2: the full size of a coordinate, here in base64url.
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

    /// A member that must be a string if it is there.
    fn text(&self, name: &str) -> Result<Option<&str>, JwkError> {
        match self.0.find(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(JwkError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    const P256: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

    fn rsa() -> String {
        format!(
            r#""kty":"RSA","e":"AQAB","n":"{}""#,
            "_".repeat(342).replace("__", "_-").trim_end_matches('-').to_owned() + "w"
        )
    }

    fn read(members: &str) -> Result<Algorithm, JwkError> {
        parse(&format!("{{{members}}}"), None).map(|key| key.algorithm()).map_err(|rejected| rejected.error)
    }

    #[test]
    fn the_algorithm_follows_from_the_key() {
        assert_eq!(read(ED25519), Ok(Algorithm::EdDSA));
        assert_eq!(read(&format!(r#"{ED25519},"alg":"EdDSA""#)), Ok(Algorithm::EdDSA));
        assert_eq!(read(&format!(r#"{ED25519},"alg":"Ed25519""#)), Ok(Algorithm::Ed25519));
        assert_eq!(read(P256), Ok(Algorithm::ES256));
        assert_eq!(read(&format!(r#"{P256},"alg":"ES256","use":"sig","key_ops":["verify"]"#)), Ok(Algorithm::ES256));
    }

    #[test]
    fn a_contradicting_or_unknown_algorithm_is_rejected() {
        for (jwk, alg) in [(ED25519, "ES256"), (P256, "ES384"), (P256, "RS256"), (P256, "HS256"), (ED25519, "HS256")] {
            assert_eq!(read(&format!(r#"{jwk},"alg":"{alg}""#)), Err(JwkError::AlgorithmMismatch), "{alg}");
        }
        assert_eq!(read(&format!(r#"{P256},"alg":"ES224""#)), Err(JwkError::Unsupported));
        assert_eq!(read(&format!(r#"{P256},"alg":"""#)), Err(JwkError::Unsupported));
    }

    #[test]
    fn an_rsa_key_without_algorithm_needs_a_default() {
        assert_eq!(read(&rsa()), Err(JwkError::AlgorithmMissing));
        let jwk = format!("{{{}}}", rsa());
        assert_eq!(parse(&jwk, Some(Algorithm::PS256)).unwrap().algorithm(), Algorithm::PS256);
        assert_eq!(read(&format!(r#"{},"alg":"RS512""#, rsa())), Ok(Algorithm::RS512));
        assert_eq!(read(&format!(r#"{},"alg":"ES256""#, rsa())), Err(JwkError::AlgorithmMismatch));
    }

    #[test]
    fn keys_for_other_purposes_are_rejected() {
        for purpose in [
            r#""use":"enc""#,
            r#""use":"""#,
            r#""key_ops":["sign"]"#,
            r#""key_ops":[]"#,
            r#""key_ops":["verify","verify"]"#,
            r#""use":"sig","key_ops":["encrypt"]"#,
            r#""use":"enc","key_ops":["verify"]"#,
        ] {
            assert_eq!(read(&format!("{P256},{purpose}")), Err(JwkError::WrongUse), "{purpose}");
        }
        assert!(read(&format!(r#"{P256},"key_ops":["sign","verify"]"#)).is_ok());
    }

    #[test]
    fn private_and_symmetric_keys_are_rejected() {
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
            assert_eq!(read(&format!(r#"{P256},"{name}":"AA""#)), Err(JwkError::PrivateKey), "{name}");
        }
        assert_eq!(read(&format!(r#"{P256},"k":"AA""#)), Err(JwkError::Symmetric));
        assert_eq!(
            read(
                r#""kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow""#
            ),
            Err(JwkError::Symmetric)
        );
    }

    #[test]
    fn invalid_lengths_types_and_points_are_rejected() {
        let p256 = |x: &str, y: &str| read(&format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{y}""#));
        let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        assert_eq!(p256(x, x), Err(JwkError::NotOnCurve));
        assert_eq!(p256(&x[..42], y), Err(JwkError::Malformed), "a stray bit in the last character");
        assert_eq!(p256(&x[..40], y), Err(JwkError::InvalidLength));
        assert_eq!(p256("", y), Err(JwkError::InvalidLength));
        assert_eq!(p256(&format!("AAAA{x}"), y), Err(JwkError::InvalidLength));
        assert_eq!(read(&P256.replace("P-256", "P-384")), Err(JwkError::InvalidLength));
        assert_eq!(read(&P256.replace("P-256", "secp256k1")), Err(JwkError::Unsupported));
        assert_eq!(read(&ED25519.replace("Ed25519", "Ed448")), Err(JwkError::Unsupported));
        assert_eq!(read(&ED25519.replace("Ed25519", "X25519")), Err(JwkError::Unsupported));
        assert_eq!(read(&ED25519.replace("OKP", "AKP")), Err(JwkError::Unsupported));
        for broken in [r#""kid":1"#, r#""use":null"#, r#""alg":["ES256"]"#, r#""key_ops":"verify""#, r#""key_ops":[1]"#]
        {
            assert_eq!(read(&format!("{P256},{broken}")), Err(JwkError::Malformed), "{broken}");
        }
        assert_eq!(read(""), Err(JwkError::Malformed));
        assert_eq!(read(&format!(r#"{P256},"kid":"{}""#, "k".repeat(257))), Err(JwkError::KeyIdTooLong));
        assert!(read(&format!(r#"{P256},"kid":"{}""#, "k".repeat(256))).is_ok());
    }

    #[test]
    fn every_error_has_its_own_message() {
        let all = [
            JwkError::Malformed,
            JwkError::Unsupported,
            JwkError::WrongUse,
            JwkError::PrivateKey,
            JwkError::Symmetric,
            JwkError::AlgorithmMismatch,
            JwkError::AlgorithmMissing,
            JwkError::RsaKeySize,
            JwkError::RsaExponent,
            JwkError::InvalidLength,
            JwkError::NotOnCurve,
            JwkError::SmallOrder,
            JwkError::DuplicateKeyId,
            JwkError::KeyIdTooLong,
        ];
        let words: std::collections::HashSet<String> = all.iter().map(JwkError::to_string).collect();
        assert_eq!(words.len(), all.len());
        assert!(words.iter().all(|words| words.len() > 10));
    }

    #[test]
    fn the_id_of_a_rejected_key_is_reported_unless_it_is_too_long() {
        let id = |length: usize| {
            let jwk = format!(r#"{{{P256},"use":"enc","kid":"{}"}}"#, "k".repeat(length));
            parse(&jwk, None).unwrap_err().key_id
        };
        assert_eq!(id(256), Some("k".repeat(256)));
        assert_eq!(id(257), None);
    }
}
