//! What all clones of an exchange share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use tokio::sync::watch;

use super::{
    ExchangeResult, ExchangeStatus, Refusal,
    credential::Credential,
    limits::{Completed, Limits},
    request::{RequestError, RequestFunction},
    results::{IssuedToken, Now, Results, SessionHash},
    settings::Settings,
};
use crate::{
    clock::Clock,
    jws::CompactJws,
    verifier::{RegisteredClaims, date, parse_claims},
};

pub(super) struct Shared {
    pub(super) request: RequestFunction,
    pub(super) settings: Settings,
    clock: Arc<dyn Clock>,
    key: hmac::Key,
    results: Results,
    limits: Mutex<Limits>,
}

/// The next step for a request with a session.
pub(super) enum Step {
    Ready(ExchangeResult),
    Join(Completed),
    /// Run an exchange and send its result.
    Start(watch::Sender<Option<ExchangeResult>>),
}

impl Shared {
    pub(super) fn new(request: RequestFunction, settings: Settings, clock: Arc<dyn Clock>, key: hmac::Key) -> Self {
        let limits = Mutex::new(Limits::new(&settings, clock.instant()));
        Self { request, clock, key, results: Results::new(&settings), limits, settings }
    }

    pub(super) fn status(&self) -> ExchangeStatus {
        self.limits().status
    }

    /// The result of this session's last exchange, the exchange of it that is running, or a new one.
    pub(super) fn next_step(&self, session: &SessionHash) -> Step {
        // The clock may be the user's, so it is read without the lock.
        let now = self.now();
        if let Some(result) = self.results.recent(session, now) {
            return Step::Ready(result);
        }
        let mut limits = self.limits();
        if let Some(completed) = limits.running.get(session) {
            return Step::Join(completed.clone());
        }
        // It may have completed before the lock was acquired.
        if let Some(result) = self.results.recent(session, now) {
            return Step::Ready(result);
        }
        if let Err(wait) = limits.admit(!self.results.is_known(session), now.instant) {
            return Step::Ready(Err(Refusal::Unavailable(wait)));
        }
        let (sender, completed) = watch::channel(None);
        limits.running.insert(*session, completed);
        Step::Start(sender)
    }

    /// Stores the result of an exchange.
    pub(super) fn complete(&self, session: &SessionHash, response: Result<String, RequestError>) -> ExchangeResult {
        let now = self.now();
        let issued = response.and_then(|token| issued_token(token).ok_or(RequestError::InvalidResponse));
        // Before the session is removed from those that are running, so that a request finds it in one of the places.
        match &issued {
            Ok(issued) => self.results.insert_token(session, issued, now),
            Err(error) => self.results.insert_refusal(session, error.refusal(), now),
        }
        let was_failing = self.limits().complete(session, issued.as_ref().err(), now.instant);
        log(issued.as_ref().err(), was_failing);
        issued.map(|issued| issued.token).map_err(|error| error.refusal())
    }

    pub(super) fn hash(&self, session: &Credential) -> SessionHash {
        let mut hash = SessionHash::default();
        hash.copy_from_slice(hmac::sign(&self.key, session.value.as_bytes()).as_ref());
        hash
    }

    fn now(&self) -> Now {
        Now { instant: self.clock.instant(), unix_time: self.clock.unix_time() }
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        // Nothing panics while the lock is held.
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `exp` of a JWT. The verifier checks it, with everything else.
fn issued_token(token: String) -> Option<IssuedToken> {
    let payload = CompactJws::split(token.as_bytes()).ok()?.unverified_payload().ok()?;
    let document = parse_claims(payload).ok()?;
    let expires_at = date(RegisteredClaims::read(&document).exp, "exp").ok()??.floor();
    Some(IssuedToken { token: token.into(), expires_at })
}

/// A failure is logged when it begins, not for every request that it affects.
fn log(error: Option<&RequestError>, was_failing: bool) {
    #[cfg(feature = "tracing")]
    match error {
        Some(RequestError::Rejected) => tracing::debug!("the issuer does not accept a session"),
        Some(error) if was_failing => tracing::debug!("cannot exchange a session for a token: {error}"),
        Some(error) => tracing::warn!("cannot exchange a session for a token: {error}"),
        None if was_failing => tracing::info!("sessions are exchanged again"),
        None => {}
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (error, was_failing);
}
