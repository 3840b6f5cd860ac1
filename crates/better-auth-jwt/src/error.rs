//! What can be wrong with a request, and with a configuration.

use std::{borrow::Cow, fmt, time::Duration};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER, VARY, WWW_AUTHENTICATE},
};

use crate::{claims::ClaimError, path::PathError};

/// Why a request was rejected.
///
/// The client receives [`status`](Self::status), [`challenge`](Self::challenge) and
/// [`description`](Self::description). [`kind`](Self::kind), [`claim`](Self::claim) and
/// [`rule`](Self::rule) are for the log. None of them contains data of the request.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    claim: Option<Cow<'static, str>>,
    rule: Option<Cow<'static, str>>,
    missing_scopes: Option<Box<str>>,
    challenge: Option<HeaderValue>,
    retry_after: Option<Duration>,
}

impl Error {
    /// Which check failed.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The name of the claim that failed the check, where there is one.
    pub fn claim(&self) -> Option<&str> {
        self.claim.as_deref()
    }

    /// The name of the rule that rejected the request, for [`ErrorKind::Refused`] and
    /// [`ErrorKind::RuleUnavailable`].
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    /// The HTTP status of the response.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The value of `WWW-Authenticate` (RFC 6750, section 3), if the response carries one.
    pub fn challenge(&self) -> Option<&HeaderValue> {
        self.challenge.as_ref()
    }

    /// How long the client should wait before it tries again, if the response is 503.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// A sentence for the client, from a fixed set.
    pub fn description(&self) -> &'static str {
        self.kind.description()
    }

    /// Writes the headers that every HTTP response to a rejected request needs: the challenge,
    /// `Retry-After`, and those that keep the response out of caches (RFC 9111, section 3.5).
    ///
    /// For [custom responses](crate::RejectionResponse).
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        if let Some(challenge) = &self.challenge {
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.append(VARY, HeaderValue::from_static("Authorization"));
    }

    /// The scopes that the token lacks, separated by spaces.
    pub(crate) fn missing_scopes(&self) -> Option<&str> {
        self.missing_scopes.as_deref()
    }

    pub(crate) fn with_claim(mut self, claim: impl Into<Cow<'static, str>>) -> Self {
        self.claim = Some(claim.into());
        self
    }

    pub(crate) fn with_rule(mut self, rule: impl Into<Cow<'static, str>>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    pub(crate) fn with_missing_scopes(mut self, scopes: impl Into<Box<str>>) -> Self {
        self.missing_scopes = Some(scopes.into());
        self
    }

    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    pub(crate) fn with_challenge(mut self, challenge: Option<HeaderValue>) -> Self {
        self.challenge = challenge;
        self
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, claim: None, rule: None, missing_scopes: None, challenge: None, retry_after: None }
    }
}

impl From<ClaimError> for Error {
    fn from(error: ClaimError) -> Self {
        Self { claim: error.name().map(|name| Cow::Owned(name.to_owned())), ..ErrorKind::InvalidClaims.into() }
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        match error {
            PathError::Missing => ErrorKind::NoUserInPath.into(),
            PathError::Invalid => ErrorKind::InvalidPath.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if let Some(claim) = &self.claim {
            write!(f, " (claim `{claim}`)")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, " (rule `{rule}`)")?;
        }
        if let Some(scopes) = &self.missing_scopes {
            write!(f, " (missing: {scopes})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// RFC 9110, section 10.2.3: `Retry-After` has whole seconds. Rounded up, so that the wait is long enough.
pub(crate) fn whole_seconds(after: Duration) -> u64 {
    (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1)
}

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
    TooLarge,
    /// Not a compact JWS: parts, base64url, JSON or the JOSE header are broken.
    Malformed,
    /// A Better Auth session token or signed session cookie instead of a JWT, or an opaque access
    /// token, which looks the same.
    SessionToken,
    /// A JWE: an encrypted token.
    Encrypted,
    /// `alg` is absent, `none`, or not one that a configured key could have.
    UnsupportedAlgorithm,
    /// The JOSE header has `crit` or `b64`, and with them demands nobody here understands.
    CriticalHeader,
    /// `typ` names another kind of token.
    WrongType,
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
    TooOld,
    /// `iss` is not a configured issuer.
    WrongIssuer,
    /// `aud` holds none of the configured audiences.
    WrongAudience,
    /// A client-credentials token: its `sub` is the client, not a user.
    NotAUser,
    /// The token is bound to a key (`cnf`, RFC 7800): DPoP or mutual TLS, whose proofs are not verified here.
    SenderConstrained,
    /// The session of this token has been ended.
    Revoked,
    /// The user in the path is not the token's.
    OtherUser,
    /// The layer guards a route whose path names no user: a mistake in the service, not the client.
    NoUserInPath,
    /// A claim is not the value in the path that [`match_claim`](crate::JwtAuthLayer::match_claim) compares
    /// it with.
    ClaimMismatch,
    /// A rule given with `require` refused the claims.
    Refused,
    /// The token lacks a scope that the route asks for.
    InsufficientScope,
    /// The user's path segment is not acceptable: an encoded separator, a control, broken encoding.
    InvalidPath,
    /// There are no keys to verify with at the moment.
    KeysUnavailable,
    /// Whether the token's session has been ended cannot be told at the moment.
    SessionsUnavailable,
    /// An async rule failed or took too long.
    RuleUnavailable,
}

impl ErrorKind {
    /// A stable name, for a metric's label or an error code of your own.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingToken => "missing_token",
            Self::InvalidRequest => "invalid_request",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::SessionToken => "session_token",
            Self::Encrypted => "encrypted",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::CriticalHeader => "critical_header",
            Self::WrongType => "wrong_type",
            Self::UnknownKey => "unknown_key",
            Self::InvalidSignature => "invalid_signature",
            Self::InvalidClaims => "invalid_claims",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TooOld => "too_old",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::NotAUser => "not_a_user",
            Self::SenderConstrained => "sender_constrained",
            Self::Revoked => "revoked",
            Self::OtherUser => "other_user",
            Self::NoUserInPath => "no_user_in_path",
            Self::ClaimMismatch => "claim_mismatch",
            Self::Refused => "refused",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidPath => "invalid_path",
            Self::KeysUnavailable => "keys_unavailable",
            Self::SessionsUnavailable => "sessions_unavailable",
            Self::RuleUnavailable => "rule_unavailable",
        }
    }

    /// The HTTP status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest | Self::InvalidPath => StatusCode::BAD_REQUEST,
            Self::OtherUser | Self::ClaimMismatch | Self::NoUserInPath | Self::Refused | Self::InsufficientScope => {
                StatusCode::FORBIDDEN
            }
            Self::KeysUnavailable | Self::SessionsUnavailable | Self::RuleUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// The `error` attribute of the challenge (RFC 6750, section 3.1), where there is one.
    pub const fn code(self) -> Option<&'static str> {
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
            Self::OtherUser | Self::ClaimMismatch | Self::NoUserInPath | Self::Refused => "access denied",
            Self::InsufficientScope => "the token lacks a required scope",
            Self::InvalidPath => "the path is not valid",
            Self::KeysUnavailable | Self::SessionsUnavailable | Self::RuleUnavailable => {
                "tokens cannot be verified at the moment"
            }
            _ => "the token is not valid",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingToken => "no bearer token in the request",
            Self::InvalidRequest => "the Authorization header is malformed or sent twice",
            Self::TooLarge => "the token is larger than allowed",
            Self::Malformed => "the token is not a well-formed compact JWS",
            Self::SessionToken => "this is no JWT but a session token of Better Auth, for which authClient.token() returns one, or an access token asked for without `resource`",
            Self::Encrypted => "the token is a JWE; only signed tokens are accepted",
            Self::UnsupportedAlgorithm => "no configured key uses the token's algorithm",
            Self::CriticalHeader => "the token's header has crit or b64",
            Self::WrongType => "the token's typ is that of another kind of token",
            Self::UnknownKey => "no configured key fits the token's kid and algorithm",
            Self::InvalidSignature => "the signature does not verify; do both sides use the same key or secret?",
            Self::InvalidClaims => "a claim is missing or has the wrong type",
            Self::Expired => "the token expired",
            Self::NotYetValid => "the token is not valid yet; do the clocks agree?",
            Self::TooOld => "the token was issued too long ago",
            Self::WrongIssuer => "iss is not the configured issuer; Better Auth uses the origin of its baseURL",
            Self::WrongAudience => {
                "aud holds none of the configured audiences; Better Auth uses the origin of its baseURL"
            }
            Self::NotAUser => "the token belongs to a client, not to a user",
            Self::SenderConstrained => {
                "the token is bound to a key (cnf: DPoP or mutual TLS), and this layer does not verify the proof"
            }
            Self::Revoked => "the token's session has been ended",
            Self::OtherUser => "the path names another user than the token",
            Self::NoUserInPath => "the layer guards a route whose path names no user; check match_user and the route",
            Self::ClaimMismatch => "a claim is not the value in the path",
            Self::Refused => "a required rule refused the claims",
            Self::InsufficientScope => "the token lacks a required scope",
            Self::InvalidPath => "the user's path segment is not acceptable",
            Self::KeysUnavailable => "no keys to verify with; is the issuer reachable?",
            Self::RuleUnavailable => "an async rule failed or took too long",
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
        assert_eq!(ErrorKind::Expired.code(), Some("invalid_token"));
        assert_eq!(ErrorKind::MissingToken.status(), 401);
        assert_eq!(ErrorKind::MissingToken.code(), None);
        assert_eq!(ErrorKind::InvalidRequest.status(), 400);
        assert_eq!(ErrorKind::InvalidRequest.code(), Some("invalid_request"));
        assert_eq!(ErrorKind::OtherUser.status(), 403);
        assert_eq!(ErrorKind::OtherUser.code(), None);
        assert_eq!(ErrorKind::KeysUnavailable.status(), 503);
        assert_eq!(ErrorKind::KeysUnavailable.code(), None);
    }
}
