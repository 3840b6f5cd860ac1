//! What can be wrong with a request, and with a configuration.

use std::{fmt, time::Duration};

use http::{HeaderValue, StatusCode};

/// Why a request was refused.
///
/// The client learns [`status`](Self::status), [`challenge`](Self::challenge) and
/// [`description`](Self::description), which come from small closed sets; the log learns
/// [`kind`](Self::kind). Neither holds anything of the request.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    challenge: Option<HeaderValue>,
    retry_after: Option<Duration>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, challenge: Option<HeaderValue>, retry_after: Option<Duration>) -> Self {
        Self { kind, challenge, retry_after }
    }

    /// Which check failed.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The value of `WWW-Authenticate` (RFC 6750, section 3), where the answer carries one.
    pub fn challenge(&self) -> Option<&HeaderValue> {
        self.challenge.as_ref()
    }

    /// After how long a retry makes sense, when the answer is 503.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// One sentence for the client, from a closed set.
    pub fn description(&self) -> &'static str {
        self.kind.description()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Error {}

/// Which check refused a request.
///
/// `Display` prints a sentence for the log. The layer also puts the kind into the response's
/// extensions, so that an outer layer can count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No `Authorization` header, another scheme, or `Bearer` without a token.
    MissingToken,
    /// Two `Authorization` headers, bytes outside ASCII, or a tab after the scheme.
    InvalidRequest,
    /// The token is larger than the verifier allows.
    TokenTooLarge,
    /// Not a compact JWS: parts, base64url, JSON or the JOSE header are broken.
    Malformed,
    /// A Better Auth session token or signed session cookie instead of a JWT, or an opaque access
    /// token, which looks the same.
    OpaqueToken,
    /// A JWE: an encrypted token.
    EncryptedToken,
    /// `alg` is absent, `none`, or not one that a configured key could have.
    UnsupportedAlgorithm,
    /// The JOSE header has `crit` or `b64`, and with them demands nobody here understands.
    UnsupportedCriticalHeader,
    /// `typ` names another kind of token.
    InvalidType,
    /// No configured key has this `kid` and `alg`, or several do.
    UnknownKey,
    /// The signature does not verify.
    InvalidSignature,
    /// A claim is missing, or has the wrong JSON type or an impossible value.
    InvalidClaims,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` lies in the future.
    NotYetValid,
    /// `iat` is longer ago than the verifier's maximum age.
    MaxAgeExceeded,
    /// `iss` is not a configured issuer.
    InvalidIssuer,
    /// `aud` holds none of the configured audiences.
    InvalidAudience,
    /// A client-credentials token: its `sub` is the client, not a user.
    ClientToken,
    /// The token is bound to a key (`cnf`, RFC 7800): DPoP or mutual TLS, whose proofs are not verified here.
    SenderConstrained,
    /// The session of this token has been ended.
    Revoked,
    /// The user in the path is not the token's.
    UserMismatch,
    /// The layer guards a route whose path names no user: a mistake in the service, not the client.
    MissingPathUser,
    /// A rule given with `require` refused the claims.
    Forbidden,
    /// The token lacks a scope that the route asks for.
    InsufficientScope,
    /// The user's path segment is not acceptable: an encoded separator, a control, broken encoding.
    InvalidPath,
    /// There are no keys to verify with at the moment.
    KeysUnavailable,
    /// Whether the token's session has been ended cannot be told at the moment.
    SessionsUnavailable,
}

impl ErrorKind {
    /// The HTTP status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest | Self::InvalidPath => StatusCode::BAD_REQUEST,
            Self::UserMismatch | Self::MissingPathUser | Self::Forbidden | Self::InsufficientScope => {
                StatusCode::FORBIDDEN
            }
            Self::KeysUnavailable | Self::SessionsUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// The `error` attribute of the challenge (RFC 6750, section 3.1), where there is one.
    pub const fn error_code(self) -> Option<&'static str> {
        match self {
            Self::InvalidRequest => Some("invalid_request"),
            Self::InsufficientScope => Some("insufficient_scope"),
            // RFC 6750, section 3.1: no error code when the request lacks any authentication.
            Self::MissingToken => None,
            _ => match self.status() {
                StatusCode::UNAUTHORIZED => Some("invalid_token"),
                _ => None,
            },
        }
    }

    /// One sentence for the client, from a closed set.
    pub const fn description(self) -> &'static str {
        match self {
            Self::MissingToken => "a bearer token is required",
            Self::InvalidRequest => "the Authorization header is not valid",
            Self::Expired => "the token expired",
            Self::UserMismatch | Self::MissingPathUser | Self::Forbidden => "access denied",
            Self::InsufficientScope => "the token lacks a required scope",
            Self::InvalidPath => "the path is not valid",
            Self::KeysUnavailable | Self::SessionsUnavailable => "tokens cannot be verified at the moment",
            _ => "the token is not valid",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingToken => "no bearer token in the request",
            Self::InvalidRequest => "the Authorization header is malformed or sent twice",
            Self::TokenTooLarge => "the token is larger than allowed",
            Self::Malformed => "the token is not a well-formed compact JWS",
            Self::OpaqueToken => "this is no JWT but a session token of Better Auth, for which authClient.token() returns one, or an access token asked for without `resource`",
            Self::EncryptedToken => "the token is a JWE; only signed tokens are accepted",
            Self::UnsupportedAlgorithm => "no configured key uses the token's algorithm",
            Self::UnsupportedCriticalHeader => "the token's header has crit or b64",
            Self::InvalidType => "the token's typ is that of another kind of token",
            Self::UnknownKey => "no configured key fits the token's kid and algorithm",
            Self::InvalidSignature => "the signature does not verify; do both sides use the same key or secret?",
            Self::InvalidClaims => "a claim is missing or has the wrong type",
            Self::Expired => "the token expired",
            Self::NotYetValid => "the token is not valid yet; do the clocks agree?",
            Self::MaxAgeExceeded => "the token was issued too long ago",
            Self::InvalidIssuer => "iss is not the configured issuer; Better Auth uses the origin of its baseURL",
            Self::InvalidAudience => {
                "aud holds none of the configured audiences; Better Auth uses the origin of its baseURL"
            }
            Self::ClientToken => "the token belongs to a client, not to a user",
            Self::SenderConstrained => {
                "the token is bound to a key (cnf: DPoP or mutual TLS), and this layer does not verify the proof"
            }
            Self::Revoked => "the token's session has been ended",
            Self::UserMismatch => "the path names another user than the token",
            Self::MissingPathUser => "the layer guards a route whose path names no user; check match_user and the route",
            Self::Forbidden => "a required rule refused the claims",
            Self::InsufficientScope => "the token lacks a required scope",
            Self::InvalidPath => "the user's path segment is not acceptable",
            Self::KeysUnavailable => "no keys to verify with; is the issuer reachable?",
            Self::SessionsUnavailable => "it cannot be told whether the token's session has been ended",
        })
    }
}

/// What is wrong with a configuration, in a sentence that says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_token_are_401_invalid_token_and_those_of_the_request_are_not() {
        assert_eq!(ErrorKind::Expired.status(), 401);
        assert_eq!(ErrorKind::Expired.error_code(), Some("invalid_token"));
        assert_eq!(ErrorKind::MissingToken.status(), 401);
        assert_eq!(ErrorKind::MissingToken.error_code(), None);
        assert_eq!(ErrorKind::InvalidRequest.status(), 400);
        assert_eq!(ErrorKind::InvalidRequest.error_code(), Some("invalid_request"));
        assert_eq!(ErrorKind::UserMismatch.status(), 403);
        assert_eq!(ErrorKind::UserMismatch.error_code(), None);
        assert_eq!(ErrorKind::KeysUnavailable.status(), 503);
        assert_eq!(ErrorKind::KeysUnavailable.error_code(), None);
    }
}
