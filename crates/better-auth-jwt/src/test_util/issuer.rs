//! Tokens of any algorithm, valid and invalid.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair},
};
use serde_json::{Value, json};

use super::{TestClock, endpoint::Endpoint};
use crate::{
    base64url,
    clock::Clock,
    keys::{Algorithm, KeySet, SharedSecret, rsa_public_key},
    verifier::Verifier,
};

/// Issues valid and deliberately invalid tokens.
///
/// Its methods panic on misuse.
pub struct Issuer {
    algorithm: Algorithm,
    signer: Signer,
    key_id: Option<String>,
    origin: String,
    clock: Arc<TestClock>,
    /// The public keys of earlier rotations, which stay published.
    retired: Vec<Value>,
    endpoint: Option<Endpoint>,
}

enum Signer {
    Secret(Vec<u8>),
    Ed25519(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Issuer {
    /// Creates an issuer with a new Ed25519 key, the default of Better Auth.
    #[expect(clippy::new_without_default, reason = "every issuer has its own key; `default` would hide that")]
    pub fn new() -> Self {
        Self::with_algorithm(Algorithm::EdDSA)
    }

    /// Creates an issuer with a new key, or a new secret, for this algorithm.
    ///
    /// # Panics
    ///
    /// The key cannot be generated.
    pub fn with_algorithm(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            signer: Signer::generate(algorithm),
            key_id: new_key_id(algorithm),
            origin: "https://app.example.com".to_owned(),
            clock: Arc::new(TestClock::new()),
            retired: Vec::new(),
            endpoint: None,
        }
    }

    /// Creates an issuer that signs with this secret and `HS256`.
    pub fn with_secret(secret: impl Into<Vec<u8>>) -> Self {
        Self { signer: Signer::Secret(secret.into()), ..Self::with_algorithm(Algorithm::HS256) }
    }

    /// Sets the origin, which is the `iss` and `aud` of the tokens.
    #[must_use]
    pub fn with_origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = origin.into();
        self
    }

    /// Uses this clock, so that several issuers and one verifier have the same time.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<TestClock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the `kid`.
    #[must_use]
    pub fn with_key_id(mut self, id: impl Into<String>) -> Self {
        self.key_id = Some(id.into());
        self
    }

    /// Serves the keys on loopback, at `/api/auth/jwks`, and sets the origin to that server's: for services that are
    /// configured with the URL of a Better Auth server.
    ///
    /// # Panics
    ///
    /// There is no free port, or the issuer signs with a secret.
    #[must_use]
    pub fn serve_jwks(mut self) -> Self {
        let endpoint = Endpoint::start(self.jwks());
        self.origin = endpoint.origin();
        self.endpoint = Some(endpoint);
        self
    }

    /// The number of requests for the keys since [`serve_jwks`](Self::serve_jwks).
    pub fn jwks_requests(&self) -> usize {
        self.endpoint.as_ref().map_or(0, Endpoint::fetches)
    }

    /// Replaces the key that signs. The old keys stay published, as in Better Auth, until
    /// [`unpublish_retired_keys`](Self::unpublish_retired_keys).
    ///
    /// # Panics
    ///
    /// The issuer signs with a secret.
    pub fn rotate(&mut self) {
        self.retired.push(self.jwk());
        self.signer = Signer::generate(self.algorithm);
        self.key_id = new_key_id(self.algorithm);
        self.publish();
    }

    /// Removes the keys of earlier rotations from the published set.
    pub fn unpublish_retired_keys(&mut self) {
        self.retired.clear();
        self.publish();
    }

    /// The origin, which is the tokens' `iss` and `aud`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The clock of the tokens and of [`verifier`](Self::verifier). It does not move until you advance it.
    pub fn clock(&self) -> Arc<TestClock> {
        self.clock.clone()
    }

    /// A verifier that accepts only this issuer's tokens.
    ///
    /// # Panics
    ///
    /// The secret given to [`with_secret`](Self::with_secret) is too weak.
    pub fn verifier(&self) -> Verifier {
        let verifier = match &self.signer {
            // A weak secret is a mistake in the test; the panic is documented above.
            Signer::Secret(secret) => {
                Verifier::builder(SharedSecret::with_algorithm(self.algorithm, [secret]).expect("a strong secret"))
            }
            // The issuer publishes valid keys.
            _ => Verifier::builder(KeySet::from_json(self.jwks()).expect("a key set")),
        };
        // An empty origin is a mistake in the test.
        verifier.issuer(&*self.origin).audience(&*self.origin).expect("an origin").clock(self.clock.clone())
    }

    /// A valid token for this user, which expires after 15 minutes.
    pub fn token(&self, user: &str) -> String {
        self.sign(&self.claims(user))
    }

    /// An access token as Better Auth's OAuth provider issues it, for
    /// [`Profile::AccessToken`](crate::Profile::AccessToken). It expires after an hour.
    pub fn access_token(&self, user: &str, resource: &str, scope: &str) -> String {
        self.sign_access(&self.access_claims(user, resource, scope))
    }

    /// A valid token with a session id, as Better Auth issues it if `definePayload` adds `sid`.
    pub fn token_with_session(&self, user: &str, session: &str) -> String {
        let mut claims = self.claims(user);
        claims["sid"] = json!(session);
        self.sign(&claims)
    }

    /// A valid logout token for this session, for [`LogoutVerifier`](crate::LogoutVerifier).
    pub fn logout_token(&self, session: &str) -> String {
        self.sign_with_header(&self.logout_header(), &self.logout_claims(session))
    }

    /// A valid logout token for all sessions of this user.
    pub fn logout_token_for_user(&self, user: &str) -> String {
        self.sign_with_header(&self.logout_header(), &self.logout_claims_about("sub", user))
    }

    /// The claims of a valid logout token, to be modified.
    pub fn logout_claims(&self, session: &str) -> Value {
        self.logout_claims_about("sid", session)
    }

    fn logout_claims_about(&self, claim: &str, id: &str) -> Value {
        let now = self.clock.unix_time();
        json!({
            "iss": self.origin, "aud": self.origin, "iat": now, "exp": now + 120, claim: id,
            "jti": base64url::encode(random(24)),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        })
    }

    /// The JOSE header of a valid logout token, to be modified.
    pub fn logout_header(&self) -> Value {
        let mut header = self.header();
        header["typ"] = json!("logout+jwt");
        header
    }

    /// The claims of a valid token, to be modified.
    pub fn claims(&self, user: &str) -> Value {
        let now = self.clock.unix_time();
        json!({
            "iat": now, "name": "Ada Lovelace", "email": "ada@example.com", "emailVerified": false, "image": null,
            "createdAt": "2026-11-21T02:18:16.111Z", "updatedAt": "2026-11-21T02:18:16.111Z", "id": user, "sub": user,
            "exp": now + 900, "iss": self.origin, "aud": self.origin,
        })
    }

    /// The claims of a valid access token, to be modified: `iss` is the origin with `/api/auth`, `aud` the resource,
    /// `client_id` and `azp` are `client`, `sid` is `session`, and `exp` is in 3600 seconds.
    pub fn access_claims(&self, user: &str, resource: &str, scope: &str) -> Value {
        let now = self.clock.unix_time();
        json!({
            "sub": user, "aud": resource, "client_id": "client", "azp": "client", "scope": scope, "sid": "session",
            "iss": format!("{}/api/auth", self.origin), "iat": now, "exp": now + 3600,
            "jti": base64url::encode(random(24)),
        })
    }

    /// The JOSE header of a valid token, to be modified.
    pub fn header(&self) -> Value {
        let mut header = json!({ "alg": self.algorithm.to_string() });
        if let Some(id) = &self.key_id {
            header["kid"] = json!(id);
        }
        header
    }

    /// A token with these claims and a valid header.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with_header(&self.header(), claims)
    }

    /// An access token with these claims and a valid header.
    pub fn sign_access(&self, claims: &Value) -> String {
        let mut header = self.header();
        header["typ"] = json!("at+jwt");
        self.sign_with_header(&header, claims)
    }

    /// A token with this header and these claims.
    pub fn sign_with_header(&self, header: &Value, claims: &Value) -> String {
        self.sign_bytes(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token with exactly these bytes as header and payload, and a valid signature.
    ///
    /// # Panics
    ///
    /// Signing fails.
    pub fn sign_bytes(&self, header: &[u8], payload: &[u8]) -> String {
        let signing_input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
        let message = signing_input.as_bytes();
        let random = SystemRandom::new();
        // Tests need the token, not the error, so a failure panics.
        let signature = match &self.signer {
            Signer::Secret(secret) => {
                // `with_secret` and `generate` create secrets only for HMAC algorithms.
                let algorithm = self.algorithm.hmac().expect("an HMAC algorithm");
                hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec()
            }
            Signer::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Signer::Ec(key) => key.sign(&random, message).expect("a signature").as_ref().to_vec(),
            Signer::Rsa(key) => {
                let encoding: &dyn signature::RsaEncoding = match self.algorithm {
                    Algorithm::RS256 => &signature::RSA_PKCS1_SHA256,
                    Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::PS384 => &signature::RSA_PSS_SHA384,
                    Algorithm::PS512 => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PSS_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message, &mut signature).expect("a signature");
                signature
            }
        };
        format!("{signing_input}.{}", base64url::encode(signature))
    }

    /// The public key as a JWK with the members that Better Auth publishes.
    ///
    /// # Panics
    ///
    /// The issuer signs with a secret, which has no public key.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| base64url::encode(bytes);
        let mut jwk = match &self.signer {
            // A mistake in the test; the panic is documented above.
            Signer::Secret(_) => panic!("a secret has no public key"),
            Signer::Ed25519(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(key.public_key().as_ref()) }),
            Signer::Ec(key) => {
                let curve = match self.algorithm {
                    Algorithm::ES256 => "P-256",
                    Algorithm::ES384 => "P-384",
                    _ => "P-521",
                };
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) })
            }
            Signer::Rsa(key) => {
                // aws-lc-rs writes valid keys.
                let (n, e) = rsa_public_key(key.public_key().as_ref()).expect("an RSA public key");
                json!({ "kty": "RSA", "n": text(n), "e": text(e) })
            }
        };
        jwk["alg"] = json!(self.algorithm.to_string());
        if let Some(id) = &self.key_id {
            jwk["kid"] = json!(id);
        }
        jwk
    }

    /// The key set this issuer publishes.
    ///
    /// # Panics
    ///
    /// As [`jwk`](Self::jwk).
    pub fn jwks(&self) -> String {
        let mut keys = vec![self.jwk()];
        keys.extend_from_slice(&self.retired);
        json!({ "keys": keys }).to_string()
    }

    fn publish(&self) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.publish(self.jwks());
        }
    }
}

impl Signer {
    fn generate(algorithm: Algorithm) -> Self {
        use Algorithm::*;
        // Without random numbers, no test can run.
        let ec = |curve| Self::Ec(EcdsaKeyPair::generate(curve).expect("an elliptic curve key"));
        match algorithm {
            HS256 | HS384 | HS512 => Self::Secret(random(64)),
            EdDSA | Ed25519 => Self::Ed25519(Ed25519KeyPair::generate().expect("an Ed25519 key")),
            ES256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            ES384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            ES512 => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            RS256 | RS384 | RS512 | PS256 | PS384 | PS512 => {
                Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key"))
            }
        }
    }
}

/// Keys have ids, secrets have none.
fn new_key_id(algorithm: Algorithm) -> Option<String> {
    (!algorithm.is_symmetric()).then(|| base64url::encode(random(24)))
}

fn random(bytes: usize) -> Vec<u8> {
    let mut random = vec![0; bytes];
    // Without random numbers, no test can run.
    aws_lc_rs::rand::fill(&mut random).expect("random bytes");
    random
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("origin", &self.origin)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
