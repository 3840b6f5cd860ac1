//! Which origins may send cookies.

use http::{HeaderMap, Method, header::ORIGIN, request::Parts};
use url::Url;

use crate::error::ConfigError;

/// Origins (RFC 6454) whose requests may use the session cookie.
///
/// Browsers attach cookies to the requests of every site (RFC 6265, section 8.2), so a cookie alone does not mean that
/// the user's own front end sent a request.
#[derive(Clone)]
pub(super) struct Origins(Vec<Box<str>>);

impl Origins {
    pub(super) fn new(origins: Vec<String>) -> Result<Self, ConfigError> {
        if origins.is_empty() {
            return Err(ConfigError::new(
                "cookies need the origins that may send them, such as https://app.example.com",
            ));
        }
        if let Some(invalid) = origins.iter().find(|origin| !is_origin(origin)) {
            return Err(ConfigError::new(format!(
                "{invalid:?} is not an origin: it must be scheme, host and port only, such as https://app.example.com"
            )));
        }
        Ok(Self(origins.into_iter().map(Into::into).collect()))
    }

    /// Whether a request may use its cookies.
    ///
    /// Browsers omit `Origin` only in `GET` and `HEAD` requests: those of the same origin, and those whose response the
    /// other site cannot read. Such a request is rejected only if the browser says that another site sent it.
    pub(super) fn allow(&self, parts: &Parts) -> bool {
        let mut origins = parts.headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => matches!(parts.method, Method::GET | Method::HEAD) && !is_cross_site(&parts.headers),
            (Some(origin), None) => self.0.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()),
            (Some(_), Some(_)) => false,
        }
    }
}

fn is_origin(text: &str) -> bool {
    let is_serialized = |url: Url| url.origin().is_tuple() && url.origin().ascii_serialization() == text;
    // The URL standard allows `*` in a host, but there are no patterns here.
    !text.contains('*') && Url::parse(text).is_ok_and(is_serialized)
}

/// <https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header>
fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get_all("sec-fetch-site").iter().any(|site| site.as_bytes() == b"cross-site")
}
