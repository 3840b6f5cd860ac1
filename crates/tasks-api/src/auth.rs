use std::sync::Arc;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use better_auth_jwt::{
    Claims, ConfigError, Error, ErrorKind, JwtAuthLayer, LogoutVerifier, PathParam, Verifier,
    keys::{KeySource, RemoteKeySet, SharedSecret},
};

use crate::{
    config::{AuthConfig, Redacted},
    logout::Logouts,
    metrics::Metrics,
    problem::{Problem, Refusal},
};

/// Accepts what the configuration names: tokens signed with the secrets, tokens signed with the issuer's published keys.
/// The published keys come along, for those who want to watch them.
pub(crate) fn verifier(config: &AuthConfig) -> Result<(Verifier, Option<RemoteKeySet>), ConfigError> {
    let shared =
        SharedSecret::keyring(config.secrets.iter().map(Redacted::expose)).and_then(|keys| bound(keys, config));
    let Some(jwks) = &config.jwks else { return Ok((shared?, None)) };
    let keys = jwks.key_set()?;
    let published = bound(keys.clone(), config)?;
    let verifier = if config.secrets.is_empty() { published } else { shared?.or(published) };
    Ok((verifier, Some(keys)))
}

/// Accepts the logout tokens of whoever issues these tokens, and those of the same server's OAuth provider.
pub(crate) fn logout_verifier(verifier: &Verifier, config: &AuthConfig) -> LogoutVerifier {
    let mut logout = LogoutVerifier::from(verifier);
    logout = config.logout_issuer.iter().fold(logout, |logout, issuer| logout.additional_issuer(issuer.as_str()));
    // If any audience is accepted, adding one would make it the only one.
    if config.audience.is_some() {
        logout = config
            .logout_audiences
            .iter()
            .fold(logout, |logout, audience| logout.additional_audience(audience.as_str()));
    }
    logout
}

/// The layer for routes below `/api/{user_id}`.
pub(crate) fn layer(
    verifier: Verifier,
    logouts: Logouts,
    metrics: Arc<Metrics>,
) -> JwtAuthLayer<Claims, fn(&Error) -> Response> {
    let without_session = logouts.rules.without_session;
    JwtAuthLayer::new(verifier)
        .sessions(logouts, without_session)
        .match_user(PathParam("user_id"))
        .on_outcome(move |outcome| metrics.authenticated(outcome))
        .rejection_response(refuse)
}

fn bound(keys: impl KeySource, config: &AuthConfig) -> Result<Verifier, ConfigError> {
    let keys = Verifier::builder(keys);
    let keys = match &config.issuer {
        Some(issuer) => keys.issuer(issuer.as_str()),
        None => keys.insecure_any_issuer(),
    };
    match &config.audience {
        Some(audience) => keys.audience(audience.as_str()),
        None => keys.insecure_any_audience(),
    }
}

fn refuse(error: &Error) -> Response {
    let mut response = Problem::Refused(refusal(error.kind())).into_response();
    error.write_headers(response.headers_mut());
    response
}

/// What the client hears of the layer's reason.
pub(crate) fn refusal(kind: ErrorKind) -> Refusal {
    let code = match kind {
        ErrorKind::MissingToken => "missing_token",
        ErrorKind::InvalidRequest => "invalid_request",
        ErrorKind::InvalidPath => "invalid_path",
        _ if kind.status() == StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ if kind.status() == StatusCode::FORBIDDEN => "forbidden",
        _ => "invalid_token",
    };
    Refusal { status: kind.status(), code, detail: kind.description() }
}
