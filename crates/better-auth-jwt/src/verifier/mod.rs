//! Verification of tokens.

mod builder;
mod rules;
mod trusted_issuer;

use std::{fmt, ops::Range, sync::Arc, time::Duration};

pub use self::builder::{VerifierBuilder, WantsAudience, WantsIssuer};
#[cfg(feature = "jwks-reqwest")]
pub(crate) use self::rules::Predicate;
use self::{
    rules::ExpectedToken,
    trusted_issuer::{TrustedIssuer, VerifiedBy, verify_with_each},
};
pub(crate) use self::{
    rules::{RegisteredClaims, Rules, date, invalid, non_empty},
    trusted_issuer::{Failure, parse_claims},
};
use crate::{
    claims::Claims,
    clock::Clock,
    deadline,
    error::{ConfigError, Error, ErrorKind},
    header::Header,
    json::Document,
    jws::CompactJws,
    keys::{KeySource, Readiness, SharedSecret},
};

/// How many fetches of one issuer's keys a token may wait for: one that started too early to contain its key, and the
/// next.
const FETCHES_PER_ISSUER: usize = 2;

/// When to retry if keys did not arrive in time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Verifies tokens with the keys and rules of one or more issuers.
///
/// Issuer and audience are required, because Better Auth signs other tokens with the same keys. Only `iss`, `aud` and
/// `typ` distinguish them.
///
/// ```
/// use better_auth_jwt::Verifier;
///
/// let verifier = Verifier::shared_secret("k7Qm2vX9pLr4sT8wYz1aBc3dEf5gHj6n")?
///     .issuer("https://app.example.com")
///     .audience("https://app.example.com")?;
/// # Ok::<(), better_auth_jwt::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Verifier {
    issuers: Vec<TrustedIssuer>,
    clock: Arc<dyn Clock>,
    max_token_size: usize,
}

/// Which kind of token a verifier accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Profile {
    /// The tokens of Better Auth's JWT plugin: `typ` is absent or `JWT`.
    #[default]
    Jwt,
    /// OAuth access tokens (RFC 9068): `typ` is `at+jwt`, and `client_id`, `iat` and `jti` are required.
    ///
    /// Better Auth's OAuth provider signs them with the keys of the JWT plugin, but under another issuer, and for the
    /// `resource` that the client requests. `BetterAuth::access_tokens` accepts them beside the tokens of the JWT
    /// plugin. To accept access tokens only:
    ///
    #[cfg_attr(feature = "jwks-reqwest", doc = "```")]
    #[cfg_attr(not(feature = "jwks-reqwest"), doc = "```ignore")]
    /// use better_auth_jwt::{BetterAuthUrls, JwtAuthLayer, Profile, Verifier, keys::RemoteKeySet};
    ///
    /// let urls = BetterAuthUrls::new("https://app.example.com")?;
    /// let verifier = Verifier::builder(RemoteKeySet::new(urls.jwks_url())?)
    ///     .issuer(urls.oauth_issuer())
    ///     .audience("https://api.example.com")?
    ///     .profile(Profile::AccessToken);
    /// let auth = JwtAuthLayer::new(verifier).require_scopes(["invoices:read"])?;
    /// # let _ = auth;
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    AccessToken,
    /// Like [`AccessToken`](Self::AccessToken), and also accepts the access tokens of Better Auth 1.4 to 1.6, which
    /// have no `typ`, `client_id` or `jti`. Use it while an issuer is upgraded to 1.7.
    ///
    /// ID tokens have no `typ` either. A token without `typ` is therefore accepted only if it has `azp`, `scope` and
    /// `iat`, its `aud` does not contain the client, and it has no claim of an ID token (`nonce`, `at_hash`, `c_hash`,
    /// `auth_time`).
    LegacyAccessToken,
}

impl Verifier {
    /// Returns a builder for a verifier with these keys.
    pub fn builder(keys: impl KeySource) -> VerifierBuilder<WantsIssuer> {
        VerifierBuilder::new(keys)
    }

    /// Returns a builder for a verifier of `HS256` tokens that are signed with a shared secret.
    ///
    /// # Errors
    ///
    /// The secret is too weak: see [`SharedSecret::new`].
    pub fn shared_secret(secret: impl AsRef<[u8]>) -> Result<VerifierBuilder<WantsIssuer>, ConfigError> {
        Ok(Self::builder(SharedSecret::new(secret)?))
    }

    /// Creates a verifier for the tokens of Better Auth's JWT plugin. Keys, issuer and audience follow from the base
    /// URL of the Better Auth server: the keys are at `/api/auth/jwks`, and `iss` and `aud` are its origin.
    ///
    /// A path in the URL is the base path, instead of `/api/auth`. [`BetterAuth`](crate::BetterAuth) has more settings.
    /// For access tokens of the OAuth provider see [`Profile::AccessToken`].
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
    /// The URL is invalid, or its scheme is neither `https` nor `http` to loopback.
    #[cfg(feature = "jwks-reqwest")]
    pub fn better_auth(url: &str) -> Result<Self, ConfigError> {
        let (verifier, _) = crate::BetterAuth::new(url)?.build()?;
        Ok(verifier)
    }

    /// Accepts the tokens that either verifier accepts, each by its own keys and rules.
    ///
    /// The token's `typ`, `alg` and `iss` decide which of the verifiers are tried. Keys of one verifier never verify a
    /// token for the other. If both have the same issuer, a token needs to satisfy only one of them, so check that
    /// neither has weaker settings than you want.
    ///
    /// The clock and the maximum token size are those of `self`; the other verifier's are ignored. Later settings apply
    /// to both.
    ///
    /// A user is identified by [`Claims::issuer`] and [`Claims::user_id`] together, and a session likewise. A path
    /// usually contains the user id alone: combine issuers only if equal user ids are always the same user, as with
    /// several domains of one Better Auth database. Otherwise use a layer for each issuer, on separate paths:
    /// see [`guides::several_issuers`](crate::guides::several_issuers).
    pub fn or(mut self, other: Self) -> Self {
        self.issuers.extend(other.issuers);
        self
    }

    /// The difference that is allowed between the clocks of issuer and service. 30 seconds by default.
    pub fn leeway(self, leeway: Duration) -> Self {
        self.with_rules(|rules| rules.leeway = leeway)
    }

    /// Rejects tokens once this time and the [`leeway`](Self::leeway) have passed since `iat`, whatever their `exp`.
    /// `iat` is then required.
    pub fn max_age(self, age: Duration) -> Self {
        self.with_rules(|rules| rules.max_age = Some(age))
    }

    /// Which kind of token is accepted. [`Profile::Jwt`] by default.
    pub fn profile(self, profile: Profile) -> Self {
        self.with_rules(|rules| rules.expected = ExpectedToken::Access(profile))
    }

    /// The claim that contains the user id. `sub` by default.
    ///
    /// `sub` is required in any case, because other tokens of Better Auth do not have it.
    pub fn user_id_claim(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with_rules(|rules| rules.user_id_claim.clone_from(&name))
    }

    /// The claim that contains the session id. `sid` by default, which Better Auth's `definePayload` can add.
    pub fn session_id_claim(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with_rules(|rules| rules.session_id_claim.clone_from(&name))
    }

    /// Accepts client-credentials tokens too: those whose `sub` is their own `client_id` (RFC 6749, section 4.4).
    ///
    /// They are rejected by default, because a client id could equal a user id (RFC 9700, section 4.15).
    pub fn allow_client_credentials(self) -> Self {
        self.with_rules(|rules| rules.allow_client_credentials = true)
    }

    /// The maximum size of a token in bytes. 8 KiB by default.
    pub fn max_token_size(mut self, bytes: usize) -> Self {
        self.max_token_size = bytes;
        self
    }

    /// Uses this clock instead of the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Whether tokens can be verified now, with any of the key sources: for health checks.
    ///
    /// A shared secret is always ready. If a verifier also has a remote key set, check that one itself.
    pub fn readiness(&self) -> Readiness {
        self.issuers.iter().map(|issuer| issuer.keys.readiness()).max().unwrap_or(Readiness::Unavailable)
    }

    /// Verifies a token outside of the layer. Sessions, paths, scopes and rules are not checked: use
    /// [`JwtAuthLayer::authorize`](crate::JwtAuthLayer::authorize) for those.
    ///
    /// # Errors
    ///
    /// The token is rejected, or keys are unavailable.
    pub async fn verify(&self, token: &str) -> Result<Arc<Claims>, Error> {
        let verified = self.wait_for_keys(|| self.try_verify(token.as_bytes(), self.now())).await?;
        Ok(verified.claims)
    }

    /// How much longer this verifier accepts a token with these claims, including the leeway. Zero if it has expired.
    ///
    /// End streams, such as server-sent events, at this time ([`guides::streams`](crate::guides::streams) is a complete
    /// example):
    ///
    /// ```
    /// # use better_auth_jwt::{Claims, Verifier};
    /// # async fn stream(verifier: &Verifier, claims: &Claims, events: impl Future<Output = ()>) {
    /// tokio::time::timeout(verifier.remaining(claims), events).await.ok();
    /// # }
    /// ```
    pub fn remaining(&self, claims: &Claims) -> Duration {
        Duration::from_secs(claims.valid_until.saturating_sub(self.now()))
    }

    /// The current time, for [`try_verify`](Self::try_verify) and [`is_still_valid`](Self::is_still_valid).
    pub(crate) fn now(&self) -> u64 {
        self.clock.unix_time()
    }

    /// Verifies an access token with the keys in memory.
    pub(crate) fn try_verify(&self, token: &[u8], now: u64) -> Result<Verified, Failure> {
        let (token, header) = self.parse(token)?;
        verify_with_each(&self.issuers, &token, &header, |by, payload| {
            let VerifiedBy { index, issuer, generation } = by;
            let (claims, period) = issuer.rules.check_access(parse_claims(payload)?, header.token_type(), now)?;
            let validity = generation.map(|generation| Validity { period, issuer: index, generation });
            Ok(Verified { claims: Arc::new(claims), validity })
        })
    }

    /// Verifies the signature of a logout token with the keys in memory. `check` reads its claims.
    pub(crate) fn try_verify_with<T>(
        &self,
        token: &[u8],
        check: impl Fn(&Document, &Rules) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let (token, header) = self.parse(token)?;
        verify_with_each(&self.issuers, &token, &header, |by, payload| check(&parse_claims(payload)?, &by.issuer.rules))
    }

    /// Whether a token with this validity would be accepted again now.
    pub(crate) fn is_still_valid(&self, validity: &Validity, now: u64) -> bool {
        validity.period.contains(&now)
            && self
                .issuers
                .get(validity.issuer)
                .is_some_and(|issuer| issuer.keys.generation() == Some(validity.generation))
    }

    /// How many fetches of keys one token may wait for.
    pub(crate) fn max_key_fetches(&self) -> u8 {
        u8::try_from(FETCHES_PER_ISSUER * self.issuers.len()).unwrap_or(u8::MAX)
    }

    /// Retries after each fetch that may return the key.
    pub(crate) async fn wait_for_keys<T>(&self, attempt: impl Fn() -> Result<T, Failure>) -> Result<T, Error> {
        let mut outcome = attempt();
        for _ in 0..self.max_key_fetches() {
            let Err(Failure::Pending(keys)) = outcome else { break };
            if !deadline::for_keys(keys).await {
                return Err(Error::from(ErrorKind::KeysUnavailable).with_retry_after(RETRY_AFTER));
            }
            outcome = attempt();
        }
        outcome.map_err(Failure::into_error)
    }

    /// The same keys and rules for logout tokens.
    pub(crate) fn for_logout(self) -> Self {
        self.with_rules(|rules| rules.expected = ExpectedToken::Logout)
    }

    /// Accepts one more issuer, in logout tokens.
    pub(crate) fn add_logout_issuer(self, issuer: String) -> Self {
        self.with_rules(|rules| rules.names = rules.names.iter().chain([&issuer]).cloned().collect())
    }

    /// The configured issuers, in the order in which they were added. Empty if the verifier accepts any issuer, or
    /// those that a function accepts.
    pub fn issuers(&self) -> impl Iterator<Item = String> {
        self.issuers.iter().flat_map(|issuer| issuer.rules.issuers.names().iter().cloned().collect::<Vec<_>>())
    }

    /// Accepts one more audience.
    pub(crate) fn add_audience(self, audience: String) -> Self {
        self.with_rules(|rules| rules.audiences.add(audience.clone()))
    }

    /// Also accepts the issuers for which the function returns `true`.
    #[cfg(feature = "jwks-reqwest")]
    pub(crate) fn add_matching_issuers(self, accepts: Arc<Predicate>) -> Self {
        self.with_rules(|rules| {
            rules.issuers.add_matching(accepts.clone());
            rules.names = rules.issuers.names();
        })
    }

    /// Also accepts the audiences for which the function returns `true`.
    #[cfg(feature = "jwks-reqwest")]
    pub(crate) fn add_matching_audiences(self, accepts: Arc<Predicate>) -> Self {
        self.with_rules(|rules| rules.audiences.add_matching(accepts.clone()))
    }

    /// Makes all issuers of this verifier names of one: a session that is revoked under one name is revoked under all.
    #[cfg(feature = "jwks-reqwest")]
    pub(crate) fn join_issuers(self) -> Self {
        let names: Arc<[String]> = self.issuers().collect();
        self.with_rules(|rules| rules.names = names.clone())
    }

    fn parse<'t>(&self, token: &'t [u8]) -> Result<(CompactJws<'t>, Header), Error> {
        if token.len() > self.max_token_size {
            return Err(ErrorKind::TokenTooLarge.into());
        }
        let token = CompactJws::split(token)?;
        let header = Header::decode(token.header)?;
        Ok((token, header))
    }

    fn with_rules(mut self, change: impl Fn(&mut Rules)) -> Self {
        self.issuers.iter_mut().for_each(|issuer| change(&mut issuer.rules));
        self
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.issuers.iter().map(|issuer| (&issuer.rules.issuers, &issuer.rules.audiences));
        f.write_str("Verifier")?;
        f.debug_list().entries(rules).finish()
    }
}

/// What [`Verifier::try_verify`] returns.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) claims: Arc<Claims>,
    /// How long the result stays valid; `None` if it must not be cached.
    pub(crate) validity: Option<Validity>,
}

/// The time and the keys for which a token is valid.
#[derive(Debug, Clone)]
pub(crate) struct Validity {
    /// In seconds since 1970, including the leeway.
    period: Range<u64>,
    /// The index in the verifier's list.
    issuer: usize,
    /// The generation of the issuer's keys.
    generation: u64,
}

impl Failure {
    /// The error for a caller that does not wait any longer.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Rejected(error) => error,
            Self::Pending(_) => Error::from(ErrorKind::KeysUnavailable).with_retry_after(RETRY_AFTER),
        }
    }
}
