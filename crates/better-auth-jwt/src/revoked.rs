//! An in-memory list of revoked sessions.

mod list;

use std::{
    fmt,
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::Notify;

use self::list::{Kind, List};
use crate::{
    claims::Claims,
    clock::{Clock, SystemClock},
    logout::{LogoutTarget, LogoutToken},
    session::{SessionCheck, SessionState},
};

/// See [`RevokedSessions::max_entries`].
const MAX_ENTRIES: usize = 1_000_000;

/// See [`RevokedSessions::leeway`].
const LEEWAY: u64 = 30;

/// An in-memory list of revoked sessions, and of users whose sessions are revoked.
///
/// A session is identified by its issuer and its id (`sid`), a user by the issuer and the user's id (`sub`). Equal ids
/// of another issuer are not affected.
///
/// - **Issuer**: the `iss` of the tokens. If a verifier has several [`issuers`](crate::VerifierBuilder::issuers), they
///   are names of one: a session that is revoked under one name is revoked under all. The same applies to both kinds of
///   tokens of `BetterAuth::access_tokens`. Verifiers joined by [`or`](crate::Verifier::or) are separate. Tokens of a
///   verifier without a list of issuers, such as with `insecure_any_issuer`, match the ids of every issuer.
/// - **Expiry**: an entry is dropped once every token that it covers has expired.
/// - **Capacity**: a million entries by default. When the list is full, adding returns a [`CapacityError`]; entries
///   that are still needed are never evicted.
/// - **Memory**: 110 to 165 bytes per entry for ids of 32 characters, and up to 100 bytes more for longer ones. Ids of
///   more than 128 bytes are kept as their SHA-256.
///
/// Clones share one list: give one to the [layer](crate::JwtAuthLayer::sessions) and another to the code that receives
/// revocations, usually `BackChannelLogout`. The list starts empty and is local to this process;
/// [`guides::revocations`](crate::guides::revocations) shows how to keep it across restarts and how to share it.
///
/// ```
/// use std::time::Duration;
/// use better_auth_jwt::RevokedSessions;
///
/// // Tokens are valid for 15 minutes, and the leeway is 30 seconds. OAuth access tokens are valid for an hour.
/// let revoked = RevokedSessions::new(Duration::from_secs(15 * 60 + 30));
/// revoked.revoke_session("https://app.example.com", "FwSmAw7Yk0Xvp3bZ")?;
/// revoked.revoke_session("https://app.example.com", "FwSmAw7Yk0Xvp3bZ")?; // changes nothing
/// assert_eq!(revoked.len(), 1);
/// # Ok::<(), better_auth_jwt::CapacityError>(())
/// ```
#[derive(Clone)]
pub struct RevokedSessions {
    retention: u64,
    leeway: u64,
    max_entries: usize,
    clock: Arc<dyn Clock>,
    list: Arc<RwLock<List>>,
    /// Notified after each insertion.
    inserted: Arc<Notify>,
}

impl RevokedSessions {
    /// Creates an empty list. `retention` must be at least the longest lifetime of any token that the service accepts,
    /// plus the verifier's leeway.
    ///
    /// By default, tokens of Better Auth's JWT plugin are valid for 15 minutes (`expirationTime`), and access tokens of
    /// its OAuth provider for an hour (`accessTokenExpiresIn`): with the leeway of 30 seconds, the retention is 930
    /// seconds, or 3630 if access tokens are accepted. If Better Auth's cookie cache can issue tokens for a revoked
    /// session, add that time.
    pub fn new(retention: Duration) -> Self {
        Self {
            retention: retention.as_secs().saturating_add(u64::from(retention.subsec_nanos() > 0)),
            leeway: LEEWAY,
            max_entries: MAX_ENTRIES,
            clock: Arc::new(SystemClock),
            list: Arc::default(),
            inserted: Arc::default(),
        }
    }

    /// The maximum number of entries, for sessions and users together. A million by default.
    ///
    /// Set it before cloning: clones made earlier keep their own value.
    #[must_use]
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = entries;
        self
    }

    /// How far the issuer's clock may be ahead of this one, in whole seconds. 30 seconds by default, like the
    /// verifier's [`leeway`](crate::Verifier::leeway). Set it before cloning.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.as_secs();
        self
    }

    /// Uses this clock instead of the system's. It must be the verifier's. Set it before cloning.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Revokes a session now: all its tokens are rejected, whenever they were issued.
    ///
    /// The issuer is that of the tokens: [`Claims::issuer`]. With another one, revoking has no effect.
    ///
    /// # Errors
    ///
    /// The list is full; the session was not revoked.
    pub fn revoke_session(&self, issuer: &str, session_id: &str) -> Result<(), CapacityError> {
        // A token of an issuer whose clock is ahead expires later, so the entry stays longer.
        self.revoke_session_at(issuer, session_id, self.clock.unix_time().saturating_add(self.leeway))
    }

    /// Revokes a session as of another time, in Unix seconds by the issuer's clock: to load stored revocations.
    ///
    /// # Errors
    ///
    /// The list is full; the session was not revoked.
    pub fn revoke_session_at(&self, issuer: &str, session_id: &str, revoked_at: u64) -> Result<(), CapacityError> {
        self.add(issuer, Kind::Session, session_id, revoked_at)
    }

    /// Revokes all sessions of the user with this `sub` now.
    ///
    /// Rejects tokens that were issued until now plus the [`leeway`](Self::leeway), because the issuer's clock may be
    /// ahead. A user who signs in again gets 401 until the leeway has passed. If you know the time of the revocation by
    /// the issuer's clock, use [`revoke_user_at`](Self::revoke_user_at).
    ///
    /// # Errors
    ///
    /// The list is full; the sessions were not revoked.
    pub fn revoke_user(&self, issuer: &str, sub: &str) -> Result<(), CapacityError> {
        self.revoke_user_at(issuer, sub, self.clock.unix_time().saturating_add(self.leeway))
    }

    /// Revokes every token of this `sub` that was issued at or before a time, in Unix seconds by the issuer's clock,
    /// and tokens without `iat`.
    ///
    /// # Errors
    ///
    /// The list is full; the sessions were not revoked.
    pub fn revoke_user_at(&self, issuer: &str, sub: &str, issued_until: u64) -> Result<(), CapacityError> {
        self.add(issuer, Kind::User, sub, issued_until)
    }

    /// Applies a logout token, as of its `iat`. Applying it again changes nothing.
    ///
    /// # Errors
    ///
    /// The list is full; nothing was revoked.
    pub fn apply(&self, token: &LogoutToken) -> Result<(), CapacityError> {
        match token.target() {
            LogoutTarget::Session(session_id) => self.revoke_session_at(token.issuer(), session_id, token.issued_at()),
            LogoutTarget::User(sub) => self.revoke_user_at(token.issuer(), sub, token.issued_at()),
        }
    }

    /// Waits until the session of these claims is revoked, or all sessions of their user. Completes at once if that has
    /// already happened. Every insertion makes all waiting futures search the list again.
    ///
    /// End streams and WebSockets with it ([`guides::streams`](crate::guides::streams) is a complete example):
    ///
    /// ```
    /// # use better_auth_jwt::{Claims, RevokedSessions};
    /// # async fn stream(revoked: &RevokedSessions, claims: &Claims, events: impl Future<Output = ()>) {
    /// tokio::select! {
    ///     () = revoked.wait_for_revocation(claims) => {}
    ///     () = events => {}
    /// }
    /// # }
    /// ```
    pub fn wait_for_revocation(&self, claims: &Claims) -> impl Future<Output = ()> + Send + use<> {
        let (revoked, claims) = (self.clone(), claims.clone());
        async move {
            loop {
                // Created before the list is searched, so that it is notified of every later insertion.
                let inserted = revoked.inserted.notified();
                if revoked.is_revoked(&claims) {
                    return;
                }
                inserted.await;
            }
        }
    }

    /// The number of entries, for sessions and users. Some may have expired already.
    pub fn len(&self) -> usize {
        self.read(List::len)
    }

    /// Whether the list has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(&self, issuer: &str, kind: Kind, id: &str, time: u64) -> Result<(), CapacityError> {
        // The clock may be the user's, so it is read before the list is locked.
        let now = self.clock.unix_time();
        if self.is_expired(time, now) {
            return Ok(());
        }
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.add(issuer, kind, id, time, self.max_entries, |time| self.is_expired(time, now))?;
        // Wakers may be the user's, so they are called after the list is unlocked.
        drop(list);
        self.inserted.notify_waiters();
        Ok(())
    }

    fn is_expired(&self, time: u64, now: u64) -> bool {
        now >= time.saturating_add(self.retention)
    }

    fn is_revoked(&self, claims: &Claims) -> bool {
        let (session, user) = self.read(|list| list.find(claims));
        if session.is_none() && user.is_none() {
            return false;
        }
        let now = self.clock.unix_time();
        session.is_some_and(|revoked_at| !self.is_expired(revoked_at, now))
            || user.is_some_and(|issued_until| {
                !self.is_expired(issued_until, now) && claims.issued_at().is_none_or(|issued| issued <= issued_until)
            })
    }

    fn read<T>(&self, read: impl FnOnce(&List) -> T) -> T {
        // No code that can panic runs between two dependent changes of the list.
        read(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SessionCheck for RevokedSessions {
    fn check(&self, claims: &Claims) -> SessionState {
        if self.is_revoked(claims) { SessionState::Revoked } else { SessionState::Active }
    }
}

impl fmt::Debug for RevokedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokedSessions")
            .field("len", &self.len())
            .field("max_entries", &self.max_entries)
            .finish_non_exhaustive()
    }
}

/// A [`RevokedSessions`] list is full. No entry was evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapacityError(());

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the list of revoked sessions is full; see RevokedSessions::max_entries")
    }
}

impl std::error::Error for CapacityError {}
