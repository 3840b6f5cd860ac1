//! Logout tokens (OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6).

use std::fmt;

use crate::{
    error::Error,
    json::{Document, Value},
    verifier::{RegisteredClaims, Rules, Verifier, date, invalid, non_empty},
};

/// The member of `events` that every logout token has.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Verifies logout tokens, which an issuer sends when a session has been revoked.
///
/// Create it from the service's [`Verifier`]: keys (also a shared secret), clock, leeway, issuers and audiences are the
/// same. You can add issuers and audiences for logout tokens only: the logout tokens of Better Auth's OAuth provider
/// have another issuer, and the client's id as their audience.
///
/// `typ` must be `logout+jwt`, so that no other token is accepted as a logout token, or the other way round.
///
/// ```
/// use better_auth_jwt::{LogoutTarget, LogoutVerifier};
/// # use better_auth_jwt::test_util::Issuer;
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let issuer = Issuer::new();
/// # let (verifier, token) = (issuer.verifier(), issuer.logout_token("phone"));
///
/// let verifier = LogoutVerifier::from(&verifier)
///     .additional_issuer("https://app.example.com/api/auth")
///     .additional_audience("client-id");
/// let logout = verifier.verify(&token).await?;
/// assert_eq!(logout.issuer(), "https://app.example.com");
/// assert_eq!(logout.target(), LogoutTarget::Session("phone"));
/// # Ok::<(), better_auth_jwt::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// With several issuers, `LogoutVerifier::from(&a.or(b))` accepts the logout tokens of both. Each is verified with the
/// keys of its own issuer and revokes that issuer's sessions only. Issuers and audiences that you add to the result are
/// added to both. To add them to one of the two, use [`or`](Self::or):
///
/// ```
/// # use better_auth_jwt::{LogoutVerifier, test_util::Issuer};
/// # let [a, b] = ["https://a.example.com", "https://b.example.com"].map(|url| Issuer::new().with_origin(url).verifier());
/// let verifier = LogoutVerifier::from(&a)
///     .additional_issuer("https://a.example.com/api/auth")
///     .or(LogoutVerifier::from(&b));
/// ```
#[derive(Debug, Clone)]
pub struct LogoutVerifier(Verifier);

impl LogoutVerifier {
    /// Accepts one more issuer in logout tokens. It is another name of the verifier's issuer: its logout tokens are
    /// verified with the same keys and revoke the same sessions.
    #[must_use]
    pub fn additional_issuer(self, issuer: impl Into<String>) -> Self {
        Self(self.0.add_logout_issuer(issuer.into()))
    }

    /// Accepts one more audience in logout tokens.
    #[must_use]
    pub fn additional_audience(self, audience: impl Into<String>) -> Self {
        Self(self.0.add_audience(audience.into()))
    }

    /// Accepts what either verifier accepts, each with its own keys, issuers and audiences.
    ///
    /// The clock and the maximum token size are those of `self`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }

    /// Verifies a logout token. Replays are not detected: revoking twice has no effect.
    ///
    /// # Errors
    ///
    /// The token is rejected, or keys are unavailable.
    pub async fn verify(&self, token: &str) -> Result<LogoutToken, Error> {
        let Self(verifier) = self;
        let check = |document: &_, rules: &_| LogoutToken::read(document, rules, verifier.now());
        verifier.wait_for_keys(|| verifier.try_verify_with(token.as_bytes(), check)).await
    }
}

impl From<&Verifier> for LogoutVerifier {
    fn from(verifier: &Verifier) -> Self {
        Self(verifier.clone().for_logout())
    }
}

/// A verified logout token.
///
/// `Debug` prints no claim.
#[derive(Clone)]
pub struct LogoutToken {
    issuer: Box<str>,
    target: Target,
    issued_at: u64,
    jti: Box<str>,
}

#[derive(Clone)]
enum Target {
    Session(Box<str>),
    User(Box<str>),
}

/// The session or the user that a [`LogoutToken`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogoutTarget<'t> {
    /// The session with this id (`sid`): all its tokens, whenever they were issued.
    Session(&'t str),
    /// All sessions of this user (`sub`): the tokens issued until the logout token was.
    User(&'t str),
}

impl LogoutToken {
    /// The issuer of the sessions, as in the `iss` of their tokens: the logout token's `iss`. If no token of the verifier has
    /// that `iss`, because it was added for [logout tokens only](LogoutVerifier::additional_issuer) or belongs to the
    /// [OAuth provider](crate::Profile::AccessToken) of the same server, it is the verifier's first issuer.
    ///
    /// Empty if the token has no `iss`, which only a verifier that accepts any issuer allows.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The session or the user. A token with `sid` revokes that session only, even if it also contains `sub`.
    pub fn target(&self) -> LogoutTarget<'_> {
        match &self.target {
            Target::Session(session_id) => LogoutTarget::Session(session_id),
            Target::User(sub) => LogoutTarget::User(sub),
        }
    }

    /// `iat`, when the token was issued, in Unix seconds, rounded up.
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// `jti`, the id of the token.
    pub fn jti(&self) -> &str {
        &self.jti
    }

    fn read(document: &Document, rules: &Rules, now: u64) -> Result<Self, Error> {
        let claims = RegisteredClaims::read(document);
        rules.check_common(&claims, now)?;
        // Section 2.4: an ID token must never be accepted as a logout token.
        if claims.nonce.is_some() {
            return Err(invalid("nonce"));
        }
        if !claims.events.is_some_and(has_logout_event) {
            return Err(invalid("events"));
        }
        let issued_at = date(claims.iat, "iat")?.ok_or_else(|| invalid("iat"))?;
        let id = |claim: Option<_>, name| claim.map(|value| non_empty(Some(value), name)).transpose();
        let target = match (id(claims.sid, "sid")?, id(claims.sub, "sub")?) {
            (Some(session_id), _) => Target::Session(session_id.into()),
            (None, Some(sub)) => Target::User(sub.into()),
            (None, None) => return Err(invalid("sid")),
        };
        let issuer = claims.iss.and_then(Value::as_str).unwrap_or_default();
        Ok(Self {
            issuer: rules.session_issuer(issuer).into(),
            target,
            issued_at: issued_at.ceil(),
            jti: non_empty(claims.jti, "jti")?.into(),
        })
    }
}

impl fmt::Debug for LogoutToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.target {
            Target::Session(_) => "LogoutToken(Session(..))",
            Target::User(_) => "LogoutToken(User(..))",
        })
    }
}

/// Whether `events` is an object whose logout event is an object too.
fn has_logout_event(events: Value<'_>) -> bool {
    Document::parse(events.raw())
        .is_ok_and(|events| events.find(EVENT).is_some_and(|event| event.raw().starts_with('{')))
}
