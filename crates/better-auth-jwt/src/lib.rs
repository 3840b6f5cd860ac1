#![cfg_attr(docsrs, feature(doc_cfg))]
// Links in the README lead to docs.rs, for readers on other sites. Here, these files define them first, as links to the
// items that the enabled features provide: if a link is defined twice, Markdown uses the first definition.
#![cfg_attr(not(doctest), doc = include_str!("links/always.md"))]
#![cfg_attr(all(feature = "axum", not(doctest)), doc = include_str!("links/axum.md"))]
#![cfg_attr(all(feature = "jwks", not(doctest)), doc = include_str!("links/jwks.md"))]
#![cfg_attr(all(feature = "jwks-reqwest", not(doctest)), doc = include_str!("links/jwks-reqwest.md"))]
#![cfg_attr(all(feature = "backchannel-logout", not(doctest)), doc = include_str!("links/backchannel-logout.md"))]
#![cfg_attr(all(feature = "session-exchange", not(doctest)), doc = include_str!("links/session-exchange.md"))]
#![cfg_attr(all(feature = "test-util", not(doctest)), doc = include_str!("links/test-util.md"))]
#![cfg_attr(not(doctest), doc = "")]
// The page is the same with any features. Its examples need these features to compile; a `cfg` in them would be
// visible.
#![cfg_attr(
    any(not(doctest), all(feature = "axum", feature = "backchannel-logout", feature = "jwks-reqwest")),
    doc = include_str!("../README.md")
)]

mod algorithm;
mod authenticated;
mod authorizer;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "backchannel-logout")]
mod backchannel;
mod base64url;
mod bearer;
#[cfg(feature = "jwks-reqwest")]
mod better_auth;
mod better_auth_urls;
#[cfg(doc)]
#[doc = include_str!("better_auth_versions.md")]
pub mod better_auth_versions {}
mod claims;
mod clock;
#[cfg(doc)]
#[doc = include_str!("comparison.md")]
pub mod comparison {}
mod deadline;
mod error;
mod future;
#[cfg(any(doc, doctest))]
pub mod guides;
mod header;
#[cfg(feature = "jwks-reqwest")]
mod http_endpoint;
mod json;
pub mod jws;
pub mod keys;
mod layer;
mod logout;
mod numeric_date;
mod outcome;
mod path;
#[cfg(feature = "jwks")]
mod rate_limit;
mod rejection;
mod revoked;
mod rule;
mod service;
mod session;
#[cfg(feature = "session-exchange")]
mod session_exchange;
#[cfg(feature = "test-util")]
pub mod test_util;
mod token_cache;
mod token_source;
mod verifier;

#[cfg(feature = "axum")]
pub use self::axum::{AuthenticatedRejection, PathParam, PathUser};
#[cfg(feature = "backchannel-logout")]
pub use self::backchannel::{BackChannelLogout, LogoutHandler};
#[cfg(feature = "jwks-reqwest")]
pub use self::better_auth::BetterAuth;
#[cfg(feature = "session-exchange")]
pub use self::session_exchange::{ExchangeStatus, SessionExchange, SessionExchangeBuilder};
pub use self::{
    authenticated::Authenticated,
    better_auth_urls::BetterAuthUrls,
    claims::{ClaimError, Claims, FromClaims},
    clock::{Clock, SystemClock},
    error::{ConfigError, ConfigErrorKind, Error, ErrorKind},
    future::ResponseFuture,
    layer::JwtAuthLayer,
    logout::{LogoutTarget, LogoutToken, LogoutVerifier},
    outcome::Outcome,
    path::{PathError, PathTemplate, PathValue},
    rejection::{BearerRejection, GrpcRejection, ProblemRejection, RejectionResponse},
    revoked::{CapacityError, RevokedSessions},
    service::JwtAuth,
    session::{MissingSession, SessionCheck, SessionState},
    token_source::TokenSource,
    verifier::{Profile, Verifier, VerifierBuilder, WantsAudience, WantsIssuer},
};
