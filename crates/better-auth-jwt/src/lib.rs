#![doc = include_str!("../README.md")]

mod base64url;
mod bearer;
#[cfg(feature = "remote-jwks")]
mod better_auth;
mod claims;
mod clock;
mod error;
mod extract;
mod future;
mod gate;
mod json;
pub mod jws;
pub mod keys;
mod layer;
mod numeric_date;
mod rejection;
mod service;
#[cfg(feature = "test-util")]
pub mod test_util;
mod user_path;
mod verify;

#[cfg(feature = "remote-jwks")]
pub use self::better_auth::BetterAuth;
#[cfg(feature = "axum")]
pub use self::extract::{MissingLayer, PathParam, PathUser};
pub use self::{
    claims::{ClaimError, Claims, FromClaims},
    clock::{Clock, SystemClock},
    error::{ConfigError, Error, ErrorKind},
    extract::Authenticated,
    future::ResponseFuture,
    gate::Outcome,
    layer::JwtAuthLayer,
    rejection::{BearerRejection, GrpcRejection, ProblemRejection, RejectionResponse, write_headers},
    service::JwtAuth,
    user_path::{PathTemplate, UserPath},
    verify::{Profile, Verifier, WantsAudience, WantsIssuer},
};
