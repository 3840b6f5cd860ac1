//! Errors of requests and of the configuration.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER, VARY, WWW_AUTHENTICATE},
};

/// Why a request was rejected.
///
/// The client receives [`status`](Self::status), [`challenge`](Self::challenge) and [`description`](Self::description).
/// [`kind`](Self::kind), [`claim`](Self::claim) and [`rule`](Self::rule) are for the log. None of them contains a value
/// of the request.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    // Boxed to keep `Result<_, Error>` small.
    details: Option<Box<Details>>,
}

#[derive(Debug, Clone, Default)]
struct Details {
    hint: Option<&'static str>,
    claim: Option<Cow<'static, str>>,
    rule: Option<Cow<'static, str>>,
    missing_scopes: Option<Box<str>>,
    challenge: Option<HeaderValue>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Which check failed.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The name of the claim that failed the check, if there is one.
    pub fn claim(&self) -> Option<&str> {
        self.details.as_ref()?.claim.as_deref()
    }

    /// The name of the rule that rejected the request, if one did.
    pub fn rule(&self) -> Option<&str> {
        self.details.as_ref()?.rule.as_deref()
    }

    /// The HTTP status of the response.
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The value of `WWW-Authenticate` (RFC 6750, section 3): of every 401 response, of 400 for an invalid request, and of
    /// 403 if scopes are missing.
    ///
    /// The layer adds its realm and the reason. Other errors with 401, such as those of
    /// [`Verifier::verify`](crate::Verifier::verify), have the challenge `Bearer`.
    pub fn challenge(&self) -> Option<&HeaderValue> {
        // RFC 9110, section 15.5.2: a response with 401 has a challenge.
        static BEARER: HeaderValue = HeaderValue::from_static("Bearer");
        let challenge = self.details.as_ref().and_then(|details| details.challenge.as_ref());
        challenge.or_else(|| (self.status() == StatusCode::UNAUTHORIZED).then_some(&BEARER))
    }

    /// How long the client should wait before it tries again, if the response is 503.
    pub fn retry_after(&self) -> Option<Duration> {
        self.details.as_ref()?.retry_after
    }

    /// A sentence for the client, from a fixed set.
    pub fn description(&self) -> &'static str {
        self.kind.description()
    }

    /// Writes the headers that every HTTP response to a rejected request needs: the challenge, `Retry-After`, and those
    /// that keep the response out of caches (RFC 9111, section 3.5).
    ///
    /// For [custom responses](crate::RejectionResponse).
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        if let Some(after) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.append(VARY, HeaderValue::from_static("Authorization"));
    }

    /// The scopes that the token lacks, separated by spaces.
    pub(crate) fn missing_scopes(&self) -> Option<&str> {
        self.details.as_ref()?.missing_scopes.as_deref()
    }

    /// What to change, for the log.
    pub(crate) fn with_hint(mut self, hint: &'static str) -> Self {
        self.details.get_or_insert_default().hint = Some(hint);
        self
    }

    pub(crate) fn with_rule(mut self, rule: impl Into<Cow<'static, str>>) -> Self {
        self.details.get_or_insert_default().rule = Some(rule.into());
        self
    }

    pub(crate) fn with_missing_scopes(mut self, scopes: impl Into<Box<str>>) -> Self {
        self.details.get_or_insert_default().missing_scopes = Some(scopes.into());
        self
    }

    pub(crate) fn with_claim(mut self, claim: impl Into<Cow<'static, str>>) -> Self {
        self.details.get_or_insert_default().claim = Some(claim.into());
        self
    }

    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        self.details.get_or_insert_default().retry_after = Some(after);
        self
    }

    pub(crate) fn with_challenge(mut self, challenge: Option<HeaderValue>) -> Self {
        self.details.get_or_insert_default().challenge = challenge;
        self
    }

    pub(crate) fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.details.get_or_insert_default().source = Some(Arc::new(source));
        self
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, details: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if let Some(hint) = self.details.as_ref().and_then(|details| details.hint) {
            write!(f, ": {hint}")?;
        }
        if let Some(claim) = self.claim() {
            // Escaped: the name of a custom claim comes from the token.
            write!(f, " (claim `{}`)", claim.escape_debug())?;
        }
        if let Some(rule) = self.rule() {
            write!(f, " (rule `{rule}`)")?;
        }
        if let Some(scopes) = self.missing_scopes() {
            write!(f, " (missing: {scopes})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.details.as_ref()?.source.as_ref().map(|source| &**source as _)
    }
}

/// RFC 9110, section 10.2.3: `Retry-After` has whole seconds. Rounded up, so that the wait is long enough.
pub(crate) fn whole_seconds(after: Duration) -> u64 {
    (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1)
}

/// Which check rejected a request.
///
/// `Display` prints a sentence for the log. The layer also puts the kind into the response's extensions, so that an
/// outer layer can count it. [`Outcome::as_str`](crate::Outcome::as_str) lists all kinds with the status and
/// description that the client receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No `Authorization` header, another scheme, or `Bearer` without a token.
    MissingToken,
    /// Two `Authorization` headers, bytes outside ASCII, or a tab after the scheme.
    InvalidRequest,
    /// The token is larger than the verifier allows.
    TokenTooLarge,
    /// The token is not a strict compact JWS: its parts, base64url, JSON or JOSE header are invalid.
    Malformed,
    /// A Better Auth session token, a signed session cookie, or an opaque access token instead of a JWT.
    OpaqueToken,
    /// A JWE: an encrypted token.
    EncryptedToken,
    /// `alg` is absent, `none`, or an algorithm that no configured key uses.
    UnsupportedAlgorithm,
    /// The JOSE header has `crit` or `b64`.
    UnsupportedCriticalHeader,
    /// `typ` belongs to another kind of token.
    InvalidType,
    /// No configured key has the token's `kid` and `alg`, or the token has no `kid` and several keys fit.
    UnknownKey,
    /// The signature is invalid.
    InvalidSignature,
    /// A claim is missing, or has a wrong type or value.
    InvalidClaims,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` is in the future.
    NotYetValid,
    /// `iat` is longer ago than the verifier's maximum age.
    MaxAgeExceeded,
    /// `iss` is not a configured issuer.
    InvalidIssuer,
    /// `aud` contains none of the configured audiences.
    InvalidAudience,
    /// A client-credentials token: its `sub` is the client, not a user.
    ClientToken,
    /// An OpenID Connect ID token. It is for the client, not for an API.
    IdToken,
    /// The token is bound to a key (`cnf`, RFC 7800): DPoP or mutual TLS, whose proofs are not verified here.
    SenderConstrained,
    /// The issuer did not accept the session that `SessionExchange` should exchange for a token.
    InvalidSession,
    /// The token has no session id, and the layer rejects such tokens: see [`MissingSession`](crate::MissingSession).
    MissingSession,
    /// The token's session has been revoked.
    Revoked,
    /// The request has a session cookie, but its origin may not use it: see `SessionExchangeBuilder::cookies`.
    ForbiddenOrigin,
    /// The user in the path is not the token's.
    UserMismatch,
    /// A claim is not the value in the path that [`match_claim`](crate::JwtAuthLayer::match_claim) compares it with.
    ClaimMismatch,
    /// The path does not contain the user id, or another value that the layer compares. Behind a router, the layer is on
    /// the wrong route, which is a mistake in the service. Without a router, clients cause it by requests to other paths.
    MissingPathValue,
    /// A rule given with [`require`](crate::JwtAuthLayer::require) or one of its variants rejected the request.
    Forbidden,
    /// The token lacks a scope that the route requires.
    InsufficientScope,
    /// A value in the path contains an encoded separator, a control character or a broken percent-encoding, or is `.`
    /// or `..`.
    InvalidPath,
    /// Keys are unavailable.
    KeysUnavailable,
    /// The session check cannot tell whether the token's session has been revoked.
    SessionsUnavailable,
    /// A session could not be exchanged for a token: the issuer is unavailable, or a limit is reached.
    ExchangeUnavailable,
    /// An async rule failed or took too long.
    RuleUnavailable,
}

impl ErrorKind {
    /// A stable name for metrics and logs: that of the variant in snake case, such as `invalid_signature`.
    pub const fn as_str(self) -> &'static str {
        self.texts().0
    }

    /// The HTTP status of the response.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest | Self::InvalidPath => StatusCode::BAD_REQUEST,
            Self::ForbiddenOrigin
            | Self::UserMismatch
            | Self::ClaimMismatch
            | Self::MissingPathValue
            | Self::Forbidden
            | Self::InsufficientScope => StatusCode::FORBIDDEN,
            Self::KeysUnavailable | Self::SessionsUnavailable | Self::ExchangeUnavailable | Self::RuleUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// The `error` attribute of the challenge (RFC 6750, section 3.1), if there is one.
    pub const fn error_code(self) -> Option<&'static str> {
        match self {
            Self::InvalidRequest => Some("invalid_request"),
            Self::InsufficientScope => Some("insufficient_scope"),
            // RFC 6750, section 3.1: no error code when the request lacks any authentication.
            Self::MissingToken => None,
            _ if matches!(self.status(), StatusCode::UNAUTHORIZED) => Some("invalid_token"),
            _ => None,
        }
    }

    /// A sentence for the client, from a fixed set.
    pub const fn description(self) -> &'static str {
        match self {
            Self::MissingToken => "a bearer token is required",
            Self::InvalidRequest => "the Authorization header is not valid",
            Self::Expired => "the token expired",
            Self::ForbiddenOrigin => "the origin may not use cookies",
            Self::UserMismatch | Self::ClaimMismatch | Self::MissingPathValue | Self::Forbidden => "access denied",
            Self::InsufficientScope => "the token lacks a required scope",
            Self::InvalidPath => "the path is not valid",
            Self::KeysUnavailable | Self::SessionsUnavailable | Self::ExchangeUnavailable => {
                "tokens cannot be verified now"
            }
            Self::RuleUnavailable => "access cannot be decided now",
            _ => "the token is not valid",
        }
    }

    /// The name, and the message for the log.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::MissingToken => ("missing_token", "no bearer token in the request"),
            Self::InvalidRequest => ("invalid_request", "the Authorization header is malformed or sent twice"),
            Self::TokenTooLarge => ("token_too_large", "the token is larger than allowed"),
            Self::Malformed => ("malformed", "the token is not a well-formed compact JWS"),
            Self::OpaqueToken => (
                "opaque_token",
                "the token is not a JWT but a session token of Better Auth, for which authClient.token() returns a JWT, \
                 or an access token requested without `resource`",
            ),
            Self::EncryptedToken => ("encrypted_token", "the token is a JWE; only signed tokens are accepted"),
            Self::UnsupportedAlgorithm => ("unsupported_algorithm", "no configured key uses the token's algorithm"),
            Self::UnsupportedCriticalHeader => ("unsupported_critical_header", "the token's header has crit or b64"),
            Self::InvalidType => ("invalid_type", "the token's typ belongs to another kind of token"),
            Self::UnknownKey => ("unknown_key", "no configured key fits the token's kid and algorithm"),
            Self::InvalidSignature => (
                "invalid_signature",
                "the signature is invalid; check that issuer and service use the same key or secret",
            ),
            Self::InvalidClaims => ("invalid_claims", "a claim is missing, or has a wrong type or value"),
            Self::Expired => ("expired", "the token expired"),
            Self::NotYetValid => ("not_yet_valid", "the token is not valid yet; check that the clocks agree"),
            Self::MaxAgeExceeded => ("max_age_exceeded", "the token was issued too long ago"),
            Self::InvalidIssuer => (
                "invalid_issuer",
                "iss is not a configured issuer; Better Auth uses the origin of its baseURL, followed by the base path in \
                 OAuth access tokens",
            ),
            Self::InvalidAudience => (
                "invalid_audience",
                "aud contains none of the configured audiences; Better Auth uses the origin of its baseURL, and in OAuth \
                 access tokens the requested resource",
            ),
            Self::ClientToken => ("client_token", "the token belongs to a client, not to a user"),
            Self::IdToken => ("id_token", "the token is an ID token; send an access token"),
            Self::SenderConstrained => (
                "sender_constrained",
                "the token is bound to a key (cnf: DPoP or mutual TLS), and this layer does not verify the proof",
            ),
            Self::InvalidSession => (
                "invalid_session",
                "the issuer did not accept the session; it has ended or never existed, or Better Auth lacks the plugin bearer()",
            ),
            Self::MissingSession => {
                ("missing_session", "the token has no session id; with Better Auth, definePayload adds it as `sid`")
            }
            Self::Revoked => ("revoked", "the token's session has been revoked"),
            Self::ForbiddenOrigin => (
                "forbidden_origin",
                "the request has a session cookie, and its origin is missing or not one of those that may use it",
            ),
            Self::UserMismatch => ("user_mismatch", "the path contains another user than the token"),
            Self::ClaimMismatch => ("claim_mismatch", "the path contains another value than the claim"),
            Self::MissingPathValue => (
                "missing_path_value",
                "the route's path does not contain the value that the layer compares; check match_user, match_claim and the route",
            ),
            Self::Forbidden => ("forbidden", "a rule rejected the request"),
            Self::InsufficientScope => ("insufficient_scope", "the token lacks a required scope"),
            Self::InvalidPath => ("invalid_path", "a value in the path is invalid"),
            Self::KeysUnavailable => ("keys_unavailable", "keys are unavailable; check that the issuer is reachable"),
            Self::SessionsUnavailable => {
                ("sessions_unavailable", "the session check cannot tell whether the token's session has been revoked")
            }
            Self::ExchangeUnavailable => (
                "exchange_unavailable",
                "the session could not be exchanged for a token; check that the issuer is reachable",
            ),
            Self::RuleUnavailable => ("rule_unavailable", "an async rule failed or took too long"),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.texts().1)
    }
}

/// An invalid configuration. `Display` says what to change.
#[derive(Debug, Clone)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// Which part of a configuration is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// An issuer is empty or missing.
    Issuer,
    /// An audience is empty or missing.
    Audience,
    /// The URL of the Better Auth server or of the key set is invalid.
    Url,
    /// A shared secret is weak, missing or malformed.
    Secret,
    /// A key, a key set, or an algorithm for them is invalid.
    Keys,
    /// Anything else: the message says what.
    Other,
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ConfigErrorKind::Other, message: message.into(), source: None }
    }

    pub(crate) fn url(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(message).with_kind(ConfigErrorKind::Url)
    }

    pub(crate) fn secret(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(message).with_kind(ConfigErrorKind::Secret)
    }

    pub(crate) fn keys(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(message).with_kind(ConfigErrorKind::Keys)
    }

    /// Which part of the configuration is invalid.
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }

    pub(crate) fn with_kind(mut self, kind: ConfigErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The message of `source` must not contain a secret.
    pub(crate) fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// The message of an error's root cause: outer messages usually only repeat the URL.
#[cfg(feature = "jwks")]
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
