//! The problem document: the body of an error response.

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::Response,
};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use super::{Code, FieldError, Problem};

pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// An error (RFC 9457)
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    /// For people
    detail: &'a str,
    #[schema(inline)]
    code: Code,
    /// The path of the request
    instance: &'a str,
    /// Identifies the request in the log; the same as the X-Request-Id header
    request_id: &'a str,
    /// The invalid members of the body
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// The OAuth error code, for an invalid logout token
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// The same as `detail`, if there is an `error`
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<&'a str>,
}

impl<'a> ProblemDocument<'a> {
    pub(super) fn new(problem: &'a Problem, status: StatusCode, instance: &'a str, request_id: &'a str) -> Self {
        let detail = problem.detail();
        let errors = match problem {
            Problem::Validation(errors) => errors.as_slice(),
            _ => &[],
        };
        // OpenID Connect Back-Channel Logout 1.0, section 2.8.
        let error = matches!(problem, Problem::InvalidLogoutToken(_)).then_some("invalid_request");
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail,
            code: problem.code(),
            instance,
            request_id,
            errors,
            error,
            error_description: error.map(|_| detail),
        }
    }
}

/// Gives an error response its problem document. A response without a [`Problem`] gets one by its status.
pub(crate) fn render(response: Response, instance: &str, request_id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let problem = response.extensions().get::<Problem>().cloned();
    let problem = problem.unwrap_or_else(|| from_status(status));
    let document = ProblemDocument::new(&problem, status, instance, request_id);
    let body = serde_json::to_vec(&document).expect("strings and numbers are JSON");

    // Headers such as Allow and WWW-Authenticate stay; those of the old body are replaced.
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    for (name, value) in problem.headers() {
        parts.headers.insert(name, value);
    }
    Response::from_parts(parts, body.into())
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
