//! May this request pass? All policy in one place, without body, future or service.

use std::{
    any::{Any, TypeId},
    future::Future,
    pin::Pin,
    sync::Arc,
};

use http::{
    Extensions, Method,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
    request::Parts,
};

use crate::{
    bearer,
    claims::{Claims, FromClaims},
    error::{Error, ErrorKind},
    extract::Authenticated,
    rejection::Challenges,
    session::Sessions,
    token_cache::TokenCache,
    user_path::UserPath,
    verifier::{Failure, Validity, Verified, Verifier},
};

/// See [`JwtAuthLayer::token_cache_size`](crate::JwtAuthLayer::token_cache_size).
const TOKEN_CACHE_SIZE: usize = 16 * 1024 * 1024;

pub(crate) struct Gate<C> {
    pub(crate) verifier: Verifier,
    /// Shared by clones, and bound to the one verifier.
    pub(crate) cache: Arc<TokenCache<Remembered<C>>>,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) user_path: Option<Arc<dyn UserPath>>,
    /// About the claims as they are in the token.
    pub(crate) rules: Vec<(Rule<Claims>, ErrorKind)>,
    /// About the claims as the handlers get them.
    pub(crate) own_rules: Vec<Rule<C>>,
    pub(crate) challenges: Challenges,
    pub(crate) optional: bool,
    pub(crate) preflights: bool,
    pub(crate) token_from: Option<TokenFrom>,
    pub(crate) observer: Option<Observer>,
}

/// What is remembered of a verified token.
pub(crate) struct Remembered<C> {
    found: Found<C>,
    validity: Validity,
}

/// The claims of a good token.
struct Found<C> {
    claims: Arc<Claims>,
    /// The same in the service's own type, if it has one.
    own: Option<Arc<C>>,
}

/// Another place for the token than the header.
pub(crate) type TokenFrom = Arc<dyn Fn(&Parts) -> Option<&str> + Send + Sync>;

/// Told of every decision.
pub(crate) type Observer = Arc<dyn Fn(Outcome) + Send + Sync>;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Its token was verified and everything else is as it should be.
    Verified,
    /// It has no token, and the layer is optional.
    Anonymous,
    /// It is a CORS preflight, and the layer lets those through.
    Preflight,
    /// It was refused.
    Rejected(ErrorKind),
}

/// A rule of the user's about verified claims.
pub(crate) type Rule<C> = Arc<dyn Fn(&C) -> bool + Send + Sync>;

pub(crate) enum Decision {
    /// The claims are in the request's extensions.
    Admit,
    Reject(Error),
    /// A key is being fetched: ask again after this.
    Wait(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl<C> Gate<C> {
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self {
            verifier,
            cache: Arc::new(TokenCache::new(TOKEN_CACHE_SIZE)),
            sessions: None,
            user_path: None,
            rules: Vec::new(),
            own_rules: Vec::new(),
            challenges: Challenges::new(),
            optional: false,
            preflights: false,
            token_from: None,
            observer: None,
        }
    }
}

impl Gate<Claims> {
    /// The same for claims of another type. Rules given so far stay in force.
    pub(crate) fn with_claims<C>(self) -> Gate<C> {
        let mut rules = self.rules;
        rules.extend(self.own_rules.into_iter().map(|rule| (rule, ErrorKind::Forbidden)));
        Gate {
            verifier: self.verifier,
            cache: Arc::new(TokenCache::new(self.cache.max_bytes())),
            sessions: self.sessions,
            user_path: self.user_path,
            rules,
            own_rules: Vec::new(),
            challenges: self.challenges,
            optional: self.optional,
            preflights: self.preflights,
            token_from: self.token_from,
            observer: self.observer,
        }
    }
}

impl<C: FromClaims> Gate<C> {
    /// The same for those alone whom the path names.
    pub(crate) fn with_user_path(mut self, path: impl UserPath) -> Self {
        self.user_path = Some(Arc::new(path));
        self.verifier = self.verifier.for_path_users();
        // The claims kept so far don't say so, and belong to clones.
        self.cache = Arc::new(TokenCache::new(self.cache.max_bytes()));
        self
    }

    /// `waits_left` is how many more fetches the request may wait for.
    pub(crate) fn decide(&self, parts: &mut Parts, waits_left: u8) -> Decision {
        match self.pass(parts) {
            Ok(outcome) => {
                self.observe(outcome);
                Decision::Admit
            }
            Err(Failure::Pending(keys)) if waits_left > 0 => Decision::Wait(keys),
            Err(failure) => Decision::Reject(self.error(failure)),
        }
    }

    fn pass(&self, parts: &mut Parts) -> Result<Outcome, Failure> {
        if self.preflights && is_preflight(parts) {
            forget_user::<C>(&mut parts.extensions);
            return Ok(Outcome::Preflight);
        }
        let token = match self.token(parts) {
            Err(ErrorKind::MissingToken) if self.optional => {
                forget_user::<C>(&mut parts.extensions);
                return Ok(Outcome::Anonymous);
            }
            token => token?,
        };
        let Found { claims, own } = match self.find(token) {
            // A good token is ASCII, so only a bad one is looked at.
            Err(_) if !token.is_ascii() && !bearer::is_ascii(&parts.headers) => {
                return Err(ErrorKind::InvalidRequest.into());
            }
            found => found?,
        };
        if let Some(sessions) = &self.sessions {
            sessions.check(&claims)?;
        }
        if let Some(user_path) = &self.user_path
            && user_path.user(parts)? != claims.user_id()
        {
            return Err(ErrorKind::UserMismatch.into());
        }
        if let Some((_, kind)) = self.rules.iter().find(|(rule, _)| !rule(&claims)) {
            return Err((*kind).into());
        }
        if !self.own_rules.is_empty() {
            let own = own.as_deref().or_else(|| (&*claims as &dyn Any).downcast_ref());
            if !own.is_some_and(|own| self.own_rules.iter().all(|rule| rule(own))) {
                return Err(ErrorKind::Forbidden.into());
            }
        }
        if let Some(own) = own {
            parts.extensions.insert(Authenticated(own));
        }
        parts.extensions.insert(Authenticated(claims));
        Ok(Outcome::Verified)
    }

    /// The claims of a token, if it is a good one.
    fn find(&self, token: &[u8]) -> Result<Found<C>, Failure> {
        let now = self.verifier.now();
        if let Some(known) = self.cache.get(token)
            && self.verifier.still_accepts(&known.standing, now)
        {
            return Ok(known.found);
        }
        let Verified { claims, validity } = self.verifier.try_verify(token, now)?;
        let own = has_own_type::<C>().then(|| C::from_claims(&claims)).transpose();
        let found = Found { own: own.map_err(|_| ErrorKind::InvalidClaims)?, claims };
        if let Some(standing) = standing {
            let remembered = Remembered { found: found.clone(), standing };
            self.cache.insert(token, remembered, found.size(), now);
        }
        Ok(found)
    }

    /// The header's token, or one from the other place that the layer was given.
    fn token<'p>(&self, parts: &'p Parts) -> Result<&'p [u8], ErrorKind> {
        let in_header = bearer::token(&parts.headers);
        let Some(token_from) = &self.token_from else { return in_header };
        match (in_header, token_from(parts)) {
            (Err(ErrorKind::MissingToken), Some(token)) if !token.is_empty() => Ok(token.as_bytes()),
            // RFC 6750, section 3.1: more than one method is an invalid request.
            (Ok(_), Some(_)) => Err(ErrorKind::InvalidRequest),
            (in_header, _) => in_header,
        }
    }

    fn error(&self, failure: Failure) -> Error {
        let error = failure.into_error();
        self.observe(Outcome::Rejected(error.kind()));
        log(&error);
        let challenge = self.challenges.get(error.kind());
        error.with_challenge(challenge)
    }

    fn observe(&self, outcome: Outcome) {
        if let Some(observer) = &self.observer {
            observer(outcome);
        }
    }
}

impl<C> Clone for Gate<C> {
    // Derived, it would ask for `C: Clone`.
    fn clone(&self) -> Self {
        Self {
            verifier: self.verifier.clone(),
            cache: self.cache.clone(),
            sessions: self.sessions.clone(),
            user_path: self.user_path.clone(),
            rules: self.rules.clone(),
            own_rules: self.own_rules.clone(),
            challenges: self.challenges.clone(),
            optional: self.optional,
            preflights: self.preflights,
            token_from: self.token_from.clone(),
            observer: self.observer.clone(),
        }
    }
}

impl<C> Clone for Remembered<C> {
    // Derived, it would ask for `C: Clone`.
    fn clone(&self) -> Self {
        Self { found: self.found.clone(), validity: self.validity.clone() }
    }
}

impl<C> Found<C> {
    /// The bytes that the claims take. What a custom type owns on the heap is unknown; it is usually less than the
    /// claims it was read from.
    fn size(&self) -> usize {
        let claims = self.claims.size();
        if self.own.is_some() { 2 * claims + size_of::<C>() } else { claims }
    }
}

impl<C> Clone for Found<C> {
    // Derived, it would ask for `C: Clone`.
    fn clone(&self) -> Self {
        Self { claims: self.claims.clone(), own: self.own.clone() }
    }
}

/// Whatever an outer layer found must not pass for what this one did. Claims of this one's take their place.
fn forget_user<C: FromClaims>(extensions: &mut Extensions) {
    extensions.remove::<Authenticated<C>>();
    if has_own_type::<C>() {
        extensions.remove::<Authenticated<Claims>>();
    }
}

fn has_own_type<C: 'static>() -> bool {
    TypeId::of::<C>() != TypeId::of::<Claims>()
}

/// https://fetch.spec.whatwg.org/#cors-preflight-fetch
fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(ORIGIN)
        && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The log learns what the client does not: which check failed. Never the token.
fn log(error: &Error) {
    #[cfg(feature = "tracing")]
    let (kind, claim) = (error.kind().as_str(), error.claim());
    #[cfg(feature = "tracing")]
    match error.kind() {
        ErrorKind::MissingPathUser => tracing::warn!(kind, claim, "request rejected: {error}"),
        ErrorKind::KeysUnavailable | ErrorKind::SessionsUnavailable => {
            tracing::warn!(kind, claim, "request rejected: {error}");
        }
        ErrorKind::MissingToken => tracing::debug!(kind, claim, "request rejected: {error}"),
        _ => tracing::info!(kind, claim, "request rejected: {error}"),
    }
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}
