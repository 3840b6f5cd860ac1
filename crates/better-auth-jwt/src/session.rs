//! Has this session been ended?

use std::{sync::Arc, time::Duration};

use crate::{
    claims::Claims,
    error::{Error, ErrorKind},
};

/// When to try again after a check that could not tell.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Tells which sessions have been ended before their tokens expire.
///
/// It is asked about every request with a good token, and waited for, so the answer should come from memory.
/// [`RevokedSessions`](crate::RevokedSessions) is one; a check of your own usually has one inside:
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use better_auth_jwt::{Claims, RevokedSessions, SessionCheck, SessionState};
///
/// struct Sessions {
///     revoked: RevokedSessions,
///     /// Whether what the database has is in memory too.
///     is_current: AtomicBool,
/// }
///
/// impl SessionCheck for Sessions {
///     fn look_up(&self, claims: &Claims) -> SessionState {
///         match self.revoked.look_up(claims) {
///             SessionState::Live if !self.is_current.load(Ordering::Relaxed) => SessionState::Unknown,
///             known => known,
///         }
///     }
/// }
/// ```
pub trait SessionCheck: Send + Sync + 'static {
    /// What has become of the session these claims belong to.
    ///
    /// Claims without a [`session_id`](Claims::session_id) come here too, if the layer accepts them: their user may
    /// have ended all sessions.
    fn look_up(&self, claims: &Claims) -> SessionState;
}

impl<T: SessionCheck + ?Sized> SessionCheck for Arc<T> {
    fn look_up(&self, claims: &Claims) -> SessionState {
        (**self).look_up(claims)
    }
}

/// What a [`SessionCheck`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Nothing is known against it.
    Live,
    /// It has been ended: 401.
    Ended,
    /// That cannot be told at the moment: 503. Whoever would rather let requests in answers [`Live`](Self::Live).
    Unknown,
}

/// What happens to tokens without a session id, which no ended session takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WithoutSession {
    /// They are good until they expire, or until all sessions of their user are ended.
    Accept,
    /// They are refused with 401.
    Refuse,
}

/// A check, and what it cannot be asked about.
#[derive(Clone)]
pub(crate) struct Sessions {
    check: Arc<dyn SessionCheck>,
    without: WithoutSession,
}

impl Sessions {
    pub(crate) fn new(check: impl SessionCheck, without: WithoutSession) -> Self {
        Self { check: Arc::new(check), without }
    }

    pub(crate) fn check(&self, claims: &Claims) -> Result<(), Error> {
        if self.without == WithoutSession::Refuse && claims.session_id().is_none() {
            return Err(Error::from(ErrorKind::InvalidClaims).with_claim("sid"));
        }
        match self.check.look_up(claims) {
            SessionState::Live => Ok(()),
            SessionState::Ended => Err(ErrorKind::Revoked.into()),
            SessionState::Unknown => Err(Error::from(ErrorKind::SessionsUnavailable).with_retry_after(RETRY_AFTER)),
        }
    }
}
