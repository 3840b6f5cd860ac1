//! Session checks.

use std::{sync::Arc, time::Duration};

use crate::{
    claims::Claims,
    error::{Error, ErrorKind},
};

/// When to retry after a check returned [`SessionState::Unknown`].
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Decides whether a token's session is still active.
///
/// The layer calls it synchronously for every request with a valid token, so it must not block.
/// [`RevokedSessions`](crate::RevokedSessions) implements it. A custom check usually wraps one:
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use better_auth_jwt::{Claims, RevokedSessions, SessionCheck, SessionState};
///
/// struct Sessions {
///     revoked: RevokedSessions,
///     /// Whether `revoked` contains everything that the database does.
///     is_current: AtomicBool,
/// }
///
/// impl SessionCheck for Sessions {
///     fn check(&self, claims: &Claims) -> SessionState {
///         match self.revoked.check(claims) {
///             SessionState::Active if !self.is_current.load(Ordering::Relaxed) => SessionState::Unknown,
///             state => state,
///         }
///     }
/// }
/// ```
pub trait SessionCheck: Send + Sync + 'static {
    /// The state of the session that these claims belong to.
    ///
    /// With [`MissingSession::Allow`], claims without a [`session_id`](Claims::session_id) are checked too: all
    /// sessions of their user may have been revoked.
    fn check(&self, claims: &Claims) -> SessionState;
}

impl<T: SessionCheck + ?Sized> SessionCheck for Arc<T> {
    fn check(&self, claims: &Claims) -> SessionState {
        (**self).check(claims)
    }
}

/// The result of a [`SessionCheck`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// The session is not revoked, as far as is known.
    Active,
    /// The session is revoked: 401.
    Revoked,
    /// The state is unavailable: 503. To fail open, return [`Active`](Self::Active).
    Unknown,
}

/// How to treat tokens without a session id, which stay valid when a session is revoked.
///
/// Tokens of Better Auth's JWT plugin have a session id if `definePayload` adds it as `sid`. OAuth access tokens have
/// `sid` by default, if there is a session. There is none for client credentials, and none for a client with
/// `offline_access` that refreshes its token after the user has signed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MissingSession {
    /// Accept them until they expire, or until all sessions of their user are revoked.
    Allow,
    /// Reject them with 401.
    Reject,
}

/// A check, and how to treat tokens without a session id.
#[derive(Clone)]
pub(crate) struct Sessions {
    check: Arc<dyn SessionCheck>,
    missing: MissingSession,
}

impl Sessions {
    pub(crate) fn new(check: impl SessionCheck, missing: MissingSession) -> Self {
        Self { check: Arc::new(check), missing }
    }

    pub(crate) fn check(&self, claims: &Claims) -> Result<(), Error> {
        if self.missing == MissingSession::Reject && claims.session_id().is_none() {
            return Err(ErrorKind::MissingSession.into());
        }
        match self.check.check(claims) {
            SessionState::Active => Ok(()),
            SessionState::Revoked => Err(ErrorKind::Revoked.into()),
            SessionState::Unknown => Err(Error::from(ErrorKind::SessionsUnavailable).with_retry_after(RETRY_AFTER)),
        }
    }
}
