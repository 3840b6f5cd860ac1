//! The URLs of a Better Auth server.

use http::Uri;

use crate::error::ConfigError;

/// Better Auth's default base path.
const BASE_PATH: &str = "/api/auth";

/// The URLs of a Better Auth server, derived from its base URL as in Better Auth.
///
/// ```
/// use better_auth_jwt::BetterAuthUrls;
///
/// let urls = BetterAuthUrls::new("https://app.example.com/")?;
/// assert_eq!(urls.origin(), "https://app.example.com");
/// assert_eq!(urls.jwks_url(), "https://app.example.com/api/auth/jwks");
/// assert_eq!(BetterAuthUrls::new("https://example.com/custom/auth")?.jwks_url(), "https://example.com/custom/auth/jwks");
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BetterAuthUrls {
    origin: String,
    base_path: String,
}

impl BetterAuthUrls {
    /// Parses a base URL.
    ///
    /// # Errors
    ///
    /// It is not an `http` or `https` URL, it has credentials, a query or a fragment, or it is the URL of the server's key set or
    /// of a discovery document.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        let url = url.trim();
        let invalid = |what: &str| ConfigError::url(format!("the URL of the Better Auth server {what}"));
        let looks_like = "is invalid; it should look like https://app.example.com";
        let uri: Uri = url.parse().map_err(|error| invalid(looks_like).with_source(error))?;
        let default_port: u16 = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            _ => return Err(invalid("must start with https:// or http://")),
        };
        let authority = uri.authority().ok_or_else(|| invalid(looks_like))?.as_str();
        if authority.contains('@') {
            return Err(invalid("must not contain a user or a password"));
        }
        if uri.query().is_some() || url.contains('#') {
            return Err(invalid("must not have a query or a fragment"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| invalid(looks_like))?;
        let port = match authority.strip_prefix(host).and_then(|rest| rest.strip_prefix(':')) {
            None | Some("") => default_port,
            Some(port) => port.parse().map_err(|_| invalid("has an invalid port"))?,
        };
        if url.contains(',') {
            return Err(invalid("must be a single URL"));
        }
        let base_path = match uri.path().trim_end_matches('/') {
            "" => BASE_PATH,
            path if path.ends_with("/jwks") || path.contains("/.well-known/") => {
                return Err(invalid("must be its base URL, not that of its key set or of a discovery document"));
            }
            path if path.split('/').any(|segment| matches!(segment, "." | "..")) => {
                return Err(invalid("must not have `.` or `..` in its path"));
            }
            path => path,
        };
        let mut origin = format!("{}://{}", uri.scheme_str().unwrap_or_default(), host.to_ascii_lowercase());
        if port != default_port {
            origin += &format!(":{port}");
        }
        Ok(Self { origin, base_path: base_path.to_owned() })
    }

    /// Scheme, host and port: `iss` and `aud` of the JWT plugin's tokens.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where the JWT plugin publishes its keys.
    pub fn jwks_url(&self) -> String {
        format!("{}{}/jwks", self.origin, self.base_path)
    }

    /// Where the JWT plugin returns the token of a session.
    pub fn token_url(&self) -> String {
        format!("{}{}/token", self.origin, self.base_path)
    }

    /// `iss` of the OAuth provider's tokens: the origin with the base path.
    pub fn oauth_issuer(&self) -> String {
        format!("{}{}", self.origin, self.base_path)
    }
}

#[cfg(test)]
mod tests;
