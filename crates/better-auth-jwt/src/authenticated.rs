//! The request extension with the verified claims.

use std::{fmt, sync::Arc};

use crate::claims::Claims;

/// The verified claims of a request.
///
/// The layer inserts it into the request's extensions; with the feature `axum` it is also an extractor.
/// Behind an [optional](crate::JwtAuthLayer::optional) layer, extract `Option<Authenticated<C>>`. Behind a
/// layer with a [custom claims type](crate::JwtAuthLayer::claims), `Authenticated<Claims>` is available
/// too.
///
/// ```
/// # use better_auth_jwt::{Authenticated, Claims};
/// fn user_id(request: &http::Request<String>) -> Option<&str> {
///     let Authenticated(claims) = request.extensions().get::<Authenticated<Claims>>()?;
///     Some(claims.user_id())
/// }
/// ```
pub struct Authenticated<C = Claims>(
    /// The claims.
    pub Arc<C>,
);

/// Marks requests whose path was compared with the token's user id.
#[derive(Clone, Copy)]
pub(crate) struct PathUserMatched;

impl<C> Clone for Authenticated<C> {
    // A derived impl would require `C: Clone`.
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: fmt::Debug> fmt::Debug for Authenticated<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authenticated").field(&self.0).finish()
    }
}
