use std::sync::Arc;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use better_auth_jwt::{
    Claims, ConfigError, Error, ErrorKind, JwtAuthLayer, PathParam, Verifier,
    keys::{KeySource, RemoteKeySet, SharedSecret},
    write_headers,
};

use crate::{
    config::{AuthConfig, Redacted},
    metrics::Metrics,
    problem::{Problem, Refusal},
};

/// Accepts what the configuration names: tokens signed with the secrets, tokens signed with the issuer's published keys.
/// The published keys come along, for those who want to watch them.
pub(crate) fn verifier(config: &AuthConfig) -> Result<(Verifier, Option<RemoteKeySet>), ConfigError> {
    let shared = SharedSecret::keyring(config.secrets.iter().map(Redacted::expose)).map(|keys| bound(keys, config));
    let Some(jwks) = &config.jwks else { return Ok((shared?, None)) };
    let keys = jwks.key_set()?;
    let published = bound(keys.clone(), config);
    let verifier = if config.secrets.is_empty() { published } else { shared?.or(published) };
    Ok((verifier, Some(keys)))
}

/// The layer for routes below `/api/{user_id}`.
pub(crate) fn layer(verifier: Verifier, metrics: Arc<Metrics>) -> JwtAuthLayer<Claims, fn(&Error) -> Response> {
    JwtAuthLayer::new(verifier)
        .match_user(PathParam("user_id"))
        .observe(move |outcome| metrics.authenticated(outcome))
        .reject_with(refuse)
}

fn bound(keys: impl KeySource, config: &AuthConfig) -> Verifier {
    let keys = Verifier::new(keys);
    let keys = match &config.issuer {
        Some(issuer) => keys.issuer(issuer.as_str()),
        None => keys.any_issuer(),
    };
    let verifier = match &config.audience {
        Some(audience) => keys.audience(audience.as_str()),
        None => keys.any_audience(),
    };
    if config.require_sid { verifier.require_sid() } else { verifier }
}

fn refuse(error: &Error) -> Response {
    let mut response = Problem::Refused(refusal(error.kind())).into_response();
    write_headers(error, response.headers_mut());
    response
}

/// What the client hears of the layer's reason.
pub(crate) fn refusal(kind: ErrorKind) -> Refusal {
    let code = match kind {
        ErrorKind::MissingToken => "missing_token",
        ErrorKind::InvalidRequest => "invalid_request",
        ErrorKind::InvalidPath => "invalid_path",
        ErrorKind::KeysUnavailable => "unavailable",
        _ if kind.status() == StatusCode::FORBIDDEN => "forbidden",
        _ => "invalid_token",
    };
    Refusal { status: kind.status(), code, detail: kind.description() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::token;

    #[tokio::test]
    async fn tokens_without_a_session_are_refused_where_the_setting_says_so() {
        for (require_sid, session, accepted) in
            [(false, None, true), (false, Some("s"), true), (true, None, false), (true, Some("s"), true)]
        {
            let config = AuthConfig {
                secrets: vec![Redacted::new("0123456789abcdef0123456789abcdef")],
                jwks: None,
                issuer: None,
                audience: None,
                require_sid,
            };
            let (verifier, _) = verifier(&config).unwrap();
            let token = token::sign("ada", Duration::from_secs(60), session, &config).unwrap();
            assert_eq!(verifier.verify(&token).await.is_ok(), accepted, "{require_sid} {session:?}");
        }
    }
}
