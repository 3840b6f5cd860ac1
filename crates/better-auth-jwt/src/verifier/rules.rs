//! The rules for claims.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc, time::Duration};

use super::Profile;
use crate::{
    claims::{ClaimSpans, Claims},
    error::{Error, ErrorKind},
    header::TokenType,
    json::{Document, Value, unescape},
    numeric_date::NumericDate,
};

/// An `aud` with more entries than this is rejected.
const MAX_AUDIENCES: usize = 64;

/// What the claims of a token must satisfy.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(super) expected: ExpectedToken,
    pub(super) issuers: Accepted,
    /// All names of the issuer: its sessions are the same under each, and its logout tokens may have any of them. Empty
    /// if the issuers are not a list.
    pub(super) names: Arc<[String]>,
    pub(super) audiences: Accepted,
    pub(super) leeway: Duration,
    pub(super) max_age: Option<Duration>,
    pub(super) user_id_claim: String,
    pub(super) session_id_claim: String,
    pub(super) allow_client_credentials: bool,
}

/// The kind of token that is accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpectedToken {
    Access(Profile),
    Logout,
}

/// The accepted values of `iss` or `aud`.
#[derive(Clone)]
pub(crate) enum Accepted {
    Any,
    OneOf(Arc<[String]>),
    Matching(Arc<Predicate>),
}

/// Whether a value of `iss` or `aud` is accepted.
pub(crate) type Predicate = dyn Fn(&str) -> bool + Send + Sync;

impl Rules {
    /// The claims of an access token, and the period in which they satisfy the rules.
    pub(super) fn check_access(
        &self,
        document: Document,
        token_type: TokenType,
        now: u64,
    ) -> Result<(Claims, Range<u64>), Error> {
        let claims = RegisteredClaims::read(&document);
        let (expires_at, mut period) = self.check_common(&claims, now)?;
        period.end = period.end.min(self.max_age_exceeded_at(date(claims.iat, "iat")?, now)?);

        let subject = non_empty(claims.sub, "sub")?;
        let client = claims.client_id.and_then(Value::as_str);
        let authorized_party = claims.azp.and_then(Value::as_str);
        if !self.allow_client_credentials && [client, authorized_party].contains(&Some(subject)) {
            return Err(ErrorKind::ClientToken.into());
        }
        match (self.expected, token_type) {
            (ExpectedToken::Access(Profile::Jwt) | ExpectedToken::Logout, _) => {}
            (ExpectedToken::Access(_), TokenType::AccessToken) => claims.check_access_token()?,
            (ExpectedToken::Access(_), _) => claims.check_legacy_access_token()?,
        }

        let user_id = match self.user_id_claim.as_str() {
            "sub" => claims.sub,
            name => document.find(name),
        };
        let session_id = match self.session_id_claim.as_str() {
            "sid" => claims.sid,
            name => document.find(name),
        };
        // An absent, null or empty session id counts as missing.
        let session_id = match session_id.filter(|value| !value.is_null()) {
            Some(value) if value.as_str() == Some("") => None,
            Some(value) => Some(value.span().ok_or_else(|| invalid(self.session_id_claim.clone()))?),
            None => None,
        };
        let non_empty_span = |claim: Option<Value<'_>>| claim.filter(|value| value.as_str() != Some(""))?.span();
        let spans = ClaimSpans {
            issuer: claims.iss.and_then(Value::span),
            subject: non_empty_span(claims.sub).ok_or_else(|| invalid("sub"))?,
            user_id: non_empty_span(user_id).ok_or_else(|| invalid(self.user_id_claim.clone()))?,
            session_id,
        };
        let (expires_at, valid_until, issuers) = (expires_at.floor(), period.end, self.names.clone());
        let is_access_token = self.expected != ExpectedToken::Access(Profile::Jwt);
        Ok((Claims { document, spans, expires_at, valid_until, issuers, is_access_token }, period))
    }

    /// The rules for all kinds of tokens. Returns `exp`, and the period in which the token is valid.
    pub(crate) fn check_common(
        &self,
        claims: &RegisteredClaims<'_>,
        now: u64,
    ) -> Result<(NumericDate, Range<u64>), Error> {
        // RFC 7800, section 3: only a presenter that proves possession of the key may use the token, and this crate
        // does not verify proofs. A `cnf` without a usable key, such as null, is rejected too.
        if claims.cnf.is_some() {
            return Err(Error::from(ErrorKind::SenderConstrained).with_claim("cnf"));
        }
        let expires_at = date(claims.exp, "exp")?.ok_or_else(|| invalid("exp"))?;
        let not_before = date(claims.nbf, "nbf")?;
        let issued_at = date(claims.iat, "iat")?;
        let period = self.validity_period(expires_at, not_before, issued_at, now)?;
        self.check_issuer(claims.iss)?;
        self.check_audience(claims.aud)?;
        Ok((expires_at, period))
    }

    /// The seconds at which a token with these dates is valid, if `now` is one of them.
    fn validity_period(
        &self,
        expires_at: NumericDate,
        not_before: Option<NumericDate>,
        issued_at: Option<NumericDate>,
        now: u64,
    ) -> Result<Range<u64>, Error> {
        let seconds = Duration::from_secs;

        // RFC 7519, section 4.1.4: the token is expired on and after `exp`.
        let end = rounded_up(seconds(expires_at.floor()).saturating_add(self.leeway));
        if now >= end {
            return Err(Error::from(ErrorKind::Expired).with_claim("exp"));
        }
        let mut start = 0;
        for (date, claim) in [(not_before, "nbf"), (issued_at, "iat")] {
            let first = date.map_or(0, |date| rounded_up(seconds(date.ceil()).saturating_sub(self.leeway)));
            if now < first {
                return Err(Error::from(ErrorKind::NotYetValid).with_claim(claim));
            }
            start = start.max(first);
        }
        Ok(start..end)
    }

    /// The first second at which a token is too old.
    fn max_age_exceeded_at(&self, issued_at: Option<NumericDate>, now: u64) -> Result<u64, Error> {
        let Some(max_age) = self.max_age else { return Ok(u64::MAX) };
        let issued_at = Duration::from_secs(issued_at.ok_or_else(|| invalid("iat"))?.floor());
        let end = rounded_up(issued_at.saturating_add(max_age).saturating_add(self.leeway));
        if now < end { Ok(end) } else { Err(Error::from(ErrorKind::MaxAgeExceeded).with_claim("iat")) }
    }

    pub(super) fn check_issuer(&self, claim: Option<Value<'_>>) -> Result<(), Error> {
        let issuer = text(claim, "iss")?;
        if issuer == Some("") {
            return Err(invalid("iss"));
        }
        if self.accepts_issuer(issuer) { Ok(()) } else { Err(Error::from(ErrorKind::InvalidIssuer).with_claim("iss")) }
    }

    pub(super) fn accepts_issuer(&self, issuer: Option<&str>) -> bool {
        self.issuers.accepts(issuer)
            || self.expected == ExpectedToken::Logout
                && issuer.is_some_and(|issuer| self.names.iter().any(|name| name == issuer))
    }

    /// The issuer of the session that an accepted logout token is about, as in the `iss` of access tokens.
    pub(crate) fn session_issuer<'i>(&'i self, issuer: &'i str) -> &'i str {
        match &self.issuers {
            Accepted::OneOf(names) if !names.iter().any(|name| name == issuer) => {
                names.first().map_or(issuer, String::as_str)
            }
            _ => issuer,
        }
    }

    /// RFC 7519, section 4.1.3: a string or an array of strings. One of them must be accepted.
    fn check_audience(&self, claim: Option<Value<'_>>) -> Result<(), Error> {
        let accepted = match claim {
            Some(claim) => contains_audience(claim, |audience| self.audiences.accepts(Some(audience)))?,
            None => self.audiences.accepts(None),
        };
        if accepted { Ok(()) } else { Err(Error::from(ErrorKind::InvalidAudience).with_claim("aud")) }
    }
}

impl ExpectedToken {
    pub(super) fn accepts(self, token_type: TokenType) -> bool {
        match self {
            Self::Access(Profile::Jwt) => matches!(token_type, TokenType::Untyped | TokenType::Jwt),
            Self::Access(Profile::AccessToken) => token_type == TokenType::AccessToken,
            Self::Access(Profile::LegacyAccessToken) => {
                matches!(token_type, TokenType::Untyped | TokenType::AccessToken)
            }
            Self::Logout => token_type == TokenType::Logout,
        }
    }

    /// How to accept this type of token, which is not accepted.
    pub(super) fn hint(self, token_type: TokenType) -> &'static str {
        match (self, token_type) {
            (Self::Logout, _) => "a logout token has the typ `logout+jwt`",
            (_, TokenType::AccessToken) => "typ is `at+jwt`; use Profile::AccessToken",
            (_, TokenType::Logout) => "typ is `logout+jwt`; send logout tokens to BackChannelLogout",
            (_, TokenType::Untyped | TokenType::Jwt) => "typ is absent or `JWT`; use Profile::Jwt",
            (_, TokenType::Other) => "typ is none of `JWT`, `at+jwt` and `logout+jwt`",
        }
    }
}

impl Accepted {
    pub(super) fn accepts(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Self::Any, _) => true,
            (Self::OneOf(accepted), Some(value)) => accepted.iter().any(|accepted| accepted == value),
            (Self::Matching(accepts), Some(value)) => accepts(value),
            (_, None) => false,
        }
    }

    /// The accepted values, if they are a list.
    pub(super) fn names(&self) -> Arc<[String]> {
        match self {
            Self::OneOf(accepted) => accepted.clone(),
            Self::Any | Self::Matching(_) => Arc::default(),
        }
    }

    /// Accepts one more value.
    pub(super) fn add(&mut self, value: String) {
        match self {
            Self::OneOf(accepted) => *accepted = accepted.iter().cloned().chain([value]).collect(),
            Self::Any | Self::Matching(_) => self.add_matching(Arc::new(move |other| other == value)),
        }
    }

    /// Also accepts the values for which the function returns `true`.
    pub(super) fn add_matching(&mut self, accepts: Arc<Predicate>) {
        if !matches!(self, Self::Any) {
            let others = self.clone();
            *self = Self::Matching(Arc::new(move |value| others.accepts(Some(value)) || accepts(value)));
        }
    }
}

/// The claims that the rules read. Their types are not checked yet.
#[derive(Default)]
pub(crate) struct RegisteredClaims<'d> {
    pub(crate) iss: Option<Value<'d>>,
    pub(crate) sub: Option<Value<'d>>,
    pub(crate) aud: Option<Value<'d>>,
    pub(crate) exp: Option<Value<'d>>,
    pub(crate) nbf: Option<Value<'d>>,
    pub(crate) iat: Option<Value<'d>>,
    pub(crate) jti: Option<Value<'d>>,
    pub(crate) sid: Option<Value<'d>>,
    pub(crate) cnf: Option<Value<'d>>,
    pub(crate) events: Option<Value<'d>>,
    pub(crate) nonce: Option<Value<'d>>,
    client_id: Option<Value<'d>>,
    azp: Option<Value<'d>>,
    scope: Option<Value<'d>>,
    /// `at_hash`, `c_hash` or `auth_time`, of which every ID token of Better Auth has one.
    id_token: Option<Value<'d>>,
}

impl<'d> RegisteredClaims<'d> {
    pub(crate) fn read(document: &'d Document) -> Self {
        let mut claims = Self::default();
        for value in document.members() {
            let claim = match value.name() {
                "iss" => &mut claims.iss,
                "sub" => &mut claims.sub,
                "aud" => &mut claims.aud,
                "exp" => &mut claims.exp,
                "nbf" => &mut claims.nbf,
                "iat" => &mut claims.iat,
                "jti" => &mut claims.jti,
                "sid" => &mut claims.sid,
                "cnf" => &mut claims.cnf,
                "events" => &mut claims.events,
                "nonce" => &mut claims.nonce,
                "client_id" => &mut claims.client_id,
                "azp" => &mut claims.azp,
                "scope" => &mut claims.scope,
                "at_hash" | "c_hash" | "auth_time" => &mut claims.id_token,
                _ => continue,
            };
            *claim = Some(value);
        }
        claims
    }

    /// RFC 9068, section 2.2.
    fn check_access_token(&self) -> Result<(), Error> {
        required(self.client_id, "client_id")?;
        self.iat.ok_or_else(|| invalid("iat"))?;
        required(self.jti, "jti").map(drop)
    }

    /// The access tokens of Better Auth before 1.7 have no `typ`, `client_id` or `jti`. Its ID tokens have the same
    /// keys and issuer; their audience is the client.
    fn check_legacy_access_token(&self) -> Result<(), Error> {
        if self.nonce.is_some() || self.id_token.is_some() {
            return Err(ErrorKind::IdToken.into());
        }
        let client = non_empty(self.azp, "azp")?;
        required(self.scope, "scope")?;
        self.iat.ok_or_else(|| invalid("iat"))?;
        match self.aud {
            Some(audience) if !contains_audience(audience, |audience| audience == client)? => Ok(()),
            _ => Err(ErrorKind::IdToken.into()),
        }
    }
}

/// The first second that the clock, which has whole seconds, shows at or after this time.
fn rounded_up(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

/// An error about a claim that is missing, or has a wrong type or value.
pub(crate) fn invalid(claim: impl Into<Cow<'static, str>>) -> Error {
    Error::from(ErrorKind::InvalidClaims).with_claim(claim)
}

/// The claim, if it is present; it must then be a string.
pub(crate) fn text<'d>(claim: Option<Value<'d>>, name: &'static str) -> Result<Option<&'d str>, Error> {
    claim.map(|value| value.as_str().ok_or_else(|| invalid(name))).transpose()
}

/// The claim, which must be a string that is not empty.
pub(crate) fn non_empty<'d>(claim: Option<Value<'d>>, name: &'static str) -> Result<&'d str, Error> {
    text(claim, name)?.filter(|text| !text.is_empty()).ok_or_else(|| invalid(name))
}

fn required<'d>(claim: Option<Value<'d>>, name: &'static str) -> Result<&'d str, Error> {
    text(claim, name)?.ok_or_else(|| invalid(name))
}

/// The claim, if it is present; it must then be a date.
pub(crate) fn date(claim: Option<Value<'_>>, name: &'static str) -> Result<Option<NumericDate>, Error> {
    claim.map(|value| NumericDate::parse(value.raw()).ok_or_else(|| invalid(name))).transpose()
}

/// Whether `aud` contains an audience for which the function returns `true`.
fn contains_audience(claim: Value<'_>, is_match: impl Fn(&str) -> bool) -> Result<bool, Error> {
    if let Some(audience) = claim.as_str() {
        return if audience.is_empty() { Err(invalid("aud")) } else { Ok(is_match(audience)) };
    }
    let (mut count, mut found) = (0, false);
    for json in claim.elements().ok_or_else(|| invalid("aud"))? {
        let audience = unescape(json).filter(|audience| !audience.is_empty()).ok_or_else(|| invalid("aud"))?;
        found |= is_match(&audience);
        count += 1;
        if count > MAX_AUDIENCES {
            return Err(invalid("aud"));
        }
    }
    Ok(found)
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::OneOf(accepted) => accepted.fmt(f),
            Self::Matching(_) => f.write_str("matching"),
        }
    }
}
