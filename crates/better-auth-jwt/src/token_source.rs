//! Where a request carries its token.

use std::{borrow::Cow, fmt, sync::Arc};

use http::{
    HeaderMap, HeaderName,
    header::{AUTHORIZATION, COOKIE},
    request::Parts,
};

use crate::{bearer, error::ErrorKind};

/// Where the layer finds a request's token.
///
/// The default is the [`Authorization`](Self::bearer) header. A gateway may put its token into another
/// header, and a browser that cannot set headers may send a cookie:
///
/// ```
/// use better_auth_jwt::{JwtAuthLayer, TokenSource};
/// # use better_auth_jwt::test_util::Issuer;
/// # let verifier = Issuer::new().verifier();
///
/// // The header of a gateway, instead of `Authorization`:
/// let auth = JwtAuthLayer::new(verifier.clone()).token_source(TokenSource::header("x-gateway-jwt".parse()?));
///
/// // `Authorization`, or a cookie where there is no such header:
/// let auth = JwtAuthLayer::new(verifier)
///     .token_source(TokenSource::bearer().fallback(TokenSource::cookie("api_token")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenSource(Arc<FindFn>);

type FindFn = dyn Fn(&Parts) -> Result<&[u8], ErrorKind> + Send + Sync;

impl TokenSource {
    /// `Authorization: Bearer <token>` (RFC 6750, section 2.1).
    #[must_use]
    pub fn bearer() -> Self {
        Self::new(|parts| bearer::token(&parts.headers))
    }

    /// The value of this header, with or without the scheme `Bearer`.
    ///
    /// Use this only behind a gateway that removes the header from its clients' requests or replaces it.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        if name == AUTHORIZATION {
            return Self::bearer();
        }
        Self::new(move |parts| header(&parts.headers, &name))
    }

    /// The value of this cookie (RFC 6265, section 4.2), in any of the `Cookie` headers.
    ///
    /// Browsers attach cookies to cross-site requests too. Set the cookie with `SameSite`, and check
    /// the request's `Origin` or `Sec-Fetch-Site`, for example with `tower-http`'s `csrf` layer.
    #[must_use]
    pub fn cookie(name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        Self::new(move |parts| cookie(&parts.headers, &name))
    }

    /// The token that a function finds. An empty string counts as no token.
    ///
    /// Do not take tokens from the query: they end up in logs and browser histories.
    ///
    /// For example, from the subprotocols of a WebSocket, as in [`guides::streams`](crate::guides::streams):
    ///
    /// ```
    /// use better_auth_jwt::TokenSource;
    ///
    /// let source = TokenSource::from_fn(|parts| {
    ///     let offered = parts.headers.get("sec-websocket-protocol")?.to_str().ok()?;
    ///     let mut protocols = offered.split(',').map(str::trim);
    ///     protocols.find(|protocol| *protocol == "bearer")?;
    ///     protocols.next()
    /// });
    /// ```
    #[must_use]
    pub fn from_fn(function: impl Fn(&Parts) -> Option<&str> + Send + Sync + 'static) -> Self {
        Self::new(move |parts| non_empty(function(parts).unwrap_or_default().as_bytes()))
    }

    /// Accepts a token from either source. A request with tokens in both is rejected with 400, because
    /// RFC 6750, section 2, allows one method per request.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::new(move |parts| match (self.find(parts), other.find(parts)) {
            (Err(ErrorKind::MissingToken), other) => other,
            (first, Err(ErrorKind::MissingToken)) => first,
            _ => Err(ErrorKind::InvalidRequest),
        })
    }

    /// Uses the other source for requests without a token in this one.
    #[must_use]
    pub fn fallback(self, other: Self) -> Self {
        Self::new(move |parts| match self.find(parts) {
            Err(ErrorKind::MissingToken) => other.find(parts),
            found => found,
        })
    }

    /// Finds the token: [`ErrorKind::MissingToken`] if there is none, [`ErrorKind::InvalidRequest`] if
    /// the request is ambiguous or malformed.
    pub(crate) fn find<'p>(&self, parts: &'p Parts) -> Result<&'p [u8], ErrorKind> {
        (self.0)(parts)
    }

    fn new(find: impl Fn(&Parts) -> Result<&[u8], ErrorKind> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }
}

impl Default for TokenSource {
    fn default() -> Self {
        Self::bearer()
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h [u8], ErrorKind> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(ErrorKind::MissingToken)?.as_bytes();
    if values.next().is_some() {
        return Err(ErrorKind::InvalidRequest);
    }
    let token = bearer::strip_scheme(value).filter(|rest| rest.starts_with(b" ")).unwrap_or(value);
    non_empty(token.trim_ascii())
}

/// RFC 9113, section 8.2.3: HTTP/2 may split cookies over several fields.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h [u8], ErrorKind> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        // RFC 6265, section 4.1.1: the value may be quoted.
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        (!value.is_empty()).then_some(value)
    });
    let value = values.next().ok_or(ErrorKind::MissingToken)?;
    // Two cookies with one name come from different paths or domains, and their order is not reliable.
    if values.any(|other| other != value) { Err(ErrorKind::InvalidRequest) } else { non_empty(value) }
}

fn non_empty(token: &[u8]) -> Result<&[u8], ErrorKind> {
    match token {
        [] => Err(ErrorKind::MissingToken),
        token if !token.is_ascii() => Err(ErrorKind::InvalidRequest),
        token => Ok(token),
    }
}

#[cfg(test)]
mod tests;
