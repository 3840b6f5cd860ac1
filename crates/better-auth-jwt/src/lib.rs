#![cfg_attr(docsrs, feature(doc_cfg))]
// The README's examples are for these features, and carry no attribute, which their readers would see.
#![cfg_attr(all(feature = "axum", feature = "backchannel-logout", feature = "jwks-reqwest"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "axum", feature = "backchannel-logout", feature = "jwks-reqwest")),
    doc = "A Tower layer that verifies the JWTs Better Auth issues."
)]

mod algorithm;
#[cfg(feature = "backchannel-logout")]
mod backchannel;
mod base64url;
mod bearer;
#[cfg(feature = "jwks-reqwest")]
mod better_auth;
mod better_auth_urls;
mod cache;
mod claims;
mod clock;
#[cfg(doc)]
#[doc = include_str!("comparison.md")]
pub mod comparison {}
mod error;
mod extract;
mod future;
mod gate;
mod header;
mod json;
pub mod jws;
pub mod keys;
mod layer;
mod logout;
mod numeric_date;
mod rejection;
mod revoked;
mod service;
mod session;
#[cfg(feature = "test-util")]
pub mod test_util;
mod user_path;
mod verifier;

#[cfg(feature = "backchannel-logout")]
pub use self::backchannel::{BackchannelLogout, LogoutSink};
#[cfg(feature = "jwks-reqwest")]
pub use self::better_auth::BetterAuth;
#[cfg(feature = "axum")]
pub use self::extract::{MissingLayer, PathParam, PathUser};
pub use self::{
    better_auth_urls::BetterAuthUrls,
    claims::{ClaimError, Claims, FromClaims},
    clock::{Clock, SystemClock},
    error::{ConfigError, ConfigErrorKind, Error, ErrorKind},
    extract::Authenticated,
    future::ResponseFuture,
    gate::Outcome,
    layer::JwtAuthLayer,
    logout::{LoggedOut, Logout, LogoutVerifier},
    rejection::{BearerRejection, GrpcRejection, ProblemRejection, RejectionResponse, write_headers},
    revoked::{RevocationsFull, RevokedSessions},
    service::JwtAuth,
    session::{SessionCheck, SessionState, WithoutSession},
    user_path::{PathTemplate, UserPath},
    verifier::{Profile, Verifier, VerifierBuilder, WantsAudience, WantsIssuer},
};
