//! Utilities to test services that use the layer: an issuer of valid and invalid tokens, a JWKS endpoint on loopback,
//! and a manually advanced clock.
//!
//! If the test can pass a verifier to the service:
//!
//! ```
//! use better_auth_jwt::{JwtAuthLayer, test_util::Issuer};
//!
//! let issuer = Issuer::new();
//! let auth = JwtAuthLayer::new(issuer.verifier());
//! # let _ = auth;
//! let token = issuer.token("ada"); // Authorization: Bearer {token}
//! ```
//!
//! If the service is configured with a URL, use an issuer that serves its keys on loopback:
//!
//! ```
//! # #[cfg(feature = "jwks-reqwest")] {
//! # use better_auth_jwt::{Verifier, test_util::Issuer};
//! let issuer = Issuer::new().serve_jwks();
//! let verifier = Verifier::better_auth(issuer.origin())?;
//! # let _ = verifier;
//! # }
//! # Ok::<(), better_auth_jwt::ConfigError>(())
//! ```
//!
//! To test a handler without a token, use [`claims`]:
//!
//! ```
//! use better_auth_jwt::{Authenticated, Claims, test_util};
//! use serde_json::json;
//!
//! async fn greet(Authenticated(claims): Authenticated<Claims>) -> String {
//!     format!("Hello {}", claims.user_id())
//! }
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let response = greet(Authenticated(test_util::claims(json!({ "sub": "ada" })))).await;
//! assert_eq!(response, "Hello ada");
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! To make an invalid token, modify a part of a valid one:
//!
//! ```
//! # use better_auth_jwt::test_util::Issuer;
//! # use serde_json::json;
//! # let issuer = Issuer::new();
//! let mut claims = issuer.claims("ada");
//! claims["aud"] = json!("https://elsewhere.example.com");
//! let wrong_audience = issuer.sign(&claims);
//!
//! let mut header = issuer.header();
//! header["typ"] = json!("logout+jwt");
//! let wrong_type = issuer.sign_with_header(&header, &issuer.claims("ada"));
//!
//! let forged = Issuer::new().sign_with_header(&issuer.header(), &issuer.claims("ada"));
//! let malformed = issuer.sign_bytes(b"{}", b"\xff");
//! # let _ = (wrong_audience, wrong_type, forged, malformed);
//! ```
//!
//! Do not use this module in production. Unlike the rest of the crate, it panics on misuse.

mod clock;
mod endpoint;
mod issuer;

use std::sync::Arc;

use serde_json::{Value, json};

pub use self::{clock::TestClock, issuer::Issuer};
use crate::{
    claims::Claims,
    clock::{Clock, SystemClock},
    error::ConfigError,
    keys::{Algorithm, SharedSecret},
    verifier::{Failure, Verifier},
};

/// Creates claims for tests of handlers, without a token.
///
/// `exp` is in 15 minutes unless it is specified. With an `iss`, they are the claims of that issuer's session and user;
/// without one, [`RevokedSessions`](crate::RevokedSessions) compares the ids with those of every issuer.
///
/// # Panics
///
/// The claims would be rejected: they are not an object, `sub` is missing, or one of the registered claims is invalid.
pub fn claims(claims: Value) -> Arc<Claims> {
    // The secret is long enough; the panics on invalid claims are documented above.
    let keys = SharedSecret::allowing_well_known(Algorithm::HS256, [[7; 32]]).expect("a secret");
    let verifier = match claims["iss"].as_str() {
        Some(issuer) => Verifier::builder(keys).issuer(issuer),
        None => Verifier::builder(keys).insecure_any_issuer(),
    };
    let verifier = verifier.insecure_any_audience().expect("an issuer");
    let mut all = json!({ "exp": SystemClock.unix_time() + 900 });
    match (all.as_object_mut(), claims) {
        (Some(all), Value::Object(claims)) => all.extend(claims),
        _ => panic!("claims are a JSON object"),
    }
    let token = Issuer::with_secret([7; 32]).sign(&all);
    match verifier.try_verify(token.as_bytes(), verifier.now()) {
        Ok(verified) => verified.claims,
        Err(failure) => panic!("a token with these claims would be rejected: {}", Failure::into_error(failure)),
    }
}

/// Like [`SharedSecret::with_algorithm`], but also accepts secrets that are publicly known: all zeros, or Better Auth's
/// default. Published test vectors are signed with such secrets.
///
/// # Errors
///
/// The algorithm is not an HMAC algorithm, there is no secret, or one is too short for the algorithm.
pub fn insecure_secrets<S: AsRef<[u8]>>(
    algorithm: Algorithm,
    secrets: impl IntoIterator<Item = S>,
) -> Result<SharedSecret, ConfigError> {
    SharedSecret::allowing_well_known(algorithm, secrets)
}
