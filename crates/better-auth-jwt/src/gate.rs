//! May this request pass? All policy in one place, without body, future or service.

use std::{future::Future, pin::Pin, sync::Arc};

use http::request::Parts;

use crate::{
    bearer,
    claims::FromClaims,
    error::{Error, ErrorKind},
    extract::Authenticated,
    rejection::Challenges,
    user_path::UserPath,
    verify::{Failure, Verifier},
};

pub(crate) struct Gate<C> {
    pub(crate) verifier: Verifier,
    pub(crate) user_path: Option<Arc<dyn UserPath>>,
    pub(crate) rules: Vec<(Rule<C>, ErrorKind)>,
    pub(crate) challenges: Challenges,
    pub(crate) optional: bool,
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

impl<C: FromClaims> Gate<C> {
    /// `waits_left` is how many more fetches the request may wait for.
    pub(crate) fn decide(&self, parts: &mut Parts, waits_left: u8) -> Decision {
        match self.pass(parts) {
            Ok(()) => Decision::Admit,
            Err(Failure::Wait(keys)) if waits_left > 0 => Decision::Wait(keys),
            Err(failure) => Decision::Reject(self.error(failure)),
        }
    }

    fn pass(&self, parts: &mut Parts) -> Result<(), Failure> {
        let token = match bearer::token(&parts.headers) {
            Err(ErrorKind::MissingToken) if self.optional => {
                // Whatever an outer layer found must not pass for what this one did.
                parts.extensions.remove::<Authenticated<C>>();
                return Ok(());
            }
            token => token?,
        };
        let claims = self.verifier.check(token)?;
        if let Some(user_path) = &self.user_path
            && user_path.user(parts)? != claims.user_id()
        {
            return Err(ErrorKind::OtherUser.into());
        }
        let claims = C::from_claims(claims).map_err(|_| ErrorKind::InvalidClaims)?;
        for (rule, kind) in &self.rules {
            if !rule(&claims) {
                return Err((*kind).into());
            }
        }
        parts.extensions.insert(Authenticated(Arc::new(claims)));
        Ok(())
    }

    fn error(&self, failure: Failure) -> Error {
        let (kind, retry_after) = failure.settled();
        log(kind);
        Error::new(kind, self.challenges.get(kind), retry_after)
    }
}

impl<C> Clone for Gate<C> {
    // Derived, it would ask for `C: Clone`.
    fn clone(&self) -> Self {
        Self {
            verifier: self.verifier.clone(),
            user_path: self.user_path.clone(),
            rules: self.rules.clone(),
            challenges: self.challenges.clone(),
            optional: self.optional,
        }
    }
}

/// The log learns what the client does not: which check failed. Never the token.
fn log(kind: ErrorKind) {
    #[cfg(feature = "tracing")]
    match kind {
        ErrorKind::NoUserInPath => tracing::error!(?kind, "request refused: {kind}"),
        ErrorKind::KeysUnavailable => tracing::warn!(?kind, "request refused: {kind}"),
        ErrorKind::MissingToken => tracing::debug!(?kind, "request refused: {kind}"),
        _ => tracing::info!(?kind, "request refused: {kind}"),
    }
    #[cfg(not(feature = "tracing"))]
    let _ = kind;
}
