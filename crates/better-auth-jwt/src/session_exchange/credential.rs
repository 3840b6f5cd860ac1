//! The session in a request.

use http::{
    HeaderName, HeaderValue,
    header::{AUTHORIZATION, COOKIE},
    request::Parts,
};

use super::origins::Origins;
use crate::{
    error::ErrorKind,
    token_source::{self, TokenSource},
};

/// Longer values are not sessions: a session token with its signature has 77 to 81 bytes.
const MAX_LENGTH: usize = 512;

/// What counts as a session.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) bearer: bool,
    pub(super) cookie: Option<SessionCookie>,
}

/// The session cookie, and who may send it.
#[derive(Clone)]
pub(super) struct SessionCookie {
    names: [Box<str>; 2],
    origins: Origins,
}

/// A session, as the header that Better Auth expects it in.
pub(crate) struct Credential {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
}

impl Credentials {
    /// A token in the request takes precedence over a cookie, and a JWT is not a session.
    pub(super) fn find(&self, parts: &Parts, source: &TokenSource) -> Result<Option<Credential>, ErrorKind> {
        match (source.find(parts), &self.cookie) {
            (Ok(token), _) if self.bearer && is_session_token(token) => {
                Ok(Credential::new(AUTHORIZATION, &[b"Bearer ", token]))
            }
            (Err(ErrorKind::MissingToken), Some(cookie)) => cookie.find(parts),
            _ => Ok(None),
        }
    }
}

impl SessionCookie {
    /// Better Auth adds the prefix if its base URL is https.
    pub(super) fn new(name: &str, origins: Origins) -> Self {
        Self { names: [format!("__Secure-{name}").into(), name.into()], origins }
    }

    fn find(&self, parts: &Parts) -> Result<Option<Credential>, ErrorKind> {
        for name in &self.names {
            let value = match token_source::cookie(&parts.headers, name) {
                Ok(value) => value,
                Err(ErrorKind::MissingToken) => continue,
                Err(kind) => return Err(kind),
            };
            if !self.origins.allow(parts) {
                return Err(ErrorKind::ForbiddenOrigin);
            }
            if value.len() > MAX_LENGTH {
                return Err(ErrorKind::InvalidSession);
            }
            return Ok(Credential::new(COOKIE, &[name.as_bytes(), b"=", value]));
        }
        Ok(None)
    }
}

impl Credential {
    /// `None` if the value is not allowed in a header. It came from one, so this does not happen.
    fn new(name: HeaderName, value: &[&[u8]]) -> Option<Self> {
        let mut value = HeaderValue::from_bytes(&value.concat()).ok()?;
        value.set_sensitive(true);
        Some(Self { name, value })
    }
}

/// Better Auth's session token, or the token and its signature with a dot in between. A JWT has two dots, a JWE four.
fn is_session_token(token: &[u8]) -> bool {
    // The signature is base64, possibly percent-encoded.
    let is_allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'/' | b'=' | b'%');
    token.len() <= MAX_LENGTH && token.iter().filter(|byte| **byte == b'.').count() < 2 && token.iter().all(is_allowed)
}
