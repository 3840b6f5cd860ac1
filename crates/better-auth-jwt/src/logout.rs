//! Logout tokens (OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6).

use std::fmt;

use crate::{
    error::Error,
    json::{Document, Value},
    verifier::{Failure, RegisteredClaims, Rules, Verifier, date, invalid, non_empty},
};

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Verifies logout tokens: what an issuer sends to those who accept its tokens, when a session has ended.
///
/// Made from a [`Verifier`], whose keys, clock, leeway, issuers and audiences it has. Others can be added: the tokens
/// of Better Auth's OAuth provider have another issuer and name the client as their audience.
///
/// `typ` must be `logout+jwt`, so no token that opens anything passes here, nor the other way round.
///
/// ```
/// use better_auth_jwt::{LoggedOut, LogoutVerifier};
/// # use better_auth_jwt::test_util::Issuer;
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let issuer = Issuer::new();
/// # let (verifier, token) = (issuer.verifier(), issuer.logout_token("phone"));
///
/// let logouts = LogoutVerifier::from(&verifier).issuer("https://app.example.com/api/auth").audience("client-id");
/// let logout = logouts.verify(&token).await?;
/// assert_eq!(logout.ends(), LoggedOut::Session("phone"));
/// # Ok::<(), better_auth_jwt::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LogoutVerifier {
    verifier: Verifier,
}

impl LogoutVerifier {
    /// Accepts one more issuer, with the same keys.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.verifier = self.verifier.add_issuer(issuer.into());
        self
    }

    /// Accepts one more audience.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.verifier = self.verifier.add_audience(audience.into());
        self
    }

    /// Verifies a logout token. That it has been seen before is nothing it asks about: to end a session twice changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// The token is refused, or there are no keys.
    pub async fn verify(&self, token: &str) -> Result<Logout, Error> {
        self.verifier.wait_for_keys(|| self.check(token.as_bytes())).await
    }

    fn check(&self, token: &[u8]) -> Result<Logout, Failure> {
        let now = self.verifier.now();
        self.verifier.try_verify_with(token, |document, rules| Logout::read(document, rules, now))
    }
}

impl From<&Verifier> for LogoutVerifier {
    fn from(verifier: &Verifier) -> Self {
        Self { verifier: verifier.clone().for_logout() }
    }
}

impl fmt::Debug for LogoutVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogoutVerifier").field(&self.verifier).finish()
    }
}

/// What a verified logout token says.
#[derive(Clone)]
pub struct Logout {
    ended: Ended,
    issued_at: u64,
    id: Box<str>,
}

#[derive(Clone)]
enum Ended {
    Session(Box<str>),
    SessionsOf(Box<str>),
}

/// What a [`Logout`] ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoggedOut<'l> {
    /// The session with this id (`sid`): all of its tokens, whenever issued.
    Session(&'l str),
    /// All sessions of this user (`sub`): the tokens issued until then.
    User(&'l str),
}

impl Logout {
    /// What has ended: the session, if the token names one, and nothing but that if it names its user too.
    pub fn ends(&self) -> LoggedOut<'_> {
        match &self.ended {
            Ended::Session(session) => LoggedOut::Session(session),
            Ended::SessionsOf(user) => LoggedOut::User(user),
        }
    }

    /// `iat`, when the token was issued, in seconds since 1970, rounded up.
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// `jti`, the id of the token.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn read(document: &Document, rules: &Rules, now: u64) -> Result<Self, Error> {
        let claims = RegisteredClaims::read(document);
        rules.check_common(&claims, now)?;
        // So that no ID token is taken for a logout token.
        if claims.nonce.is_some() {
            return Err(invalid("nonce"));
        }
        if !claims.events.is_some_and(names_event) {
            return Err(invalid("events"));
        }
        let issued_at = date(claims.iat, "iat")?.ok_or_else(|| invalid("iat"))?;
        // An empty name might mean anybody.
        let name = |claim: Option<_>, name| claim.map(|value| non_empty(Some(value), name)).transpose();
        let ended = match (name(claims.sid, "sid")?, name(claims.sub, "sub")?) {
            (Some(session), _) => Ended::Session(session.into()),
            (None, Some(user)) => Ended::SessionsOf(user.into()),
            (None, None) => return Err(invalid("sid")),
        };
        Ok(Self { ended, issued_at: issued_at.ceil(), id: non_empty(claims.jti, "jti")?.into() })
    }
}

impl fmt::Debug for Logout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.ended {
            Ended::Session(_) => "Logout(Session(..))",
            Ended::SessionsOf(_) => "Logout(User(..))",
        })
    }
}

/// Whether `events` is an object with the event, which is an object too.
fn names_event(events: Value<'_>) -> bool {
    Document::parse(events.raw())
        .is_ok_and(|events| events.find(EVENT).is_some_and(|event| event.raw().starts_with('{')))
}
