//! Logout tokens (OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6).

use std::fmt;

use crate::{
    error::{Error, ErrorKind},
    json::{Document, Value},
    numeric_date::NumericDate,
    verify::{Failure, Rules, Verifier, date, text, wait_for_keys},
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
    pub fn issuer(mut self, issuer: impl Into<Box<str>>) -> Self {
        self.verifier = self.verifier.issuer(issuer);
        self
    }

    /// Accepts one more audience.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<Box<str>>) -> Self {
        self.verifier = self.verifier.audience(audience);
        self
    }

    /// Verifies a logout token. That it has been seen before is nothing it asks about: to end a session twice changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// The token is refused, or there are no keys.
    pub async fn verify(&self, token: &str) -> Result<Logout, Error> {
        wait_for_keys(|| self.check(token.as_bytes())).await
    }

    fn check(&self, token: &[u8]) -> Result<Logout, Failure> {
        let (document, rules) = self.verifier.open(token)?;
        Ok(Logout::read(&document, rules, self.verifier.now())?)
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

    fn read(document: &Document, rules: &Rules, now: u64) -> Result<Self, ErrorKind> {
        let mut seen = Seen::default();
        for value in document.members() {
            match value.name() {
                "iss" => seen.issuer = Some(text(value)?),
                "aud" => seen.audience = Some(value),
                "exp" => seen.expires = Some(date(value)?),
                "nbf" => seen.not_before = Some(date(value)?),
                "iat" => seen.issued = Some(date(value)?),
                "jti" => seen.id = Some(name(value)?),
                "sid" => seen.session = Some(name(value)?),
                "sub" => seen.user = Some(name(value)?),
                "events" => seen.is_logout = names_event(value),
                // So that no ID token is taken for a logout token.
                "nonce" => return Err(ErrorKind::InvalidClaims),
                // RFC 7800: the token is bound to a key, whose proof is not verified.
                "cnf" => return Err(ErrorKind::SenderConstrained),
                _ => {}
            }
        }
        let expires = seen.expires.ok_or(ErrorKind::InvalidClaims)?;
        let issued = seen.issued.ok_or(ErrorKind::InvalidClaims)?;
        rules.current(expires, seen.not_before.max(Some(issued)), now)?;
        if !rules.accepts_issuer(seen.issuer) {
            return Err(ErrorKind::InvalidIssuer);
        }
        rules.check_audience(seen.audience)?;
        let ended = match (seen.session, seen.user) {
            _ if !seen.is_logout => return Err(ErrorKind::InvalidClaims),
            (Some(session), _) => Ended::Session(session.into()),
            (None, Some(user)) => Ended::SessionsOf(user.into()),
            (None, None) => return Err(ErrorKind::InvalidClaims),
        };
        Ok(Self { ended, issued_at: issued.ceil(), id: seen.id.ok_or(ErrorKind::InvalidClaims)?.into() })
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

/// The claims of one logout token.
#[derive(Default)]
struct Seen<'d> {
    issuer: Option<&'d str>,
    audience: Option<Value<'d>>,
    expires: Option<NumericDate>,
    not_before: Option<NumericDate>,
    issued: Option<NumericDate>,
    id: Option<&'d str>,
    session: Option<&'d str>,
    user: Option<&'d str>,
    is_logout: bool,
}

/// A string that is not empty. One that is might mean anybody.
fn name(value: Value<'_>) -> Result<&str, ErrorKind> {
    Some(text(value)?).filter(|name| !name.is_empty()).ok_or(ErrorKind::InvalidClaims)
}

/// Whether `events` is an object with the event, which is an object too.
fn names_event(events: Value<'_>) -> bool {
    Document::parse(events.as_json().to_owned())
        .is_ok_and(|events| events.find(EVENT).is_some_and(|event| event.as_json().starts_with('{')))
}
