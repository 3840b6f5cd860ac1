//! For tests of services that use the layer: tokens of any algorithm and with any fault, a JWKS
//! endpoint, and a clock to turn.
//!
//! Two lines are enough where the verifier is passed in:
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
//! A service that is configured by URL gets the issuer's, whose keys are then on loopback:
//!
//! ```
//! # #[cfg(feature = "jwks-reqwest")] {
//! # use better_auth_jwt::{Verifier, test_util::Issuer};
//! let issuer = Issuer::new().on_loopback();
//! let verifier = Verifier::better_auth(issuer.origin())?;
//! # let _ = verifier;
//! # }
//! # Ok::<(), better_auth_jwt::ConfigError>(())
//! ```
//!
//! Any fault can be had by changing what a good token has:
//!
//! ```
//! # use better_auth_jwt::test_util::Issuer;
//! # use serde_json::json;
//! # let issuer = Issuer::new();
//! let mut claims = issuer.claims("ada");
//! claims["aud"] = json!("https://elsewhere.example.com");
//! let for_somebody_else = issuer.sign(&claims);
//!
//! let mut header = issuer.header();
//! header["typ"] = json!("logout+jwt");
//! let another_kind = issuer.sign_with_header(&header, &issuer.claims("ada"));
//!
//! let forged = Issuer::new().sign_with_header(&issuer.header(), &issuer.claims("ada"));
//! let no_json = issuer.sign_bytes(b"{}", b"\xff");
//! # let _ = (for_somebody_else, another_kind, forged, no_json);
//! ```
//!
//! Nothing in here is meant for production; unlike the rest of the crate it panics where it is
//! used wrongly.

mod clock;
mod endpoint;
mod issuer;

pub use self::{clock::TestClock, issuer::Issuer};
use crate::{
    error::ConfigError,
    keys::{Algorithm, SharedSecret},
};

/// As [`SharedSecret::with_algorithm`], but takes secrets that everybody knows too: all zeros, or
/// Better Auth's default. Published test vectors are signed with such.
///
/// # Errors
///
/// The algorithm is none for secrets, there is no secret, or one is too short for the algorithm.
pub fn known_secrets<S: AsRef<[u8]>>(
    algorithm: Algorithm,
    secrets: impl IntoIterator<Item = S>,
) -> Result<SharedSecret, ConfigError> {
    SharedSecret::of_any_secrets(algorithm, secrets)
}
