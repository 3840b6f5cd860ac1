//! May this request pass? All policy in one place, without body, future or service.

use std::{future::Future, pin::Pin, sync::Arc};

use http::request::Parts;

use crate::{
    bearer,
    claims::{Claims, FromClaims},
    error::{Error, ErrorKind},
    extract::Authenticated,
    rejection::Challenges,
    user_path::UserPath,
    verify::{Failure, Verifier},
};

pub(crate) struct Gate<C> {
    pub(crate) verifier: Verifier,
    pub(crate) user_path: Option<Arc<dyn UserPath>>,
    /// About the claims as they are in the token.
    pub(crate) rules: Vec<(Rule<Claims>, ErrorKind)>,
    /// About the claims as the handlers get them.
    pub(crate) own_rules: Vec<Rule<C>>,
    pub(crate) challenges: Challenges,
    pub(crate) optional: bool,
    pub(crate) observer: Option<Observer>,
}

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
            user_path: None,
            rules: Vec::new(),
            own_rules: Vec::new(),
            challenges: Challenges::new(),
            optional: false,
            observer: None,
        }
    }
}

impl Gate<Claims> {
    /// The same for claims of another type. Rules given so far stay in force.
    pub(crate) fn with_claims<C>(self) -> Gate<C> {
        let Self { verifier, user_path, mut rules, own_rules, challenges, optional, observer } = self;
        rules.extend(own_rules.into_iter().map(|rule| (rule, ErrorKind::Refused)));
        Gate { verifier, user_path, rules, own_rules: Vec::new(), challenges, optional, observer }
    }
}

impl<C: FromClaims> Gate<C> {
    /// `waits_left` is how many more fetches the request may wait for.
    pub(crate) fn decide(&self, parts: &mut Parts, waits_left: u8) -> Decision {
        match self.pass(parts) {
            Ok(outcome) => {
                self.observe(outcome);
                Decision::Admit
            }
            Err(Failure::Wait(keys)) if waits_left > 0 => Decision::Wait(keys),
            Err(failure) => Decision::Reject(self.error(failure)),
        }
    }

    fn pass(&self, parts: &mut Parts) -> Result<Outcome, Failure> {
        let token = match bearer::token(&parts.headers) {
            Err(ErrorKind::MissingToken) if self.optional => {
                // Whatever an outer layer found must not pass for what this one did.
                parts.extensions.remove::<Authenticated<C>>();
                return Ok(Outcome::Anonymous);
            }
            token => token?,
        };
        let claims = self.verifier.check(token)?;
        if let Some(user_path) = &self.user_path
            && user_path.user(parts)? != claims.user_id()
        {
            return Err(ErrorKind::OtherUser.into());
        }
        if let Some((_, kind)) = self.rules.iter().find(|(rule, _)| !rule(&claims)) {
            return Err((*kind).into());
        }
        let claims = C::from_claims(claims).map_err(|_| ErrorKind::InvalidClaims)?;
        if !self.own_rules.iter().all(|rule| rule(&claims)) {
            return Err(ErrorKind::Refused.into());
        }
        parts.extensions.insert(Authenticated(Arc::new(claims)));
        Ok(Outcome::Verified)
    }

    fn error(&self, failure: Failure) -> Error {
        let (kind, retry_after) = failure.settled();
        self.observe(Outcome::Rejected(kind));
        log(kind);
        Error::new(kind, self.challenges.get(kind), retry_after)
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
            user_path: self.user_path.clone(),
            rules: self.rules.clone(),
            own_rules: self.own_rules.clone(),
            challenges: self.challenges.clone(),
            optional: self.optional,
            observer: self.observer.clone(),
        }
    }
}

/// The log learns what the client does not: which check failed. Never the token.
fn log(kind: ErrorKind) {
    #[cfg(feature = "tracing")]
    match kind {
        ErrorKind::NoUserInPath => tracing::warn!(?kind, "request refused: {kind}"),
        ErrorKind::KeysUnavailable => tracing::warn!(?kind, "request refused: {kind}"),
        ErrorKind::MissingToken => tracing::debug!(?kind, "request refused: {kind}"),
        _ => tracing::info!(?kind, "request refused: {kind}"),
    }
    #[cfg(not(feature = "tracing"))]
    let _ = kind;
}
