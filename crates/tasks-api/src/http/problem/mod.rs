//! Errors of requests (RFC 9457).

mod document;
mod responses;

use std::borrow::Cow;

use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use sea_orm::DbErr;
use serde::Serialize;
use tracing::{debug, error, warn};
use utoipa::ToSchema;

pub(crate) use self::{
    document::{ProblemDocument, render},
    responses::responses,
};
use crate::db_error::Cause;

/// Every way in which a request can fail. Each has one [`Code`].
#[derive(Debug, Clone)]
pub(crate) enum Problem {
    /// Rejected by the authentication layer: no valid token, another user's path, or no keys to verify with.
    Auth(AuthError),
    InvalidPath,
    InvalidQuery(Cow<'static, str>),
    InvalidJson(Cow<'static, str>),
    /// Not a valid logout token of a trusted issuer.
    InvalidLogoutToken(String),
    Validation(Vec<FieldError>),
    NotFound,
    MethodNotAllowed,
    PreconditionFailed,
    InvalidIdempotencyKey,
    /// The first request with this key is still in progress.
    IdempotencyKeyInUse,
    /// The first request with this key had another body.
    IdempotencyKeyReused,
    PayloadTooLarge,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The user's rate limit is exhausted. The next request is accepted after this many seconds.
    RateLimited(u64),
    UnsupportedMediaType,
    /// The database or the server is unavailable or overloaded. The request had no effect.
    Unavailable,
    /// The connection was lost, or the request timed out, after a change was sent and before its result was known.
    OutcomeUnknown,
    /// A readiness check failed, for this reason.
    NotReady(Cow<'static, str>),
    /// A bug or an unexpected state of the server. The log has the reason.
    Internal,
}

/// A rejection by the authentication layer.
#[derive(Debug, Clone)]
pub(crate) struct AuthError {
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    pub(crate) detail: &'static str,
}

/// An invalid member of a JSON body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// A JSON pointer to the member (RFC 6901), or to its object if the member is missing
    pub(crate) pointer: String,
    pub(crate) detail: String,
}

/// The kind of error, for programs
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    Forbidden,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    Internal,
    InvalidIdempotencyKey,
    InvalidJson,
    InvalidLogoutToken,
    InvalidPath,
    InvalidQuery,
    InvalidRequest,
    InvalidToken,
    MethodNotAllowed,
    MissingToken,
    NotFound,
    NotReady,
    OutcomeUnknown,
    PayloadTooLarge,
    PreconditionFailed,
    RateLimited,
    RequestTimeout,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
}

impl Problem {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Auth(auth_error) => auth_error.status,
            Self::InvalidPath
            | Self::InvalidQuery(_)
            | Self::InvalidJson(_)
            | Self::InvalidLogoutToken(_)
            | Self::InvalidIdempotencyKey => StatusCode::BAD_REQUEST,
            Self::Validation(_) | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::IdempotencyKeyInUse => StatusCode::CONFLICT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unavailable | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::OutcomeUnknown => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Auth(auth_error) => auth_error.code,
            Self::InvalidPath => Code::InvalidPath,
            Self::InvalidQuery(_) => Code::InvalidQuery,
            Self::InvalidJson(_) => Code::InvalidJson,
            Self::InvalidLogoutToken(_) => Code::InvalidLogoutToken,
            Self::Validation(_) => Code::ValidationFailed,
            Self::NotFound => Code::NotFound,
            Self::MethodNotAllowed => Code::MethodNotAllowed,
            Self::PreconditionFailed => Code::PreconditionFailed,
            Self::InvalidIdempotencyKey => Code::InvalidIdempotencyKey,
            Self::IdempotencyKeyInUse => Code::IdempotencyKeyInUse,
            Self::IdempotencyKeyReused => Code::IdempotencyKeyReused,
            Self::PayloadTooLarge => Code::PayloadTooLarge,
            Self::RequestTimeout => Code::RequestTimeout,
            Self::RateLimited(_) => Code::RateLimited,
            Self::UnsupportedMediaType => Code::UnsupportedMediaType,
            Self::Unavailable => Code::Unavailable,
            Self::OutcomeUnknown => Code::OutcomeUnknown,
            Self::NotReady(_) => Code::NotReady,
            Self::Internal => Code::Internal,
        }
    }

    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::Auth(auth_error) => auth_error.detail,
            Self::InvalidPath => "the user id in the path is longer than 255 bytes",
            Self::InvalidQuery(detail) | Self::InvalidJson(detail) | Self::NotReady(detail) => detail,
            Self::InvalidLogoutToken(detail) => detail,
            Self::Validation(_) => "validation failed; see errors",
            // The same text for an unknown route, an unknown id, and the id of another user's resource.
            Self::NotFound => "not found",
            Self::MethodNotAllowed => "method not allowed",
            Self::PreconditionFailed => {
                "the current version does not satisfy If-Match or If-None-Match; read the resource again"
            }
            Self::InvalidIdempotencyKey => "Idempotency-Key must be one header of 1 to 255 visible ASCII characters",
            Self::IdempotencyKeyInUse => "a request with this Idempotency-Key is in progress; retry later",
            Self::IdempotencyKeyReused => "Idempotency-Key was already used with a different body",
            Self::PayloadTooLarge => "request body too large",
            Self::RequestTimeout => "timed out reading the request body",
            Self::RateLimited(_) => "rate limit exceeded; see Retry-After",
            Self::UnsupportedMediaType => {
                "the body must be JSON with Content-Type: application/json and without Content-Encoding"
            }
            Self::Unavailable => "temporarily unavailable; retry later",
            Self::OutcomeUnknown => {
                "the request may have taken effect; read the resource, or retry with the same Idempotency-Key"
            }
            Self::Internal => "internal server error",
        }
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        match self {
            Self::Unavailable | Self::IdempotencyKeyInUse => headers.push((RETRY_AFTER, HeaderValue::from(2))),
            Self::RateLimited(seconds) => headers.push((RETRY_AFTER, HeaderValue::from(*seconds))),
            _ => {}
        }
        headers
    }
}

/// Status and headers. [`render`] writes the body, since it knows the request.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.headers_mut().extend(self.headers());
        response.extensions_mut().insert(self);
        response
    }
}

impl From<DbErr> for Problem {
    fn from(error: DbErr) -> Self {
        let cause = Cause::of(&error);
        match cause {
            // One fact for many requests, and the circuit breaker logs it once.
            Cause::NoConnection | Cause::ConnectionLost | Cause::ReadOnly | Cause::NoResources => {
                debug!(%error, "{}", cause.describe());
            }
            Cause::OutcomeUnknown | Cause::Contention => warn!(%error, "{}", cause.describe()),
            Cause::NotPermitted | Cause::Rejected => error!(%error, "{}", cause.describe()),
        }
        match cause {
            Cause::Rejected => Self::Internal,
            Cause::OutcomeUnknown => Self::OutcomeUnknown,
            _ => Self::Unavailable,
        }
    }
}
