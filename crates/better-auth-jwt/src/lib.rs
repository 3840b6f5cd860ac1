#![cfg_attr(docsrs, feature(doc_cfg))]
// The README's examples are for these features, and carry no attribute, which their readers would see.
#![cfg_attr(all(feature = "axum", feature = "backchannel-logout", feature = "remote-jwks"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "axum", feature = "backchannel-logout", feature = "remote-jwks")),
    doc = "A Tower layer that verifies the JWTs Better Auth issues."
)]

mod authenticated;
mod authorizer;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "backchannel-logout")]
mod backchannel;
mod base64url;
mod bearer;
#[cfg(feature = "remote-jwks")]
mod better_auth;
mod cache;
mod claims;
mod clock;
#[cfg(doc)]
#[doc = include_str!("comparison.md")]
pub mod comparison {}
mod deadline;
mod digits;
mod error;
mod future;
mod header_memo;
mod json;
pub mod jws;
pub mod keys;
mod layer;
mod logout;
mod numeric_date;
mod outcome;
mod path;
mod rejection;
mod revoked;
mod rule;
mod service;
mod session;
#[cfg(feature = "test-util")]
pub mod test_util;
mod token_source;
mod verify;

#[cfg(feature = "axum")]
pub use self::axum::{AuthenticatedRejection, PathParam, PathUser};
#[cfg(feature = "backchannel-logout")]
pub use self::backchannel::{BackchannelLogout, LogoutSink};
#[cfg(feature = "remote-jwks")]
pub use self::better_auth::BetterAuth;
pub use self::{
    authenticated::Authenticated,
    claims::{ClaimError, Claims, FromClaims},
    clock::{Clock, SystemClock},
    error::{ConfigError, Error, ErrorKind},
    future::ResponseFuture,
    layer::JwtAuthLayer,
    logout::{LoggedOut, Logout, LogoutVerifier},
    outcome::Outcome,
    path::{PathError, PathTemplate, PathValue},
    rejection::{BearerRejection, GrpcRejection, ProblemRejection, RejectionResponse},
    revoked::{RevocationsFull, RevokedSessions},
    service::JwtAuth,
    session::{SessionCheck, SessionState, WithoutSession},
    token_source::TokenSource,
    verify::{Profile, Verifier, WantsAudience, WantsIssuer},
};
