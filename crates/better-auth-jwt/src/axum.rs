//! Extractors for axum, and path parameters as axum's router matched them.

use std::{borrow::Cow, convert::Infallible, fmt, future::Future, pin::pin, task};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts, OriginalUri, RawPathParams},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use crate::{
    authenticated::{Authenticated, PathUserMatched},
    claims::Claims,
    path::{PathError, PathValue, decode_segment, is_valid_segment},
};

impl<C: Send + Sync + 'static, S: Sync> FromRequestParts<S> for Authenticated<C> {
    type Rejection = AuthenticatedRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthenticatedRejection> {
        parts.extensions.get::<Self>().cloned().ok_or(AuthenticatedRejection)
    }
}

impl<C: Send + Sync + 'static, S: Sync> OptionalFromRequestParts<S> for Authenticated<C> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// The user id in the path, after it was compared with the token's. Use it to scope queries.
///
/// Extracting it fails with 500 unless the route has a layer with
/// [`match_user`](crate::JwtAuthLayer::match_user), so a handler that uses it never serves a request
/// whose path was not compared.
///
/// ```
/// use better_auth_jwt::PathUser;
///
/// async fn list(PathUser(user_id): PathUser) -> String {
///     format!("tasks of {user_id}")
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathUser(
    /// The user id, percent-decoded.
    pub String,
);

impl<S: Sync> FromRequestParts<S> for PathUser {
    type Rejection = AuthenticatedRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthenticatedRejection> {
        match (parts.extensions.get(), parts.extensions.get::<Authenticated<Claims>>()) {
            (Some(PathUserMatched), Some(Authenticated(claims))) => Ok(Self(claims.user_id().to_owned())),
            _ => Err(AuthenticatedRejection),
        }
    }
}

/// The rejection of [`Authenticated`] and [`PathUser`]: no layer has inserted the claims.
///
/// The route has no `JwtAuthLayer`, or one with another claims type, or one without
/// [`match_user`](crate::JwtAuthLayer::match_user). This is a mistake in the service, so the response is
/// 500, and the feature `tracing` logs an error. For a custom response, wrap the extractor in
/// `axum_extra`'s `WithRejection`.
#[derive(Debug, Clone, Copy)]
pub struct AuthenticatedRejection;

impl fmt::Display for AuthenticatedRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the route has no JwtAuthLayer with this claims type, or none with match_user")
    }
}

impl std::error::Error for AuthenticatedRejection {}

impl IntoResponse for AuthenticatedRejection {
    fn into_response(self) -> Response {
        #[cfg(feature = "tracing")]
        tracing::error!("{self}");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

/// The path parameter of this name, as axum's router matched it.
///
/// Works wherever the layer runs after routing: in `route_layer` and `layer`, on a `MethodRouter`, and
/// inside `nest`. A request without such a parameter, or with two of the same name, is rejected.
///
/// Prefer `route_layer` to `layer`: `layer` also runs for paths without a route, which then get 401 instead
/// of 404. Unsupported methods get 405 only with `MethodRouter::route_layer`: in the other positions, the layer
/// also runs for them, and they get 401.
///
/// ```
/// use axum::{Router, routing::get};
/// use better_auth_jwt::{Authenticated, Claims, JwtAuthLayer, PathParam, Verifier};
///
/// let verifier = Verifier::shared_secret("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n")?
///     .issuer("https://app.example.com")
///     .audience("https://app.example.com")?;
/// let app: Router = Router::new()
///     .route("/api/{user_id}/tasks", get(list))
///     .route_layer(JwtAuthLayer::new(verifier).match_user(PathParam("user_id")));
///
/// async fn list(Authenticated(claims): Authenticated<Claims>) -> String {
///     format!("tasks of {}", claims.user_id())
/// }
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PathParam<N = &'static str>(
    /// The parameter's name, as in the route's `{name}`. A name from configuration may be a `String`.
    pub N,
);

impl<N: AsRef<str> + Send + Sync + 'static> PathValue for PathParam<N> {
    fn extract<'p>(&self, parts: &'p mut Parts) -> Result<Cow<'p, str>, PathError> {
        let value = path_param(self.0.as_ref(), parts)?;
        if !is_valid_segment(&value) {
            return Err(PathError::Invalid);
        }
        // axum does not decode a broken percent-encoding. Only the original path distinguishes it from an
        // encoded percent sign.
        if value.contains('%') && !is_well_encoded(&value, parts) {
            return Err(PathError::Invalid);
        }
        Ok(Cow::Owned(value))
    }
}

/// The value that axum's own extractors give to handlers.
fn path_param(name: &str, parts: &mut Parts) -> Result<String, PathError> {
    // The extractor only reads the request's extensions, so its future is ready immediately.
    let extracting = pin!(RawPathParams::from_request_parts(parts, &()));
    let task::Poll::Ready(params) = extracting.poll(&mut task::Context::from_waker(task::Waker::noop())) else {
        return Err(PathError::Missing);
    };
    let params = params.map_err(|rejection| match rejection.status() {
        StatusCode::BAD_REQUEST => PathError::Invalid,
        _ => PathError::Missing,
    })?;
    let mut values = params.iter().filter(|(other, _)| *other == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Ok(value.to_owned()),
        _ => Err(PathError::Missing),
    }
}

/// Whether `value` is a segment of the path, and no segment has a broken percent-encoding.
fn is_well_encoded(value: &str, parts: &Parts) -> bool {
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let mut segments = uri.path().split('/').map(decode_segment);
    segments.clone().all(|segment| segment.is_ok())
        && segments.any(|segment| segment.is_ok_and(|segment| segment == value))
}
