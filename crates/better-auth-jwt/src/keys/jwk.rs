//! One JSON Web Key (RFC 7517), read strictly.

use std::fmt;

use super::{Algorithm, Key};
use crate::{
    base64url,
    json::{Document, Value, unescape},
};

/// Why a JWK is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flaw {
    /// Not an object, or a member of the wrong type.
    Unreadable,
    /// `kty`, `crv` or `alg` is none that can verify signatures here.
    Unsupported,
    /// `use` or `key_ops` says that the key is for something else.
    NotForVerifying,
    /// The key has private members: somebody publishes what must stay secret.
    Private,
    /// A symmetric key in a set of public keys.
    Symmetric,
    /// `alg` contradicts the key's type or curve.
    AlgorithmMismatch,
    /// An RSA key without `alg`, while no algorithm for such keys was configured.
    AlgorithmMissing,
    /// An RSA modulus below 2048 or above 8192 bits.
    RsaSize,
    /// An RSA exponent that is even, below three, or longer than 32 bits.
    RsaExponent,
    /// A coordinate, modulus or exponent of the wrong length.
    WrongLength,
    /// No point on the key's curve.
    OffCurve,
    /// A point of small order, for which anybody can make signatures.
    SmallOrder,
    /// Another key of the set has the same `kid` and algorithm.
    SameId,
    /// The `kid` is longer than 256 bytes.
    LongId,
    /// More keys than a set may have.
    TooMany,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "it is not a readable key",
            Self::Unsupported => "its type, curve or algorithm is not supported",
            Self::NotForVerifying => "its use or key_ops is not verifying signatures",
            Self::Private => "it has private members; whoever publishes it must replace it",
            Self::Symmetric => "it is a symmetric key",
            Self::AlgorithmMismatch => "its alg contradicts its type or curve",
            Self::AlgorithmMissing => "it is an RSA key without alg; name the algorithm to use for such keys",
            Self::RsaSize => "its modulus is not between 2048 and 8192 bits",
            Self::RsaExponent => "its public exponent is not acceptable",
            Self::WrongLength => "a member has the wrong length",
            Self::OffCurve => "it is no point on its curve",
            Self::SmallOrder => "it is a point of small order",
            Self::SameId => "another key has the same kid and algorithm",
            Self::LongId => "its kid is longer than 256 bytes",
            Self::TooMany => "the set has too many keys",
        })
    }
}

impl std::error::Error for Flaw {}

/// The longest `kid` that is looked at, in a key and in a token.
const LONGEST_ID: usize = crate::header::MAX_KEY_ID;

/// Reads one element of a set's `keys`. `rsa` is the algorithm of RSA keys that name none.
pub(super) fn parse(json: &str, rsa: Option<Algorithm>) -> Result<Key, (Option<String>, Flaw)> {
    let jwk = Document::parse(json.to_owned()).map_err(|_| (None, Flaw::Unreadable))?;
    let id = jwk.find("kid").and_then(Value::as_str).map(str::to_owned);
    match Jwk(&jwk).key(rsa) {
        Ok(key) => Ok(key),
        Err(flaw) => Err((id.filter(|id| id.len() <= LONGEST_ID), flaw)),
    }
}

struct Jwk<'d>(&'d Document);

impl Jwk<'_> {
    fn key(&self, rsa: Option<Algorithm>) -> Result<Key, Flaw> {
        let kty = self.text("kty")?.ok_or(Flaw::Unreadable)?;
        if kty == "oct" || self.0.find("k").is_some() {
            return Err(Flaw::Symmetric);
        }
        if ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|name| self.0.find(name).is_some()) {
            return Err(Flaw::Private);
        }
        self.check_use()?;
        let id = self.text("kid")?;
        if id.is_some_and(|id| id.len() > LONGEST_ID) {
            return Err(Flaw::LongId);
        }
        let key = match kty {
            "OKP" => self.okp(),
            "EC" => self.ec(),
            "RSA" => self.rsa(rsa),
            _ => Err(Flaw::Unsupported),
        }?;
        Ok(match id {
            Some(id) => key.with_id(id),
            None => key,
        })
    }

    /// RFC 7517, sections 4.2 and 4.3.
    fn check_use(&self) -> Result<(), Flaw> {
        if self.text("use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(Flaw::NotForVerifying);
        }
        let Some(operations) = self.0.find("key_ops") else { return Ok(()) };
        let mut operations: Vec<_> = operations
            .elements()
            .and_then(|elements| elements.map(unescape).collect::<Option<_>>())
            .ok_or(Flaw::Unreadable)?;
        let count = operations.len();
        operations.sort_unstable();
        operations.dedup();
        if operations.len() == count && operations.iter().any(|operation| operation == "verify") {
            Ok(())
        } else {
            Err(Flaw::NotForVerifying)
        }
    }

    fn okp(&self) -> Result<Key, Flaw> {
        let algorithm = match self.text("crv")? {
            Some("Ed25519") => self.algorithm_among(&[Algorithm::EdDSA, Algorithm::Ed25519])?,
            _ => return Err(Flaw::Unsupported),
        };
        Key::point(algorithm.unwrap_or(Algorithm::EdDSA), &self.bytes("x")?)
    }

    fn ec(&self) -> Result<Key, Flaw> {
        let (algorithm, length) = match self.text("crv")? {
            Some("P-256") => (Algorithm::ES256, 32),
            Some("P-384") => (Algorithm::ES384, 48),
            Some("P-521") => (Algorithm::ES512, 66),
            _ => return Err(Flaw::Unsupported),
        };
        self.algorithm_among(&[algorithm])?;
        let (x, y) = (self.bytes("x")?, self.bytes("y")?);
        // RFC 7518, section 6.2.1.2: the full size of a coordinate.
        if x.len() != length || y.len() != length {
            return Err(Flaw::WrongLength);
        }
        // SEC 1, section 2.3.3: 4 marks an uncompressed point.
        let point = [&[4], &*x, &*y].concat();
        Key::point(algorithm, &point).map_err(|_| Flaw::OffCurve)
    }

    fn rsa(&self, default: Option<Algorithm>) -> Result<Key, Flaw> {
        use Algorithm::*;
        let named = self.algorithm_among(&[RS256, RS384, RS512, PS256, PS384, PS512])?;
        let algorithm = named.or(default).ok_or(Flaw::AlgorithmMissing)?;
        Key::rsa(algorithm, &self.bytes("n")?, &self.bytes("e")?)
    }

    /// `alg`, which must be one of those that the type and curve allow.
    fn algorithm_among(&self, allowed: &[Algorithm]) -> Result<Option<Algorithm>, Flaw> {
        let Some(name) = self.text("alg")? else { return Ok(None) };
        match Algorithm::from_name(name) {
            Some(algorithm) if allowed.contains(&algorithm) => Ok(Some(algorithm)),
            Some(_) => Err(Flaw::AlgorithmMismatch),
            None => Err(Flaw::Unsupported),
        }
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, Flaw> {
        let text = self.text(name)?.ok_or(Flaw::Unreadable)?;
        base64url::decode(text.as_bytes()).ok_or(Flaw::Unreadable)
    }

    /// A member that must be a string if it is there.
    fn text(&self, name: &str) -> Result<Option<&str>, Flaw> {
        match self.0.find(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(Flaw::Unreadable),
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

    fn read(members: &str) -> Result<Algorithm, Flaw> {
        parse(&format!("{{{members}}}"), None).map(|key| key.algorithm()).map_err(|(_, flaw)| flaw)
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
    fn a_contradicting_or_unknown_algorithm_is_refused() {
        for (jwk, alg) in [(ED25519, "ES256"), (P256, "ES384"), (P256, "RS256"), (P256, "HS256"), (ED25519, "HS256")] {
            assert_eq!(read(&format!(r#"{jwk},"alg":"{alg}""#)), Err(Flaw::AlgorithmMismatch), "{alg}");
        }
        assert_eq!(read(&format!(r#"{P256},"alg":"ES224""#)), Err(Flaw::Unsupported));
        assert_eq!(read(&format!(r#"{P256},"alg":"""#)), Err(Flaw::Unsupported));
    }

    #[test]
    fn an_rsa_key_without_algorithm_needs_one_from_the_user() {
        assert_eq!(read(&rsa()), Err(Flaw::AlgorithmMissing));
        let jwk = format!("{{{}}}", rsa());
        assert_eq!(parse(&jwk, Some(Algorithm::PS256)).unwrap().algorithm(), Algorithm::PS256);
        assert_eq!(read(&format!(r#"{},"alg":"RS512""#, rsa())), Ok(Algorithm::RS512));
        assert_eq!(read(&format!(r#"{},"alg":"ES256""#, rsa())), Err(Flaw::AlgorithmMismatch));
    }

    #[test]
    fn keys_for_other_purposes_are_refused() {
        for purpose in [
            r#""use":"enc""#,
            r#""use":"""#,
            r#""key_ops":["sign"]"#,
            r#""key_ops":[]"#,
            r#""key_ops":["verify","verify"]"#,
            r#""use":"sig","key_ops":["encrypt"]"#,
            r#""use":"enc","key_ops":["verify"]"#,
        ] {
            assert_eq!(read(&format!("{P256},{purpose}")), Err(Flaw::NotForVerifying), "{purpose}");
        }
        assert!(read(&format!(r#"{P256},"key_ops":["sign","verify"]"#)).is_ok());
    }

    #[test]
    fn private_and_symmetric_keys_are_refused() {
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
            assert_eq!(read(&format!(r#"{P256},"{name}":"AA""#)), Err(Flaw::Private), "{name}");
        }
        assert_eq!(read(&format!(r#"{P256},"k":"AA""#)), Err(Flaw::Symmetric));
        assert_eq!(
            read(
                r#""kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow""#
            ),
            Err(Flaw::Symmetric)
        );
    }

    #[test]
    fn wrong_lengths_types_and_points_are_refused() {
        let p256 = |x: &str, y: &str| read(&format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{y}""#));
        let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        assert_eq!(p256(x, x), Err(Flaw::OffCurve));
        assert_eq!(p256(&x[..42], y), Err(Flaw::Unreadable), "a stray bit in the last character");
        assert_eq!(p256(&x[..40], y), Err(Flaw::WrongLength));
        assert_eq!(p256("", y), Err(Flaw::WrongLength));
        assert_eq!(p256(&format!("AAAA{x}"), y), Err(Flaw::WrongLength));
        assert_eq!(read(&P256.replace("P-256", "P-384")), Err(Flaw::WrongLength));
        assert_eq!(read(&P256.replace("P-256", "secp256k1")), Err(Flaw::Unsupported));
        assert_eq!(read(&ED25519.replace("Ed25519", "Ed448")), Err(Flaw::Unsupported));
        assert_eq!(read(&ED25519.replace("Ed25519", "X25519")), Err(Flaw::Unsupported));
        assert_eq!(read(&ED25519.replace("OKP", "AKP")), Err(Flaw::Unsupported));
        for broken in [r#""kid":1"#, r#""use":null"#, r#""alg":["ES256"]"#, r#""key_ops":"verify""#, r#""key_ops":[1]"#]
        {
            assert_eq!(read(&format!("{P256},{broken}")), Err(Flaw::Unreadable), "{broken}");
        }
        assert_eq!(read(""), Err(Flaw::Unreadable));
        assert_eq!(read(&format!(r#"{P256},"kid":"{}""#, "k".repeat(257))), Err(Flaw::LongId));
        assert!(read(&format!(r#"{P256},"kid":"{}""#, "k".repeat(256))).is_ok());
    }

    #[test]
    fn every_flaw_has_words_of_its_own() {
        let all = [
            Flaw::Unreadable,
            Flaw::Unsupported,
            Flaw::NotForVerifying,
            Flaw::Private,
            Flaw::Symmetric,
            Flaw::AlgorithmMismatch,
            Flaw::AlgorithmMissing,
            Flaw::RsaSize,
            Flaw::RsaExponent,
            Flaw::WrongLength,
            Flaw::OffCurve,
            Flaw::SmallOrder,
            Flaw::SameId,
            Flaw::LongId,
            Flaw::TooMany,
        ];
        let words: std::collections::HashSet<String> = all.iter().map(Flaw::to_string).collect();
        assert_eq!(words.len(), all.len());
        assert!(words.iter().all(|words| words.len() > 10));
    }

    #[test]
    fn the_id_of_a_bad_key_is_told_unless_it_is_too_long_to_tell() {
        let id = |length: usize| {
            let jwk = format!(r#"{{{P256},"use":"enc","kid":"{}"}}"#, "k".repeat(length));
            parse(&jwk, None).unwrap_err().0
        };
        assert_eq!(id(256), Some("k".repeat(256)));
        assert_eq!(id(257), None);
    }
}
