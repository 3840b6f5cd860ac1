//! The authorization decision: it needs no body, service or runtime.

use std::{any::TypeId, borrow::Cow, future::Future, pin::Pin, sync::Arc, time::Duration};

use http::{
    Extensions, Method,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
    request::Parts,
};

#[cfg(feature = "session-exchange")]
use crate::session_exchange::{Exchange, SessionExchange};
use crate::{
    authenticated::{Authenticated, PathUserMatched},
    claims::{Claims, FromClaims},
    deadline,
    error::{Error, ErrorKind},
    outcome::{OnOutcome, Outcome},
    path::PathValue,
    rejection::Challenges,
    rule::{self, Rule, Scopes},
    session::Sessions,
    token_cache::TokenCache,
    token_source::TokenSource,
    verifier::{Failure, Validity, Verified, Verifier},
};

/// See [`JwtAuthLayer::token_cache_size`](crate::JwtAuthLayer::token_cache_size).
const TOKEN_CACHE_SIZE: usize = 16 * 1024 * 1024;

/// How long the async rules of a request may take by default.
const RULE_TIMEOUT: Duration = Duration::from_secs(5);

/// Decides whether a request passes. `C` is the type of the claims that handlers get.
pub(crate) struct Authorizer<C> {
    pub(crate) policy: Policy,
    /// Rules about the claims type that handlers get.
    pub(crate) rules: Vec<Rule<C>>,
    /// Shared by clones.
    cache: Arc<TokenCache<CacheEntry<C>>>,
}

/// The part of the configuration that does not depend on the claims type.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) verifier: Verifier,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) path_user: Option<Arc<dyn PathValue>>,
    pub(crate) path_claims: Vec<(Cow<'static, str>, Arc<dyn PathValue>)>,
    pub(crate) scopes: Scopes,
    /// Rules that were added before the claims type was changed.
    claims_rules: Vec<Rule<Claims>>,
    pub(crate) rule_timeout: Duration,
    pub(crate) challenges: Challenges,
    pub(crate) optional: bool,
    pub(crate) allow_cors_preflight: bool,
    pub(crate) token_source: TokenSource,
    #[cfg(feature = "session-exchange")]
    pub(crate) session_exchange: Option<SessionExchange>,
    pub(crate) on_outcome: Option<OnOutcome>,
}

/// The claims of a verified token.
pub(crate) struct Principal<C> {
    claims: Arc<Claims>,
    /// The same claims as the type that handlers get.
    custom: Arc<C>,
}

struct CacheEntry<C> {
    principal: Principal<C>,
    validity: Validity,
}

pub(crate) enum Decision<C> {
    /// The claims are in the request's extensions.
    Allow,
    Deny(Error),
    /// [`Authorizer::resume`] decides when this future is ready.
    Pending(Pin<Box<dyn Future<Output = Resume<C>> + Send>>),
}

/// How a pending decision continues.
pub(crate) enum Resume<C> {
    /// A session was exchanged for this token.
    #[cfg(feature = "session-exchange")]
    Exchanged(Result<Arc<str>, Error>),
    /// A fetch of keys is complete: verify the token again.
    Verify { exchanged: Option<Arc<str>>, fetches_left: u8 },
    /// The async rules have decided.
    Rules(Principal<C>, Result<(), Error>),
}

impl<C: FromClaims> Authorizer<C> {
    /// The decision about a new request. The token's times are checked as of `at`, in Unix seconds, or now if that is
    /// `None`.
    pub(crate) fn decide(&self, parts: &mut Parts, at: Option<u64>) -> Decision<C> {
        clear_claims(&mut parts.extensions);
        if self.policy.allow_cors_preflight && is_cors_preflight(parts) {
            return self.allow(Outcome::Preflight);
        }
        #[cfg(feature = "session-exchange")]
        if let Some(exchange) = &self.policy.session_exchange {
            match exchange.credential(parts, &self.policy.token_source) {
                Ok(Some(session)) => {
                    return match exchange.exchange(session) {
                        Exchange::Ready(token) => self.resume(parts, at, Resume::Exchanged(token)),
                        Exchange::Pending(token) => {
                            Decision::Pending(Box::pin(async { Resume::Exchanged(token.await) }))
                        }
                    };
                }
                Ok(None) => {}
                Err(kind) => return self.deny(kind.into()),
            }
        }
        self.verify(parts, at, None, self.policy.verifier.max_key_fetches())
    }

    /// The decision about a request after its [`Decision::Pending`] is ready.
    pub(crate) fn resume(&self, parts: &mut Parts, at: Option<u64>, resume: Resume<C>) -> Decision<C> {
        match resume {
            #[cfg(feature = "session-exchange")]
            Resume::Exchanged(Ok(token)) => self.verify(parts, at, Some(token), self.policy.verifier.max_key_fetches()),
            #[cfg(feature = "session-exchange")]
            Resume::Exchanged(Err(error)) => self.deny(error),
            Resume::Verify { exchanged, fetches_left } => self.verify(parts, at, exchanged, fetches_left),
            // The session may have been revoked while the rules ran.
            Resume::Rules(principal, result) => {
                match result.and_then(|()| self.policy.check_session(&principal.claims)) {
                    Ok(()) => self.admit(parts, principal),
                    Err(error) => self.deny(error),
                }
            }
        }
    }

    /// Verifies the request's token, or the one for which its session was exchanged.
    fn verify(&self, parts: &mut Parts, at: Option<u64>, exchanged: Option<Arc<str>>, fetches_left: u8) -> Decision<C> {
        let found = match &exchanged {
            Some(token) => Ok(token.as_bytes()),
            None => self.policy.token_source.find(parts),
        };
        let token = match found {
            Err(ErrorKind::MissingToken) if self.policy.optional => return self.allow(Outcome::Anonymous),
            Err(kind) => return self.deny(kind.into()),
            Ok(token) => token,
        };
        match self.authenticate(token, at) {
            Ok(principal) => self.authorize(parts, principal),
            Err(Failure::Pending(keys)) if fetches_left > 0 => Decision::Pending(Box::pin(async move {
                // After a timeout, the last attempt usually finds no key and fails.
                let in_time = deadline::for_keys(keys).await;
                Resume::Verify { exchanged, fetches_left: if in_time { fetches_left - 1 } else { 0 } }
            })),
            Err(failure) => self.deny(failure.into_error()),
        }
    }

    /// The claims of a valid token, from the cache or by verification.
    fn authenticate(&self, token: &[u8], at: Option<u64>) -> Result<Principal<C>, Failure> {
        let verifier = &self.policy.verifier;
        let now = verifier.now();
        let at = at.unwrap_or(now);
        if let Some(entry) = self.cache.get(token)
            && verifier.is_still_valid(&entry.validity, at)
        {
            return Ok(entry.principal);
        }
        let Verified { claims, validity } = verifier.try_verify(token, at)?;
        let custom = C::from_claims(&claims).map_err(Error::from)?;
        let principal = Principal { claims, custom };
        if let Some(validity) = validity {
            let entry = CacheEntry { principal: principal.clone(), validity };
            // The age of entries is that of the cache, so it is measured with the clock, not with `at`.
            self.cache.insert(token, entry, principal.size(), now);
        }
        Ok(principal)
    }

    fn authorize(&self, parts: &mut Parts, principal: Principal<C>) -> Decision<C> {
        if let Err(error) = self.check(parts, &principal) {
            return self.deny(error);
        }
        let policy = &self.policy;
        let mut pending: Vec<_> = Vec::new();
        pending.extend(policy.claims_rules.iter().filter_map(|rule| rule.start(&principal.claims, parts)));
        pending.extend(self.rules.iter().filter_map(|rule| rule.start(&principal.custom, parts)));
        if pending.is_empty() {
            return self.admit(parts, principal);
        }
        let timeout = policy.rule_timeout;
        Decision::Pending(Box::pin(async move {
            let result = rule::finish(pending, timeout).await;
            Resume::Rules(principal, result)
        }))
    }

    /// The synchronous checks: session, path, scopes and rules.
    fn check(&self, parts: &mut Parts, principal: &Principal<C>) -> Result<(), Error> {
        let Principal { claims, custom } = principal;
        let policy = &self.policy;
        policy.check_session(claims)?;
        if let Some(path) = &policy.path_user
            && path.extract(parts)? != claims.user_id()
        {
            return Err(ErrorKind::UserMismatch.into());
        }
        for (name, path) in &policy.path_claims {
            let claim: Option<String> = claims.get(name).ok();
            if claim.as_deref() != Some(&*path.extract(parts)?) {
                return Err(Error::from(ErrorKind::ClaimMismatch).with_claim(name.clone()));
            }
        }
        policy.scopes.check(claims, parts)?;
        policy.claims_rules.iter().try_for_each(|rule| rule.check(claims, parts))?;
        self.rules.iter().try_for_each(|rule| rule.check(custom, parts))
    }

    fn admit(&self, parts: &mut Parts, principal: Principal<C>) -> Decision<C> {
        let Principal { claims, custom } = principal;
        if has_custom_claims::<C>() {
            parts.extensions.insert(Authenticated(custom));
            parts.extensions.insert(ClearClaims(|extensions| _ = extensions.remove::<Authenticated<C>>()));
        }
        if self.policy.path_user.is_some() {
            parts.extensions.insert(PathUserMatched);
        }
        parts.extensions.insert(Authenticated(claims));
        self.allow(Outcome::Verified)
    }

    fn allow(&self, outcome: Outcome<'_>) -> Decision<C> {
        self.policy.report(outcome);
        Decision::Allow
    }

    fn deny(&self, error: Error) -> Decision<C> {
        let challenge = self.policy.challenges.get(&error);
        let error = error.with_challenge(challenge);
        self.policy.report(Outcome::Rejected(&error));
        log(&error);
        Decision::Deny(error)
    }
}

impl<C> Authorizer<C> {
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self {
            policy: Policy {
                verifier,
                sessions: None,
                path_user: None,
                path_claims: Vec::new(),
                scopes: Scopes::default(),
                claims_rules: Vec::new(),
                rule_timeout: RULE_TIMEOUT,
                challenges: Challenges::new(),
                optional: false,
                allow_cors_preflight: false,
                token_source: TokenSource::bearer(),
                #[cfg(feature = "session-exchange")]
                session_exchange: None,
                on_outcome: None,
            },
            rules: Vec::new(),
            cache: Arc::new(TokenCache::new(TOKEN_CACHE_SIZE)),
        }
    }

    pub(crate) fn set_token_cache_size(&mut self, bytes: usize) {
        self.cache = Arc::new(TokenCache::new(bytes));
    }
}

impl Authorizer<Claims> {
    /// The same policy for another claims type.
    pub(crate) fn with_claims<C>(self) -> Authorizer<C> {
        let cache = Arc::new(TokenCache::new(self.cache.max_bytes()));
        let mut policy = self.policy;
        policy.claims_rules.extend(self.rules);
        Authorizer { policy, rules: Vec::new(), cache }
    }
}

impl Policy {
    fn check_session(&self, claims: &Claims) -> Result<(), Error> {
        self.sessions.as_ref().map_or(Ok(()), |sessions| sessions.check(claims))
    }

    fn report(&self, outcome: Outcome<'_>) {
        if let Some(on_outcome) = &self.on_outcome {
            on_outcome(outcome);
        }
    }
}

impl<C: 'static> Principal<C> {
    /// The size of the claims in bytes. How much a custom type owns on the heap is unknown; it is usually less than the
    /// claims it was deserialized from.
    fn size(&self) -> usize {
        let claims = self.claims.size();
        if has_custom_claims::<C>() { 2 * claims + size_of::<C>() } else { claims }
    }
}

impl<C> Clone for Authorizer<C> {
    // A derived impl would require `C: Clone`.
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), rules: self.rules.clone(), cache: self.cache.clone() }
    }
}

impl<C> Clone for Principal<C> {
    // A derived impl would require `C: Clone`.
    fn clone(&self) -> Self {
        Self { claims: self.claims.clone(), custom: self.custom.clone() }
    }
}

impl<C> Clone for CacheEntry<C> {
    // A derived impl would require `C: Clone`.
    fn clone(&self) -> Self {
        Self { principal: self.principal.clone(), validity: self.validity.clone() }
    }
}

/// Removes custom claims from a request's extensions, for layers that do not know their type.
#[derive(Clone, Copy)]
struct ClearClaims(fn(&mut Extensions));

/// Removes the claims of an outer layer: a request carries those of the innermost layer only.
fn clear_claims(extensions: &mut Extensions) {
    // Every layer that admits a request inserts these.
    if extensions.remove::<Authenticated<Claims>>().is_none() {
        return;
    }
    extensions.remove::<PathUserMatched>();
    if let Some(ClearClaims(clear)) = extensions.remove() {
        clear(extensions);
    }
}

fn has_custom_claims<C: 'static>() -> bool {
    TypeId::of::<C>() != TypeId::of::<Claims>()
}

/// <https://fetch.spec.whatwg.org/#cors-preflight-fetch>
fn is_cors_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(ORIGIN)
        && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Logs what the client does not learn: which check failed. Never a token or a value.
fn log(error: &Error) {
    #[cfg(feature = "tracing")]
    {
        let kind = error.kind();
        let (name, claim, rule) = (kind.as_str(), error.claim(), error.rule());
        match kind {
            // A misconfigured service, or one whose dependencies are down. Unauthenticated clients can
            // cause everything else, and must not fill the log.
            ErrorKind::MissingPathValue | ErrorKind::SessionsUnavailable | ErrorKind::RuleUnavailable => {
                tracing::warn!(kind = name, claim, rule, "request rejected: {error}");
            }
            _ => tracing::debug!(kind = name, claim, rule, "request rejected: {error}"),
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}
