//! The configuration of all targets: whose tokens to accept, and where the key is.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use better_auth_jwt::{keys::Algorithm, test_util::Issuer};
use serde::Deserialize;
use serde_json::{Value, json};

/// An issuer, and how to verify its tokens.
pub struct Setup {
    pub issuer: Issuer,
    pub algorithm: Algorithm,
    /// The key to verify with, as a JWK: the public one, or the secret itself.
    pub jwk: Value,
    /// Where the key is published. Targets that can fetch it do; without a URL, all targets get the key directly.
    pub jwks_url: Option<String>,
}

/// The claims type of all targets that support custom ones.
#[derive(Debug, Clone, Deserialize)]
pub struct MyClaims {
    pub sub: String,
    pub email: String,
    pub name: String,
    #[serde(rename = "emailVerified")]
    pub email_verified: bool,
    pub exp: u64,
}

impl Setup {
    /// With an ASCII secret, because one of the peers takes it as text.
    pub const SECRET: &str = "k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n";

    /// The user whose tokens and paths are used.
    pub const USER: &str = "nA6saBrui1h2vHGT2iuNtL9dn9C6qUbT";

    /// An issuer with a new key for this algorithm. `origin` is its `iss` and `aud`.
    pub fn new(algorithm: Algorithm, origin: &str) -> Self {
        // Some peers reject tokens without `kid`; this one is as long as Better Auth's.
        const KEY_ID: &str = "ZtWpmmBNVXbRTpGEBcv3cpl6BdjxOgEt";
        let issuer = match algorithm {
            Algorithm::HS256 => Issuer::with_secret(Self::SECRET),
            _ => Issuer::with_algorithm(algorithm),
        };
        let issuer = issuer.with_key_id(KEY_ID).with_origin(origin);
        let jwk = match algorithm {
            Algorithm::HS256 => {
                json!({ "kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(Self::SECRET), "alg": "HS256", "kid": KEY_ID })
            }
            _ => issuer.jwk(),
        };
        Self { issuer, algorithm, jwk, jwks_url: None }
    }

    /// A valid token, as Better Auth issues it if `definePayload` adds `sid`. The session id starts
    /// with this number.
    pub fn token(&self, number: usize) -> String {
        let mut claims = self.issuer.claims(Self::USER);
        claims["sid"] = json!(format!("{number:04}vN8ZkT1xRy5uLpC7dHs2fJb9aMgE"));
        self.issuer.sign(&claims)
    }

    /// The key set with the one key.
    pub fn jwks(&self) -> String {
        json!({ "keys": [self.jwk] }).to_string()
    }

    /// The JWK as the type of any library.
    pub(crate) fn key<'de, T: Deserialize<'de>>(&'de self) -> T {
        T::deserialize(&self.jwk).expect("a JWK")
    }

    /// The algorithm as the type of any library.
    pub(crate) fn algorithm<T: std::str::FromStr<Err: std::fmt::Debug>>(&self) -> T {
        self.algorithm.to_string().parse().expect("an algorithm")
    }
}
