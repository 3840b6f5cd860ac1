use std::borrow::Cow;

use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use sea_orm::DbErr;
use serde::Serialize;
use tracing::{debug, error, warn};
use utoipa::ToSchema;

use crate::db_error::Cause;

/// Every way in which a request can fail, as the client hears it: one `code` each, from this closed set.
#[derive(Debug, Clone)]
pub(crate) enum Problem {
    /// Rejected by the authentication layer: no token, a bad one, another user's path, or no keys to verify with.
    Auth(AuthError),
    InvalidPath,
    InvalidQuery(Cow<'static, str>),
    InvalidJson(Cow<'static, str>),
    /// Not a logout token, or not one for us.
    InvalidLogoutToken(String),
    Validation(Vec<FieldError>),
    NotFound,
    MethodNotAllowed,
    PreconditionFailed,
    InvalidIdempotencyKey,
    /// The first request with this key is not done yet.
    IdempotencyKeyInUse,
    /// The first request with this key had another body.
    IdempotencyKeyReused,
    PayloadTooLarge,
    /// The body did not arrive in time.
    RequestTimeout,
    /// More requests than the user may send; after so many seconds there may be another.
    RateLimited(u64),
    UnsupportedMediaType,
    /// The database or the server cannot serve this now. The request had no effect.
    Unavailable,
    /// The connection or the time ended after a change was sent and before its result was known.
    OutcomeUnknown,
    /// The server as a whole is not ready, and why.
    NotReady(Cow<'static, str>),
    /// Our fault; the log has the reason.
    Internal,
}

#[derive(Debug, Clone)]
pub(crate) struct AuthError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: &'static str,
}

/// What is wrong with one member of the body; `pointer` is a JSON pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    pub(crate) pointer: String,
    pub(crate) detail: String,
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

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Auth(auth_error) => auth_error.code,
            Self::InvalidPath => "invalid_path",
            Self::InvalidQuery(_) => "invalid_query",
            Self::InvalidJson(_) => "invalid_json",
            Self::InvalidLogoutToken(_) => "invalid_logout",
            Self::Validation(_) => "validation_failed",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::PreconditionFailed => "precondition_failed",
            Self::InvalidIdempotencyKey => "invalid_idempotency_key",
            Self::IdempotencyKeyInUse => "idempotency_key_in_use",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::RateLimited(_) => "rate_limited",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::NotReady(_) => "not_ready",
            Self::Internal => "internal",
        }
    }

    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::Auth(auth_error) => auth_error.detail,
            Self::InvalidPath => "the user id in the path is longer than 255 bytes",
            Self::InvalidQuery(detail) | Self::InvalidJson(detail) | Self::NotReady(detail) => detail,
            Self::InvalidLogoutToken(detail) => detail,
            Self::Validation(_) => "validation failed; see errors",
            // The same words for a task of another user, for one that never was, and for a route we do not have.
            Self::NotFound => "not found",
            Self::MethodNotAllowed => "method not allowed; see the Allow header",
            Self::PreconditionFailed => {
                "the current version is not the one that If-Match or If-None-Match requires; read it again"
            }
            Self::InvalidIdempotencyKey => "Idempotency-Key must be one header of 1 to 255 visible ASCII characters",
            Self::IdempotencyKeyInUse => {
                "a request with this Idempotency-Key is being served; send yours again shortly"
            }
            Self::IdempotencyKeyReused => "Idempotency-Key was already used with a different body",
            Self::PayloadTooLarge => "the body is too large",
            Self::RequestTimeout => "the body did not arrive in time",
            Self::RateLimited(_) => "too many requests of this user; see the Retry-After header",
            Self::UnsupportedMediaType => "the body must be JSON, sent with Content-Type: application/json",
            Self::Unavailable => "the service cannot answer right now; try again shortly",
            Self::OutcomeUnknown => {
                "the request may have been carried out; repeat it with the same Idempotency-Key, or read the resource to find out"
            }
            Self::Internal => "something went wrong on our side",
        }
    }

    /// The error as OAuth has it, where a specification asks for it: its code and its description.
    fn oauth(&self) -> Option<(&'static str, &str)> {
        // OpenID Connect Back-Channel Logout 1.0, section 2.8.
        matches!(self, Self::InvalidLogoutToken(_)).then(|| ("invalid_request", self.detail()))
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

/// Status and headers only: the body is written by [`render`], which knows the request.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.headers_mut().extend(self.headers());
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of a failed response as RFC 9457 has it; what failed without a [`Problem`] is given one by its status.
pub(crate) fn render(response: Response, instance: &str, request_id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = response.extensions().get::<Problem>().cloned();
    let problem = problem.unwrap_or_else(|| from_status(status));
    let body = document(&problem, status, instance, request_id);
    let body = serde_json::to_vec(&body).expect("texts and numbers can be written");

    // The headers that the answer has already (Allow, a challenge) stay, but for those on its old body.
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    for (name, value) in problem.headers() {
        parts.headers.insert(name, value);
    }
    Response::from_parts(parts, body.into())
}

/// The body of a failed answer.
pub(crate) fn document<'a>(
    problem: &'a Problem,
    status: StatusCode,
    instance: &'a str,
    request_id: &'a str,
) -> ProblemDocument<'a> {
    ProblemDocument {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: problem.detail(),
        code: problem.code(),
        instance,
        request_id,
        errors: match problem {
            Problem::Validation(faults) => faults.as_slice(),
            _ => &[],
        },
        error: problem.oauth().map(|(error, _)| error),
        error_description: problem.oauth().map(|(_, description)| description),
    }
}

/// What went wrong (RFC 9457)
#[derive(Serialize, ToSchema)]
pub(crate) struct ProblemDocument<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    /// For people
    detail: &'a str,
    /// For programs
    code: &'static str,
    /// The path of the request
    instance: &'a str,
    /// To find the request in the log; also in X-Request-Id
    request_id: &'a str,
    /// What is wrong with which member of the body, all at once
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// Of a logout token: what OpenID Connect calls it
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// The same as `detail`, where there is an `error`
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<&'a str>,
}

fn from_status(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Problem::MethodNotAllowed,
        StatusCode::SERVICE_UNAVAILABLE => Problem::Unavailable,
        _ => {
            error!(%status, "error response without a problem");
            Problem::Internal
        }
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
