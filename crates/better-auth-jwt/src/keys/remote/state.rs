//! When to fetch the key set, and what a missing key means.
//!
//! A state machine without locks, clock, network or runtime: the caller reports what happened and when, and gets the
//! next step. The rules are:
//!
//! - At most one fetch is in flight; requests that arrive in the meantime share it.
//! - A key is *not found* only if a search that started after the first request for it did not return it. A search is a
//!   fetch that bypasses shared caches, because they may contain an older set.
//! - All searches share one rate limit, whatever tokens are sent. A failed search does not count against it.
//! - After a failure, nothing is fetched until the backoff, or the issuer's `Retry-After`, has passed.
//! - A fetch that does not finish in time counts as failed, and its result is ignored.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    super::key_set::Lookup,
    FetchError,
    jitter::Jitter,
    missing_keys::MissingKeys,
    settings::Settings,
    snapshot::{Fetch, FetchId, Loaded, Snapshot},
};
use crate::{jws::Header, rate_limit::RateLimit};

/// The maximum `Retry-After` of an issuer; longer ones are reduced to it.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The next step for a request that needs a key.
#[derive(Debug)]
pub(super) enum Step {
    /// Look the key up again. If no particular key was requested, keys are available.
    Found,
    /// A search did not return the key.
    NotFound,
    /// The `kid` belongs to a key of another algorithm, or several keys fit.
    Conflict,
    /// Run this fetch, and wait for it.
    Start(Fetch),
    /// Wait for the fetch in flight, until this channel closes.
    Join(watch::Receiver<()>),
    /// There are keys, but not this one, and the next search is allowed after this time.
    CoolingDown(Duration),
    /// There are no keys, and the next fetch is allowed after this time.
    Unavailable(Duration),
}

pub(super) struct State {
    settings: Settings,
    current: Option<Arc<Snapshot>>,
    in_flight: Option<InFlight>,
    last_fetch: FetchId,
    /// Results of fetches up to this one are ignored.
    invalidated: FetchId,
    /// The next fetch must bypass caches, because they have an older set.
    must_bypass_caches: bool,
    missing: MissingKeys,
    searches: RateLimit,
    failures_in_a_row: u32,
    /// After a failure: no fetch before this time.
    next_try: Instant,
    refresh_due: Option<Instant>,
    jitter: Jitter,
    pub(super) counters: Counters,
}

struct InFlight {
    id: FetchId,
    lost_at: Instant,
    /// Whether it counts against the rate limit of searches.
    is_search: bool,
    completed: watch::Receiver<()>,
}

/// For metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    pub(super) fetches_ok: u64,
    pub(super) fetch_errors: HashMap<&'static str, u64>,
    pub(super) refetches_suppressed: u64,
    pub(super) last_error: Option<FetchError>,
}

impl State {
    pub(super) fn new(settings: Settings, seed: u64, now: Instant) -> Self {
        Self {
            missing: MissingKeys::new(settings.search_interval),
            searches: RateLimit::new(settings.search_burst, settings.search_interval, now),
            settings,
            current: None,
            in_flight: None,
            last_fetch: 0,
            invalidated: 0,
            must_bypass_caches: false,
            failures_in_a_row: 0,
            next_try: now,
            refresh_due: None,
            jitter: Jitter(seed),
            counters: Counters::default(),
        }
    }

    /// A lookup did not find the key of a token.
    pub(super) fn key_missing(&mut self, header: &Header, now: Instant) -> Step {
        self.drop_lost_fetch(now);
        let Some(current) = self.usable(now) else {
            // The fetch may be a search too.
            self.missing.is_confirmed(header, self.last_fetch + 1, now);
            return self.load(now);
        };
        match current.keys.lookup(header) {
            // A fetch has returned it in the meantime.
            Lookup::Found(_) => return Step::Found,
            Lookup::Conflict => return Step::Conflict,
            Lookup::Missing => {}
        }
        if self.missing.is_confirmed(header, self.last_fetch + 1, now) {
            self.counters.refetches_suppressed += 1;
            return Step::NotFound;
        }
        if let Some(in_flight) = &self.in_flight {
            return Step::Join(in_flight.completed.clone());
        }
        match self.check_backoff(now).and_then(|()| self.searches.take(now)) {
            Ok(()) => Step::Start(self.start(now, true)),
            Err(left) => {
                self.counters.refetches_suppressed += 1;
                Step::CoolingDown(left)
            }
        }
    }

    /// Keys must be available, but no particular one.
    pub(super) fn load(&mut self, now: Instant) -> Step {
        self.drop_lost_fetch(now);
        if self.usable(now).is_some() {
            return Step::Found;
        }
        if let Some(in_flight) = &self.in_flight {
            return Step::Join(in_flight.completed.clone());
        }
        match self.check_backoff(now) {
            Ok(()) => Step::Start(self.start(now, false)),
            Err(left) => Step::Unavailable(left),
        }
    }

    /// The time [`wake_at`](Self::wake_at) has been reached.
    pub(super) fn wake(&mut self, now: Instant) -> Option<Fetch> {
        self.drop_lost_fetch(now);
        let is_due = self.in_flight.is_none() && self.wake_at().is_some_and(|due| now >= due);
        is_due.then(|| self.start(now, false))
    }

    /// When [`wake`](Self::wake) must be called, for a refresh or a lost fetch.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        match &self.in_flight {
            Some(in_flight) => Some(in_flight.lost_at),
            None => self.refresh_due.map(|due| due.max(self.next_try)),
        }
    }

    /// A signature did not verify with a key of the set, or a token specifies such a key with another algorithm. The
    /// issuer may have replaced the key, but more likely the token is forged. So this starts a search only if the rate
    /// limit is unused, and leaves the rest of the limit to missing keys.
    pub(super) fn key_maybe_replaced(&mut self, now: Instant) -> Option<Fetch> {
        self.drop_lost_fetch(now);
        let may_search = self.in_flight.is_none()
            && self.check_backoff(now).is_ok()
            && self.usable(now).is_some()
            && self.searches.take_if_full(now);
        may_search.then(|| self.start(now, true))
    }

    /// A fetch has returned a key set.
    pub(super) fn succeeded(&mut self, fetch: &Fetch, loaded: Loaded, now: Instant) {
        if self.end(fetch.id).is_none() {
            return;
        }
        self.counters.fetches_ok += 1;
        self.counters.last_error = None;
        self.failures_in_a_row = 0;
        self.next_try = now;
        if fetch.id <= self.invalidated {
            return;
        }
        if fetch.bypass_caches {
            self.missing.searched(fetch.id, now);
        }
        let generated = now.checked_sub(loaded.age).unwrap_or(now);
        let fresh_until = now + loaded.fresh_for;
        let snapshot = match &self.current {
            // Shared caches can return an older set than the last search did.
            Some(current) if !fetch.bypass_caches && generated < current.generated => {
                self.must_bypass_caches = true;
                Snapshot { etag: None, fetched: now, fresh_until, ..Snapshot::clone(current) }
            }
            current => {
                self.must_bypass_caches = false;
                let generation = match (current, &fetch.current) {
                    (Some(ours), Some(theirs)) if loaded.is_unchanged && Arc::ptr_eq(ours, theirs) => ours.generation,
                    _ => fetch.id,
                };
                Snapshot { keys: loaded.keys, etag: loaded.etag, fetched: now, generated, fresh_until, generation }
            }
        };
        // Between 75 % and 85 %, so that replicas that were started together do not fetch together.
        self.refresh_due = Some(now + loaded.fresh_for.mul_f64(0.75 + 0.1 * self.jitter.next()));
        self.current = Some(Arc::new(snapshot));
    }

    /// A fetch has failed.
    pub(super) fn failed(&mut self, id: FetchId, error: FetchError, now: Instant) {
        let Some(in_flight) = self.end(id) else { return };
        if in_flight.is_search {
            self.searches.refund(now);
        }
        let doublings = self.failures_in_a_row.min(16);
        let backoff = self.settings.initial_backoff.saturating_mul(1 << doublings).min(self.settings.max_backoff);
        // Up to a quarter less, so that replicas do not retry together.
        let backoff = backoff.mul_f64(1.0 - 0.25 * self.jitter.next());
        let requested = match error {
            FetchError::Status { retry_after: Some(after), .. } => after.min(MAX_RETRY_AFTER),
            _ => Duration::ZERO,
        };
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.next_try = now + backoff.max(requested);
        *self.counters.fetch_errors.entry(error.as_str()).or_default() += 1;
        self.counters.last_error = Some(error);
    }

    /// Discards all keys. The result of a fetch in flight is ignored too, because it may be older.
    pub(super) fn invalidate(&mut self) {
        self.invalidated = self.last_fetch;
        self.must_bypass_caches = true;
        self.refresh_due = None;
        self.current = None;
    }

    #[cfg(all(test, shuttle))]
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }

    pub(super) fn current(&self) -> Option<&Arc<Snapshot>> {
        self.current.as_ref()
    }

    pub(super) fn usable(&self, now: Instant) -> Option<&Arc<Snapshot>> {
        self.current.as_ref().filter(|current| current.is_usable(now, self.settings.stale_if_error))
    }

    /// Fails with the time until the next fetch.
    fn check_backoff(&self, now: Instant) -> Result<(), Duration> {
        if now < self.next_try { Err(self.next_try - now) } else { Ok(()) }
    }

    fn start(&mut self, now: Instant, is_search: bool) -> Fetch {
        self.last_fetch += 1;
        let (id, lost_at) = (self.last_fetch, now + self.settings.max_wait());
        let (sender, completed) = watch::channel(());
        self.in_flight = Some(InFlight { id, lost_at, is_search, completed });
        let bypass_caches = is_search || self.must_bypass_caches;
        Fetch { id, current: self.current.clone(), bypass_caches, completed: sender }
    }

    /// Ends the fetch in flight, if it is this one.
    fn end(&mut self, id: FetchId) -> Option<InFlight> {
        self.in_flight.take_if(|in_flight| in_flight.id == id)
    }

    /// A fetch never finishes if its runtime is blocked.
    fn drop_lost_fetch(&mut self, now: Instant) {
        if let Some(in_flight) = &self.in_flight
            && now >= in_flight.lost_at
        {
            self.failed(in_flight.id, FetchError::Timeout, now);
        }
    }
}

#[cfg(test)]
mod tests;
