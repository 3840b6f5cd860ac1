//! Authentication: `better-auth-jwt` with the error responses of this server.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use better_auth_jwt::{Claims, Error, ErrorKind, JwtAuthLayer};

use crate::{
    http::problem::{AuthError, Code, Problem},
    state::AppState,
};

/// The layer's type.
pub(crate) type Auth = JwtAuthLayer<Claims, fn(&Error) -> Response>;

/// The layer. It does not look at the path yet: see `match_user`.
pub(crate) fn layer(state: &AppState) -> Auth {
    let metrics = state.metrics.clone();
    let mut auth = JwtAuthLayer::new(state.verifier.clone());
    if let Some(exchange) = &state.session_exchange {
        auth = auth.exchange_sessions(exchange.clone());
    }
    auth.sessions(state.revocations.clone(), state.revocations.config.missing_session)
        .on_outcome(move |outcome| metrics.authenticated(outcome))
        .rejection_response(reject)
}

fn reject(error: &Error) -> Response {
    let mut response = Problem::Auth(auth_error(error.kind())).into_response();
    error.write_headers(response.headers_mut());
    response
}

/// The problem of a rejection by the layer.
pub(crate) fn auth_error(kind: ErrorKind) -> AuthError {
    let code = match kind {
        ErrorKind::MissingToken => Code::MissingToken,
        ErrorKind::InvalidRequest => Code::InvalidRequest,
        ErrorKind::InvalidPath => Code::InvalidPath,
        _ if kind.status() == StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        _ if kind.status() == StatusCode::FORBIDDEN => Code::Forbidden,
        _ => Code::InvalidToken,
    };
    AuthError { status: kind.status(), code, detail: kind.description() }
}
