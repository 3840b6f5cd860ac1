//! Which exchanges may start.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{ExchangeResult, ExchangeStatus, request::RequestError, results::SessionHash, settings::Settings};
use crate::rate_limit::RateLimit;

/// The result of an exchange; `None` until it is complete.
pub(super) type Completed = watch::Receiver<Option<ExchangeResult>>;

/// When to retry if the maximum number of exchanges is running.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The exchanges that are running, and what limits them.
pub(super) struct Limits {
    pub(super) running: HashMap<SessionHash, Completed>,
    max_concurrent: usize,
    /// For sessions that are not in the cache.
    new_sessions: RateLimit,
    /// The issuer's rate limit is reached until this time.
    paused_until: Instant,
    /// Whether the last exchange failed.
    is_failing: bool,
    pub(super) status: ExchangeStatus,
}

impl Limits {
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            running: HashMap::new(),
            max_concurrent: settings.max_concurrent,
            new_sessions: RateLimit::new(settings.new_session_burst, settings.new_session_interval, now),
            paused_until: now,
            is_failing: false,
            status: ExchangeStatus::default(),
        }
    }

    /// Whether an exchange may start. If not, returns the time to wait.
    pub(super) fn admit(&mut self, is_new: bool, now: Instant) -> Result<(), Duration> {
        // Made-up sessions must not take the slots of sessions that are known to be real.
        let max_concurrent = if is_new { self.max_concurrent.div_ceil(2) } else { self.max_concurrent };
        let admitted = if self.paused_until > now {
            Err(self.paused_until - now)
        } else if self.running.len() >= max_concurrent {
            Err(RETRY_AFTER)
        } else if is_new {
            self.new_sessions.take(now)
        } else {
            Ok(())
        };
        self.status.limited += u64::from(admitted.is_err());
        admitted
    }

    /// Removes an exchange that has completed. Returns whether the one before it had failed.
    pub(super) fn complete(&mut self, session: &SessionHash, error: Option<&RequestError>, now: Instant) -> bool {
        self.running.remove(session);
        let count = match error {
            None => &mut self.status.exchanged,
            Some(RequestError::Rejected) => &mut self.status.rejected,
            Some(_) => &mut self.status.failed,
        };
        *count += 1;
        if let Some(RequestError::RateLimited(wait)) = error {
            self.paused_until = self.paused_until.max(now + *wait);
        }
        let fails = error.is_some_and(|error| !matches!(error, RequestError::Rejected));
        std::mem::replace(&mut self.is_failing, fails)
    }
}
