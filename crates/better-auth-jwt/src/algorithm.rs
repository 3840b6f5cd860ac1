//! The signature algorithms, by their JOSE names.

use std::{fmt, str::FromStr};

use aws_lc_rs::{hmac, signature};

use crate::error::ConfigError;

/// A signature algorithm of RFC 7518, RFC 8037 or RFC 9864.
///
/// All algorithms of jsonwebtoken, plus `ES512` and `Ed25519`, which Better Auth can use too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519 by the name of RFC 8037.
    EdDSA,
    /// Ed25519 by the name of RFC 9864, for keys with this `alg` in their JWK.
    Ed25519,
}

impl Algorithm {
    /// All of them.
    const ALL: [Self; 14] = {
        use Algorithm::*;
        [HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519]
    };

    /// The `alg` value of this algorithm.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// The algorithm with this `alg` value, compared exactly (RFC 7515, section 4.1.1).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Whether the key is a secret that the issuer and the verifier share.
    pub fn is_symmetric(self) -> bool {
        self.hmac().is_some()
    }

    pub(crate) fn is_rsa(self) -> bool {
        self.rsa().is_some()
    }

    pub(crate) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::HS256 => Some(hmac::HMAC_SHA256),
            Self::HS384 => Some(hmac::HMAC_SHA384),
            Self::HS512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }

    pub(crate) fn rsa(self) -> Option<&'static signature::RsaParameters> {
        Some(match self {
            Self::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }

    pub(crate) fn curve(self) -> Option<&'static dyn signature::VerificationAlgorithm> {
        Some(match self {
            Self::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::ES512 => &signature::ECDSA_P521_SHA512_FIXED,
            Self::EdDSA | Self::Ed25519 => &signature::ED25519,
            _ => return None,
        })
    }
}

/// Fails for algorithms that later versions of jsonwebtoken add.
impl TryFrom<jsonwebtoken::Algorithm> for Algorithm {
    type Error = ConfigError;

    fn try_from(algorithm: jsonwebtoken::Algorithm) -> Result<Self, ConfigError> {
        // Both enums name their variants as RFC 7518 names the algorithms.
        Self::from_name(&format!("{algorithm:?}"))
            .ok_or_else(|| ConfigError::keys(format!("the algorithm {algorithm:?} is not supported")))
    }
}

/// Fails for `ES512`, which jsonwebtoken does not support, and for `Ed25519`, which it calls `EdDSA`.
impl TryFrom<Algorithm> for jsonwebtoken::Algorithm {
    type Error = ConfigError;

    fn try_from(algorithm: Algorithm) -> Result<Self, ConfigError> {
        algorithm
            .as_str()
            .parse()
            .map_err(|error| ConfigError::keys(format!("jsonwebtoken does not support {algorithm}")).with_source(error))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::from_name(name).ok_or_else(|| ConfigError::keys(format!("{name:?} is not a supported algorithm")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_exactly() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse().ok(), Some(algorithm));
            assert_eq!(format!("{algorithm:?}"), algorithm.to_string(), "the variants are named alike");
        }
        for name in
            ["", "none", "None", "hs256", "HS256 ", " HS256", "HS256\0", "EDDSA", "Ed448", "ES256K", "RS1", "dir"]
        {
            assert!(name.parse::<Algorithm>().is_err(), "{name:?}");
        }
    }
}
