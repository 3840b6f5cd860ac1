//! From a token to its claims: the rules.

use std::{fmt, future::Future, ops::Range, pin::Pin, sync::Arc, time::Duration};

use crate::{
    claims::{Claims, Places},
    clock::{Clock, SystemClock},
    error::{ConfigError, Error, ErrorKind},
    header_memo::HeaderMemo,
    json::{Document, Place, Value, unescape},
    jws::{Compact, Header, TokenKind},
    keys::{KeySource, Readiness, Refresh, SharedSecret},
    numeric_date::NumericDate,
};

/// Tokens may be this long unless [`Verifier::longest_token`] says otherwise.
const LONGEST_TOKEN: usize = 8 * 1024;

/// How far clocks may be apart unless [`Verifier::leeway`] says otherwise.
const LEEWAY: Duration = Duration::from_secs(30);

/// How many fetches a token may wait for: one under way that began too early to have its key, and
/// one made for it.
pub(crate) const MOST_WAITS: u8 = 2;

/// An `aud` with more entries than this is no audience but an attempt.
const MOST_AUDIENCES: usize = 64;

/// Verifies tokens: which keys, and which rules.
///
/// Issuer and audience must be named, or waived by name: a verifier without them cannot be built.
/// Better Auth signs other things with the same keys, which only `iss`, `aud` and `typ` tell apart.
///
/// ```
/// use better_auth_jwt::Verifier;
///
/// let verifier = Verifier::shared_secret("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n")?
///     .issuer("https://app.example.com")
///     .audience("https://app.example.com");
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Verifier {
    trusts: Vec<Trust>,
    clock: Arc<dyn Clock>,
    longest_token: usize,
    headers: Arc<HeaderMemo>,
}

/// Keys, and the rules for tokens that they sign.
#[derive(Clone)]
struct Trust {
    keys: Arc<dyn KeySource>,
    rules: Rules,
}

#[derive(Clone)]
pub(crate) struct Rules {
    expects: Expects,
    /// Empty: any.
    issuers: Vec<Box<str>>,
    /// Empty: any.
    audiences: Vec<Box<str>>,
    leeway: u64,
    max_age: Option<u64>,
    user_claim: &'static str,
    session_claim: &'static str,
    clients_allowed: bool,
}

/// What a token is for. One that is for something else never passes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    Access(Profile),
    Logout,
}

/// Which kind of token a verifier accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Profile {
    /// What Better Auth's JWT plugin issues: `typ` absent or `JWT`.
    #[default]
    Jwt,
    /// OAuth access tokens (RFC 9068): `typ` is `at+jwt`, and `client_id`, `iat` and `jti` are
    /// required.
    ///
    /// Better Auth's OAuth provider signs them with the same keys, but under another issuer, and for
    /// the `resource` that the app has asked for:
    ///
    #[cfg_attr(feature = "remote-jwks", doc = "```")]
    #[cfg_attr(not(feature = "remote-jwks"), doc = "```ignore")]
    /// use better_auth_jwt::{BetterAuth, JwtAuthLayer, Profile, Verifier, keys::RemoteKeySet};
    ///
    /// let server = BetterAuth::new("https://app.example.com")?;
    /// let verifier = Verifier::new(RemoteKeySet::new(server.jwks_url())?)
    ///     .issuer(server.oauth_issuer())
    ///     .audience("https://api.example.com")
    ///     .profile(Profile::AccessToken);
    /// let auth = JwtAuthLayer::new(verifier).require_scopes(["invoices:read"])?;
    /// # let _ = auth;
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    AccessToken,
}

impl Verifier {
    /// A verifier with these keys. Issuer and audience come next.
    #[expect(clippy::new_ret_no_self, reason = "issuer and audience must be named before there is a verifier")]
    pub fn new(keys: impl KeySource) -> WantsIssuer {
        WantsIssuer { keys: Arc::new(keys) }
    }

    /// A verifier for `HS256` tokens signed with a secret that both sides know, usually
    /// `BETTER_AUTH_SECRET`.
    ///
    /// # Errors
    ///
    /// The secret is too weak: see [`SharedSecret::new`].
    pub fn shared_secret(secret: impl AsRef<[u8]>) -> Result<WantsIssuer, ConfigError> {
        Ok(Self::new(SharedSecret::new(secret)?))
    }

    /// A verifier for tokens of the Better Auth server with this base URL, as its JWT plugin issues
    /// them: keys at `/api/auth/jwks` below it, issuer and audience its origin.
    ///
    /// A path in the URL is taken for Better Auth's base path, instead of `/api/auth`. Access tokens
    /// of its OAuth provider are another matter: see [`Profile::AccessToken`].
    ///
    /// ```
    /// use better_auth_jwt::Verifier;
    ///
    /// let verifier = Verifier::better_auth("https://app.example.com")?;
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The text is no URL, or its scheme is neither `https` nor `http` to this machine.
    #[cfg(feature = "remote-jwks")]
    pub fn better_auth(url: &str) -> Result<Self, ConfigError> {
        let server = crate::better_auth::BetterAuth::new(url)?;
        let keys = crate::keys::RemoteKeySet::new(server.jwks_url())?;
        Ok(Self::new(keys).issuer(server.origin()).audience(server.origin()))
    }

    /// Accepts one more issuer, such as an old domain, with the same keys and rules.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<Box<str>>) -> Self {
        let issuer = issuer.into();
        self.for_each_rules(|rules| rules.issuers.push(issuer.clone()));
        self
    }

    /// Accepts one more audience.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<Box<str>>) -> Self {
        let audience = audience.into();
        self.for_each_rules(|rules| rules.audiences.push(audience.clone()));
        self
    }

    /// Accepts what either verifier accepts, each by its own keys and rules alone.
    ///
    /// The token's `typ`, algorithm and `iss` decide which of them looks at it; keys of one never
    /// verify a token meant for the other. Clock and size limit stay those of `self`; rules that are
    /// set on the result apply to both.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.trusts.extend(other.trusts);
        self
    }

    /// How far the clocks of issuer and service may be apart. 30 seconds by default.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.for_each_rules(|rules| rules.leeway = leeway.as_secs());
        self
    }

    /// Refuses tokens issued longer ago than this, whatever their `exp`; `iat` is then required.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.for_each_rules(|rules| rules.max_age = Some(age.as_secs()));
        self
    }

    /// Which kind of token is accepted. [`Profile::Jwt`] by default.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.for_each_rules(|rules| rules.expects = Expects::Access(profile));
        self
    }

    /// The claim that identifies the user, for issuers that put it elsewhere than into `sub`.
    ///
    /// `sub` is required all the same: without it Better Auth's other tokens could pass.
    #[must_use]
    pub fn user_claim(mut self, name: &'static str) -> Self {
        self.for_each_rules(|rules| rules.user_claim = name);
        self
    }

    /// Accepts client-credentials tokens too: those whose `sub` is their own `client_id`.
    ///
    /// By default they are refused, since a client id could equal a user id (RFC 9700, section 4.15).
    #[must_use]
    pub fn allow_clients(mut self) -> Self {
        self.for_each_rules(|rules| rules.clients_allowed = true);
        self
    }

    /// The claim that names the session a token was issued for. `sid` by default, which Better Auth puts in where
    /// `definePayload` says so.
    #[must_use]
    pub fn session_claim(mut self, name: &'static str) -> Self {
        self.for_each_rules(|rules| rules.session_claim = name);
        self
    }

    /// The longest token that is looked at, in bytes. 8 KiB by default.
    #[must_use]
    pub fn longest_token(mut self, bytes: usize) -> Self {
        self.longest_token = bytes;
        self
    }

    /// Another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Whether tokens can be verified at the moment, by any of the key sources: for health checks.
    pub fn readiness(&self) -> Readiness {
        self.trusts.iter().map(|trust| trust.keys.readiness()).max().unwrap_or(Readiness::Unavailable)
    }

    /// Verifies a token outside of the layer, such as one that came over a WebSocket. Whether its session has been ended
    /// is for a [`SessionCheck`](crate::SessionCheck) to say.
    ///
    /// # Errors
    ///
    /// The token is refused, or there are no keys.
    pub async fn verify(&self, token: &str) -> Result<Arc<Claims>, Error> {
        let verified = wait_for_keys(|| self.check(token.as_bytes(), self.now())).await?;
        Ok(verified.claims)
    }

    /// The present, for [`check`](Self::check) and [`Standing`].
    pub(crate) fn now(&self) -> u64 {
        self.clock.unix_time()
    }

    /// Verifies without waiting.
    pub(crate) fn check(&self, token: &[u8], now: u64) -> Result<Verified, Failure> {
        let token = self.split(token)?;
        match self.headers.find(token.header) {
            Some(header) => self.check_claims(&token, header, now),
            None => {
                let header = Header::decode(token.header)?;
                let verified = self.check_claims(&token, &header, now)?;
                self.headers.keep(token.header, header);
                Ok(verified)
            }
        }
    }

    fn split<'t>(&self, token: &'t [u8]) -> Result<Compact<'t>, ErrorKind> {
        if token.len() > self.longest_token {
            return Err(ErrorKind::TooLarge);
        }
        Compact::split(token)
    }

    fn check_claims(&self, token: &Compact<'_>, header: &Header, now: u64) -> Result<Verified, Failure> {
        let place = self.responsible(token, header)?;
        let trust = self.trusts.get(place).ok_or(ErrorKind::UnknownKey)?;
        // Asked for before the key: if keys change in between, what is remembered is outdated.
        let generation = trust.keys.generation();
        let mut claims = Claims::unread(utf8(trust.open(token, header)?)?);
        let window = trust.rules.read(&mut claims, now)?;
        let standing = generation.map(|generation| Standing { window, trust: place, generation });
        Ok(Verified { claims: Arc::new(claims), standing })
    }

    /// The same keys and rules for logout tokens.
    pub(crate) fn for_logout(mut self) -> Self {
        self.for_each_rules(|rules| rules.expects = Expects::Logout);
        self
    }

    /// The claims of a rightly signed token, and whose rules they must satisfy, without waiting.
    pub(crate) fn open(&self, token: &[u8]) -> Result<(Document, &Rules), Failure> {
        let token = self.split(token)?;
        let header = Header::decode(token.header)?;
        let trust = self.trusts.get(self.responsible(&token, &header)?).ok_or(ErrorKind::UnknownKey)?;
        Ok((claims_document(trust.open(&token, &header)?)?, &trust.rules))
    }

    /// Whether a token that was verified with this standing would be verified again now.
    pub(crate) fn still_accepts(&self, standing: &Standing, now: u64) -> bool {
        standing.window.contains(&now)
            && self.trusts.get(standing.trust).is_some_and(|trust| trust.keys.generation() == Some(standing.generation))
    }

    /// Which of the trusts the token is to be verified with.
    fn responsible(&self, token: &Compact<'_>, header: &Header) -> Result<usize, ErrorKind> {
        let trusts = || self.trusts.iter().enumerate().filter(|(_, trust)| trust.accepts(header));
        let mut candidates = trusts();
        match (candidates.next(), candidates.next()) {
            (None, _) => {
                let typ_fits = self.trusts.iter().any(|trust| trust.rules.expects.accepts(header.kind()));
                Err(if typ_fits { ErrorKind::UnsupportedAlgorithm } else { ErrorKind::WrongType })
            }
            (Some((place, _)), None) => Ok(place),
            // Only the issuer can tell which keys are meant. It chooses and proves nothing: the
            // token must then pass that issuer's keys and rules (RFC 8725, section 3.8).
            (Some(_), Some(_)) => {
                let document = claims_document(token.unverified_payload()?)?;
                let issuer = document.find("iss").and_then(Value::as_str);
                let mut chosen = trusts().filter(|(_, trust)| trust.rules.accepts_issuer(issuer)).peekable();
                let (first, _) = *chosen.peek().ok_or(ErrorKind::WrongIssuer)?;
                Ok(chosen.find(|(_, trust)| trust.keys.find(header).is_some()).map_or(first, |(place, _)| place))
            }
        }
    }

    fn for_each_rules(&mut self, change: impl Fn(&mut Rules)) {
        self.trusts.iter_mut().for_each(|trust| change(&mut trust.rules));
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.trusts.iter().map(|trust| (&trust.rules.issuers, &trust.rules.audiences));
        f.write_str("Verifier")?;
        f.debug_list().entries(rules).finish()
    }
}

/// A verifier that still needs to know whose tokens it accepts.
#[must_use = "name the issuer and the audience to get a `Verifier`"]
pub struct WantsIssuer {
    keys: Arc<dyn KeySource>,
}

impl WantsIssuer {
    /// The `iss` that tokens must have, compared exactly: with Better Auth, the origin of its
    /// `baseURL`.
    pub fn issuer(self, issuer: impl Into<Box<str>>) -> WantsAudience {
        WantsAudience { keys: self.keys, issuers: vec![issuer.into()] }
    }

    /// Accepts tokens of any issuer that has the keys, and tokens without `iss`.
    ///
    /// Better Auth signs other tokens with the same keys; do this only where you know them all.
    pub fn any_issuer(self) -> WantsAudience {
        WantsAudience { keys: self.keys, issuers: Vec::new() }
    }
}

impl fmt::Debug for WantsIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WantsIssuer")
    }
}

/// A verifier that still needs to know for whom the tokens are meant.
#[must_use = "name the audience to get a `Verifier`"]
pub struct WantsAudience {
    keys: Arc<dyn KeySource>,
    issuers: Vec<Box<str>>,
}

impl WantsAudience {
    /// The audience that tokens must name, compared exactly: with Better Auth, the origin of its
    /// `baseURL`.
    pub fn audience(self, audience: impl Into<Box<str>>) -> Verifier {
        self.build(vec![audience.into()])
    }

    /// Accepts tokens meant for anybody, and tokens without `aud`.
    pub fn any_audience(self) -> Verifier {
        self.build(Vec::new())
    }

    fn build(self, audiences: Vec<Box<str>>) -> Verifier {
        let rules = Rules {
            expects: Expects::Access(Profile::default()),
            issuers: self.issuers,
            audiences,
            leeway: LEEWAY.as_secs(),
            max_age: None,
            user_claim: "sub",
            session_claim: "sid",
            clients_allowed: false,
        };
        Verifier {
            trusts: vec![Trust { keys: self.keys, rules }],
            clock: Arc::new(SystemClock),
            longest_token: LONGEST_TOKEN,
            headers: Arc::new(HeaderMemo::new()),
        }
    }
}

impl fmt::Debug for WantsAudience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WantsAudience").field("issuers", &self.issuers).finish_non_exhaustive()
    }
}

/// Checks again after each fetch that may bring the key.
pub(crate) async fn wait_for_keys<T>(check: impl Fn() -> Result<T, Failure>) -> Result<T, Error> {
    let mut outcome = check();
    for _ in 0..MOST_WAITS {
        let Err(Failure::Wait(keys)) = outcome else { break };
        keys.await;
        outcome = check();
    }
    outcome.map_err(Failure::into_error)
}

/// What [`Verifier::check`] found.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) claims: Arc<Claims>,
    /// Until when that holds; none if it is not to be remembered.
    pub(crate) standing: Option<Standing>,
}

/// On what a verification rests.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// The times at which the token is current, leeway included.
    window: Range<u64>,
    trust: usize,
    generation: u64,
}

/// Why [`Verifier::check`] has no claims.
pub(crate) enum Failure {
    Rejected(Error),
    /// After this a second look may find the key.
    Wait(Pin<Box<dyn Future<Output = ()> + Send>>),
    Unavailable(ErrorKind, Duration),
}

impl Failure {
    /// The error if there is no more waiting.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Rejected(error) => error,
            Self::Wait(_) => Error::from(ErrorKind::KeysUnavailable).with_retry_after(Duration::from_secs(1)),
            Self::Unavailable(kind, retry_after) => Error::from(kind).with_retry_after(retry_after),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Rejected(error)
    }
}

impl From<ErrorKind> for Failure {
    fn from(kind: ErrorKind) -> Self {
        Self::Rejected(kind.into())
    }
}

impl Trust {
    fn accepts(&self, header: &Header) -> bool {
        self.rules.expects.accepts(header.kind()) && self.keys.supports(header.algorithm())
    }

    /// The payload of a token that one of the keys has signed.
    fn open(&self, token: &Compact<'_>, header: &Header) -> Result<Vec<u8>, Failure> {
        match self.keys.find(header) {
            Some(key) => Ok(token.open(header, &key)?),
            None => Err(match self.keys.refresh(header) {
                Refresh::TooSoon(after) if self.rules.expects == Expects::Logout => {
                    Failure::Unavailable(ErrorKind::KeysUnavailable, after)
                }
                Refresh::Pointless | Refresh::TooSoon(_) => ErrorKind::UnknownKey.into(),
                Refresh::Wait(keys) => Failure::Wait(keys),
                Refresh::Unavailable(after) => Failure::Unavailable(ErrorKind::KeysUnavailable, after),
            }),
        }
    }
}

impl Expects {
    fn accepts(self, kind: TokenKind) -> bool {
        match self {
            Self::Access(Profile::Jwt) => matches!(kind, TokenKind::Untyped | TokenKind::Jwt),
            Self::Access(Profile::AccessToken) => kind == TokenKind::AccessToken,
            Self::Logout => kind == TokenKind::Logout,
        }
    }
}

/// RFC 7519, section 7.2: a JSON object in UTF-8.
fn claims_document(payload: Vec<u8>) -> Result<Document, ErrorKind> {
    Document::parse(utf8(payload)?).map_err(|_| ErrorKind::Malformed)
}

fn utf8(payload: Vec<u8>) -> Result<String, ErrorKind> {
    String::from_utf8(payload).map_err(|_| ErrorKind::Malformed)
}

impl Rules {
    /// Reads claims and returns the times at which they satisfy the rules.
    fn read(&self, claims: &mut Claims, now: u64) -> Result<Range<u64>, ErrorKind> {
        claims.document.read().map_err(|_| ErrorKind::Malformed)?;
        let document = &claims.document;
        let mut seen = Seen::default();
        for value in document.members() {
            match value.name_bytes() {
                b"iss" => seen.issuer = Some(text(value)?),
                b"sub" => (seen.subject, seen.places.subject) = (Some(text(value)?), place(value)?),
                b"jti" => seen.id = Some(text(value)?),
                b"aud" => seen.audience = Some(value),
                b"exp" => seen.expires = Some(date(value)?),
                b"nbf" => seen.not_before = Some(date(value)?),
                b"iat" => seen.issued = Some(date(value)?),
                b"client_id" => seen.client = value.as_str(),
                b"azp" => seen.authorized_party = value.as_str(),
                // RFC 7800, section 3: only who proves possession of that key may use the token, and a bearer proves
                // nothing. A `cnf` without a usable key, such as null, is rejected too.
                b"cnf" => return Err(ErrorKind::SenderConstrained),
                b"sid" if !value.is_null() => seen.places.session = place(value)?,
                b"email" | b"name" if !value.is_null() => _ = place(value)?,
                _ => {}
            }
        }
        seen.places.user = match self.user_claim {
            "sub" => seen.places.subject,
            name => document.find(name).map_or(Ok(Place::default()), place)?,
        };
        if self.session_claim != "sid" {
            let session = document.find(self.session_claim).filter(|value| !value.is_null());
            seen.places.session = session.map_or(Ok(Place::default()), place)?;
        }

        let expires = seen.expires.ok_or(ErrorKind::InvalidClaims)?;
        let Range { start: begin, mut end } = self.current(expires, seen.not_before.max(seen.issued), now)?;
        if let Some(age) = self.max_age {
            let issued = seen.issued.ok_or(ErrorKind::InvalidClaims)?.floor();
            let too_old = issued.saturating_add(age).saturating_add(self.leeway).saturating_add(1);
            if now >= too_old {
                return Err(ErrorKind::TooOld);
            }
            end = end.min(too_old);
        }

        if !self.accepts_issuer(seen.issuer) {
            return Err(ErrorKind::WrongIssuer);
        }
        self.check_audience(seen.audience)?;

        let subject = seen.subject.filter(|subject| !subject.is_empty()).ok_or(ErrorKind::InvalidClaims)?;
        let is_subject = |claim: Option<&str>| claim == Some(subject);
        if !self.clients_allowed && (is_subject(seen.client) || is_subject(seen.authorized_party)) {
            return Err(ErrorKind::NotAUser);
        }
        if document.at(seen.places.user).is_empty() {
            return Err(ErrorKind::InvalidClaims);
        }
        // RFC 9068, section 2.2.
        let is_complete = seen.client.is_some() && seen.issued.is_some() && seen.id.is_some();
        if self.expects == Expects::Access(Profile::AccessToken) && !is_complete {
            return Err(ErrorKind::InvalidClaims);
        }
        (claims.places, claims.expires) = (seen.places, expires.floor());
        Ok(begin..end)
    }

    /// The times at which a token is good that ends and begins at these dates, if now is one of them.
    pub(crate) fn current(
        &self,
        expires: NumericDate,
        begins: Option<NumericDate>,
        now: u64,
    ) -> Result<Range<u64>, ErrorKind> {
        // RFC 7519, section 4.1.4: on or after `exp` is too late.
        let end = expires.floor().saturating_add(self.leeway);
        if now >= end {
            return Err(ErrorKind::Expired);
        }
        let begin = begins.map_or(0, NumericDate::ceil).saturating_sub(self.leeway);
        if now < begin {
            return Err(ErrorKind::NotYetValid);
        }
        Ok(begin..end)
    }

    pub(crate) fn accepts_issuer(&self, issuer: Option<&str>) -> bool {
        self.issuers.is_empty() || issuer.is_some_and(|issuer| self.issuers.iter().any(|ours| **ours == *issuer))
    }

    /// RFC 7519, section 4.1.3: a string or an array of strings, one of which must be ours.
    pub(crate) fn check_audience(&self, audience: Option<Value<'_>>) -> Result<(), ErrorKind> {
        let is_ours = |name: &str| self.audiences.is_empty() || self.audiences.iter().any(|ours| **ours == *name);
        let Some(value) = audience else {
            return if self.audiences.is_empty() { Ok(()) } else { Err(ErrorKind::WrongAudience) };
        };
        let accepted = match value.as_str() {
            Some("") => return Err(ErrorKind::InvalidClaims),
            Some(one) => is_ours(one),
            None => {
                let (mut count, mut accepted) = (0, false);
                for element in value.elements().ok_or(ErrorKind::InvalidClaims)? {
                    let name = unescape(element).filter(|name| !name.is_empty()).ok_or(ErrorKind::InvalidClaims)?;
                    accepted |= is_ours(&name);
                    count += 1;
                    if count > MOST_AUDIENCES {
                        return Err(ErrorKind::InvalidClaims);
                    }
                }
                accepted
            }
        };
        if accepted { Ok(()) } else { Err(ErrorKind::WrongAudience) }
    }
}

/// The registered claims of one token.
#[derive(Default)]
struct Seen<'d> {
    places: Places,
    issuer: Option<&'d str>,
    subject: Option<&'d str>,
    id: Option<&'d str>,
    audience: Option<Value<'d>>,
    expires: Option<NumericDate>,
    not_before: Option<NumericDate>,
    issued: Option<NumericDate>,
    client: Option<&'d str>,
    authorized_party: Option<&'d str>,
}

pub(crate) fn text(value: Value<'_>) -> Result<&str, ErrorKind> {
    value.as_str().ok_or(ErrorKind::InvalidClaims)
}

fn place(value: Value<'_>) -> Result<Place, ErrorKind> {
    value.place().ok_or(ErrorKind::InvalidClaims)
}

pub(crate) fn date(value: Value<'_>) -> Result<NumericDate, ErrorKind> {
    NumericDate::parse(value.as_json_bytes()).ok_or(ErrorKind::InvalidClaims)
}
