//! The JOSE header (RFC 7515, section 4).

use crate::{
    algorithm::Algorithm,
    base64url,
    error::{Error, ErrorKind},
    json::{Document, Value},
};

/// A longer `kid` is rejected. Better Auth's has 32 bytes.
pub(crate) const MAX_KEY_ID: usize = 256;

/// The JOSE header of a token whose signature has not been checked: do not trust it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    algorithm: Algorithm,
    key_id: Option<Box<str>>,
    token_type: TokenType,
}

impl Header {
    pub(crate) fn decode(encoded: &[u8]) -> Result<Self, Error> {
        let json = base64url::decode(encoded).ok_or(ErrorKind::Malformed)?;
        Self::parse(String::from_utf8(json).map_err(|_| ErrorKind::Malformed)?)
    }

    /// Parses a header. `jku`, `jwk`, `x5u` and `x5c` are ignored: keys in tokens are never used.
    ///
    /// # Errors
    ///
    /// The text is not a strict JSON object, a member has the wrong type, `alg` is unknown, or there is a `crit` or
    /// `b64`.
    pub fn parse(json: impl Into<String>) -> Result<Self, Error> {
        let document = Document::parse(json).map_err(|_| ErrorKind::Malformed)?;
        let (mut algorithm, mut key_id, mut token_type) = (None, None, TokenType::Untyped);
        for value in document.members() {
            match value.name() {
                "alg" => {
                    let name = text(value)?;
                    algorithm = Some(Algorithm::from_name(name).ok_or(ErrorKind::UnsupportedAlgorithm)?);
                }
                "kid" => {
                    let id = text(value)?;
                    if id.len() > MAX_KEY_ID {
                        return Err(ErrorKind::Malformed.into());
                    }
                    key_id = Some(id.into());
                }
                "typ" => token_type = TokenType::parse(text(value)?),
                // RFC 7519, section 5.2: the payload is another JWT.
                "cty" if TokenType::parse(text(value)?) == TokenType::Jwt => return Err(ErrorKind::InvalidType.into()),
                // RFC 7515, section 4.1.11: tokens with critical extensions that are not supported must be rejected,
                // and none is supported. RFC 7797, section 7: JWTs do not use b64.
                "crit" | "b64" => return Err(ErrorKind::UnsupportedCriticalHeader.into()),
                _ => {}
            }
        }
        Ok(Self { algorithm: algorithm.ok_or(ErrorKind::UnsupportedAlgorithm)?, key_id, token_type })
    }

    /// `alg`, the algorithm that the token claims to be signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// `kid`, the id of the key that the token claims to be signed with.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    pub(crate) fn token_type(&self) -> TokenType {
        self.token_type
    }
}

fn text(value: Value<'_>) -> Result<&str, Error> {
    Ok(value.as_str().ok_or(ErrorKind::Malformed)?)
}

/// `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenType {
    /// No `typ`, as in the tokens of Better Auth's JWT plugin.
    Untyped,
    /// `JWT`.
    Jwt,
    /// `at+jwt`, an OAuth access token (RFC 9068).
    AccessToken,
    /// `logout+jwt` (OpenID Connect Back-Channel Logout 1.0).
    Logout,
    /// Anything else.
    Other,
}

impl TokenType {
    /// RFC 7515, section 4.1.9: a media type, compared case-insensitively, whose `application/` may be left out if it
    /// has no other slash.
    fn parse(typ: &str) -> Self {
        let name = typ.to_ascii_lowercase();
        match name.strip_prefix("application/").unwrap_or(&name) {
            "jwt" => Self::Jwt,
            "at+jwt" => Self::AccessToken,
            "logout+jwt" => Self::Logout,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests;
