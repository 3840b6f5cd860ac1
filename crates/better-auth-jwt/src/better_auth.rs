//! What follows from the base URL of a Better Auth server.

use url::{Position, Url};

use crate::error::ConfigError;

/// Better Auth's base path where the base URL has none.
const BASE_PATH: &str = "/api/auth";

/// The addresses of a Better Auth server, derived from its base URL as it does itself.
///
/// ```
/// use better_auth_jwt::BetterAuthUrls;
///
/// let server = BetterAuthUrls::new("https://app.example.com/")?;
/// assert_eq!(server.origin(), "https://app.example.com");
/// assert_eq!(server.jwks_url(), "https://app.example.com/api/auth/jwks");
/// assert_eq!(BetterAuthUrls::new("https://example.com/custom/auth")?.jwks_url(), "https://example.com/custom/auth/jwks");
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BetterAuthUrls {
    origin: String,
    base_path: String,
}

impl BetterAuthUrls {
    /// Reads a base URL.
    ///
    /// # Errors
    ///
    /// The text is no `http` or `https` URL, or has credentials, a query or a fragment.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        let wrong = |what: &str| ConfigError::new(format!("the URL of the Better Auth server {what}"));
        let parsed =
            Url::parse(url.trim()).map_err(|_| wrong("is no URL; it should look like https://app.example.com"))?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(wrong("must begin with https://"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(wrong("must not contain a user or a password"));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(wrong("must not have a query or a fragment"));
        }
        let base_path = match parsed.path().trim_end_matches('/') {
            "" => BASE_PATH,
            path => path,
        };
        Ok(Self { origin: parsed[..Position::BeforePath].to_owned(), base_path: base_path.to_owned() })
    }

    /// Scheme, host and port: the `iss` and `aud` of the JWT plugin's tokens.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where the JWT plugin publishes its keys.
    pub fn jwks_url(&self) -> String {
        format!("{}{}/jwks", self.origin, self.base_path)
    }

    /// The `iss` of the OAuth provider's access tokens: with the base path.
    pub fn oauth_issuer(&self) -> String {
        format!("{}{}", self.origin, self.base_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_and_paths_are_derived_as_better_auth_does() {
        for (url, origin, jwks) in [
            ("https://a.example", "https://a.example", "https://a.example/api/auth/jwks"),
            ("https://a.example/", "https://a.example", "https://a.example/api/auth/jwks"),
            ("https://a.example//", "https://a.example", "https://a.example/api/auth/jwks"),
            ("https://a.example/api/auth/", "https://a.example", "https://a.example/api/auth/jwks"),
            ("http://localhost:3000/custom/auth", "http://localhost:3000", "http://localhost:3000/custom/auth/jwks"),
            ("https://A.Example:443", "https://a.example", "https://a.example/api/auth/jwks"),
            ("http://[::1]:3000", "http://[::1]:3000", "http://[::1]:3000/api/auth/jwks"),
        ] {
            let server = BetterAuthUrls::new(url).unwrap();
            assert_eq!((server.origin(), &*server.jwks_url()), (origin, jwks), "{url}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for url in [
            "",
            "app.example.com",
            "/api",
            "ftp://a.example",
            "https://",
            "https://u:p@a.example",
            "https://a.example?x=1",
            "https://a.example/#x",
            "data:text/plain,x",
        ] {
            assert!(BetterAuthUrls::new(url).is_err(), "{url}");
        }
    }
}
