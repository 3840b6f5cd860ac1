//! The responses to rejected requests.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use better_auth_jwt::{Error, ErrorKind};
use http::StatusCode;
use serde_json::json;

/// `{"error":{"code":…,"message":…}}`, with the status and headers of the library's default response.
pub(crate) fn json_rejection(error: &Error) -> Response {
    let body = json!({ "error": { "code": code(error.kind()), "message": error.description() } });
    let mut response = (error.status(), Json(body)).into_response();
    error.write_headers(response.headers_mut());
    response
}

/// Tells the client what to do. Which check failed is only logged.
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
