//! The responses to rejected requests.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use better_auth_jwt::{Error, ErrorKind};
use http::StatusCode;
use serde_json::json;

/// `{"error":{"code":…,"message":…}}`, with the status and headers of the library's default response.
pub(crate) fn refusal(error: &Error) -> Response {
    let body = json!({ "error": { "code": code(error.kind()), "message": error.description() } });
    let mut response = (error.status(), Json(body)).into_response();
    error.write_headers(response.headers_mut());
    response
}

/// Says what the client should do, and no more: which check failed is for the log.
fn code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::MissingToken => "sign_in",
        ErrorKind::Expired => "token_expired",
        ErrorKind::InsufficientScope => "scope_missing",
        _ => match kind.status() {
            StatusCode::BAD_REQUEST => "bad_request",
            StatusCode::FORBIDDEN => "not_allowed",
            StatusCode::SERVICE_UNAVAILABLE => "try_again",
            _ => "token_invalid",
        },
    }
}
