//! How handlers get at what the layer found.

use std::{fmt, sync::Arc};

use crate::claims::Claims;

/// The verified claims of a request.
///
/// The layer puts it into the request's extensions; with the feature `axum` it is an extractor
/// too, also as `Option<Authenticated<C>>` behind an optional layer. Behind a layer with claims of
/// another type, `Authenticated<Claims>` is there as well.
///
/// ```
/// # use better_auth_jwt::{Authenticated, Claims};
/// fn user(request: &http::Request<String>) -> Option<&str> {
///     let Authenticated(claims) = request.extensions().get::<Authenticated<Claims>>()?;
///     Some(claims.user_id())
/// }
/// ```
pub struct Authenticated<C = Claims>(pub Arc<C>);

impl<C> Clone for Authenticated<C> {
    // Derived, it would ask for `C: Clone`.
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: fmt::Debug> fmt::Debug for Authenticated<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authenticated").field(&self.0).finish()
    }
}

#[cfg(feature = "axum")]
pub use self::in_axum::{MissingLayer, PathParam, PathUser};

#[cfg(feature = "axum")]
mod in_axum {
    use std::{borrow::Cow, convert::Infallible, fmt, future::Future, pin::pin, task};

    use axum::{
        extract::{FromRequestParts, OptionalFromRequestParts, OriginalUri, RawPathParams},
        response::{IntoResponse, Response},
    };
    use http::{StatusCode, request::Parts};

    use super::Authenticated;
    use crate::{
        claims::Claims,
        error::ErrorKind,
        user_path::{UserPath, decode_segment, is_acceptable},
    };

    impl<C: Send + Sync + 'static, S: Sync> FromRequestParts<S> for Authenticated<C> {
        type Rejection = MissingLayer;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingLayer> {
            parts.extensions.get::<Self>().cloned().ok_or(MissingLayer)
        }
    }

    impl<C: Send + Sync + 'static, S: Sync> OptionalFromRequestParts<S> for Authenticated<C> {
        type Rejection = Infallible;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
            Ok(parts.extensions.get::<Self>().cloned())
        }
    }

    /// The user that the path names, who is the token's: what queries filter by.
    ///
    /// Only a layer with [`match_user`](crate::JwtAuthLayer::match_user) has one to give, so a
    /// handler that asks for it cannot be mounted without the check.
    ///
    /// ```
    /// use better_auth_jwt::PathUser;
    ///
    /// async fn list(PathUser(user): PathUser) -> String {
    ///     format!("tasks of {user}")
    /// }
    /// ```
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    pub struct PathUser(
        /// The user's id, percent-decoded.
        pub String,
    );

    impl<S: Sync> FromRequestParts<S> for PathUser {
        type Rejection = MissingLayer;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingLayer> {
            match parts.extensions.get::<Authenticated<Claims>>() {
                Some(Authenticated(claims)) if claims.user_matched => Ok(Self(claims.user_id().to_owned())),
                _ => Err(MissingLayer),
            }
        }
    }

    /// A handler asked for claims, or for the path's user, on a route whose layer has none to give,
    /// or that has no layer: a mistake in the service, answered with 500.
    #[derive(Debug, Clone, Copy)]
    pub struct MissingLayer;

    impl fmt::Display for MissingLayer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no JwtAuthLayer with this claims type, or with match_user, guards the route")
        }
    }

    impl std::error::Error for MissingLayer {}

    impl IntoResponse for MissingLayer {
        fn into_response(self) -> Response {
            #[cfg(feature = "tracing")]
            tracing::error!("{self}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }

    /// The user is the path parameter of this name, as axum's router matched it.
    ///
    /// Works wherever a layer can stand behind the match: `route_layer`, `layer`, on a
    /// `MethodRouter`, and inside `nest`. Where nothing has been matched, or two parameters have
    /// the name, the request is refused.
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
    #[derive(Debug, Clone, Copy)]
    pub struct PathParam(
        /// The parameter's name, as in the route's `{name}`.
        pub &'static str,
    );

    impl UserPath for PathParam {
        fn user<'p>(&self, parts: &'p mut Parts) -> Result<Cow<'p, str>, ErrorKind> {
            let user = self.matched(parts)?;
            if !is_acceptable(&user) {
                return Err(ErrorKind::InvalidPath);
            }
            // axum lets a broken escape stand as it is. Only the path as it came tells that from
            // an escaped percent sign.
            if user.contains('%') && !written_properly(&user, parts) {
                return Err(ErrorKind::InvalidPath);
            }
            Ok(Cow::Owned(user))
        }
    }

    impl PathParam {
        /// What axum's own extractors would give a handler.
        fn matched(&self, parts: &mut Parts) -> Result<String, ErrorKind> {
            // Reading the extensions takes no time, so this is ready at once.
            let extracting = pin!(RawPathParams::from_request_parts(parts, &()));
            let task::Poll::Ready(params) = extracting.poll(&mut task::Context::from_waker(task::Waker::noop())) else {
                return Err(ErrorKind::MissingPathUser);
            };
            let params = params.map_err(|rejection| match rejection.status() {
                StatusCode::BAD_REQUEST => ErrorKind::InvalidPath,
                _ => ErrorKind::MissingPathUser,
            })?;
            let mut named = params.iter().filter(|(name, _)| *name == self.0);
            match (named.next(), named.next()) {
                (Some((_, user)), None) => Ok(user.to_owned()),
                _ => Err(ErrorKind::MissingPathUser),
            }
        }
    }

    /// Whether `user` stands in the path, and no segment of it has a broken escape.
    fn written_properly(user: &str, parts: &Parts) -> bool {
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let mut segments = uri.path().split('/').map(decode_segment);
        segments.clone().all(|segment| segment.is_ok())
            && segments.any(|segment| segment.is_ok_and(|segment| segment == user))
    }
}
