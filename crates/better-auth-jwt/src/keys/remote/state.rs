//! When to fetch the key set, and what a missing key means.
//!
//! A state machine without locks, clock, network or runtime: the caller reports what happened and when, and gets the next
//! step. The rules are:
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

use super::{
    super::key_set::Lookup,
    FetchError,
    jitter::Jitter,
    missing_keys::MissingKeys,
    rate_limit::RateLimit,
    settings::Limits,
    snapshot::{Fetch, FetchId, Loaded, Snapshot},
};
use crate::jws::Header;

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
    /// Wait for the fetch in flight.
    Join,
    /// There are keys, but not this one, and the next search is allowed after this time.
    CoolingDown(Duration),
    /// There are no keys, and the next fetch is allowed after this time.
    Unavailable(Duration),
}

pub(super) struct State {
    limits: Limits,
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
    is_limited: bool,
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
    pub(super) fn new(limits: Limits, seed: u64, now: Instant) -> Self {
        Self {
            missing: MissingKeys::new(limits.search_interval),
            searches: RateLimit::new(limits.search_burst, limits.search_interval, now),
            limits,
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
        if self.in_flight.is_some() {
            return Step::Join;
        }
        if let Some(left) = self.backoff_left(now) {
            self.counters.refetches_suppressed += 1;
            return Step::CoolingDown(left);
        }
        match self.searches.take(now) {
            Ok(()) => Step::Start(self.start(now, true, true)),
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
        if self.in_flight.is_some() {
            return Step::Join;
        }
        match self.backoff_left(now) {
            Some(left) => Step::Unavailable(left),
            None => Step::Start(self.start(now, self.must_bypass_caches, false)),
        }
    }

    /// The time [`wake_at`](Self::wake_at) has been reached.
    pub(super) fn wake(&mut self, now: Instant) -> Option<Fetch> {
        self.drop_lost_fetch(now);
        let is_due = self.in_flight.is_none() && self.wake_at().is_some_and(|due| now >= due);
        is_due.then(|| self.start(now, self.must_bypass_caches, false))
    }

    /// When [`wake`](Self::wake) must be called, for a refresh or a lost fetch.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        match &self.in_flight {
            Some(in_flight) => Some(in_flight.lost_at),
            None => self.refresh_due.map(|due| due.max(self.next_try)),
        }
    }

    /// A signature did not verify with a key of the set, or a token specifies such a key with another algorithm. The issuer
    /// may have replaced the key, but more likely the token is forged. So this starts a search only if the rate limit is
    /// unused, and leaves the rest of the limit to missing keys.
    pub(super) fn key_maybe_replaced(&mut self, now: Instant) -> Option<Fetch> {
        self.drop_lost_fetch(now);
        let may_search = self.in_flight.is_none()
            && self.backoff_left(now).is_none()
            && self.usable(now).is_some()
            && self.searches.take_if_full(now);
        may_search.then(|| self.start(now, true, true))
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
                Snapshot {
                    keys: current.keys.clone(),
                    etag: None,
                    fetched: now,
                    generated: current.generated,
                    fresh_until,
                    generation: current.generation,
                }
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
        if in_flight.is_limited {
            self.searches.refund(now);
        }
        let doublings = self.failures_in_a_row.min(16);
        let backoff = self.limits.initial_backoff.saturating_mul(1 << doublings).min(self.limits.max_backoff);
        // Up to a quarter less, so that replicas do not retry together.
        let backoff = backoff.mul_f64(1.0 - 0.25 * self.jitter.next());
        let requested = error.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER);
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
        self.current.as_ref().filter(|current| current.is_usable(now, self.limits.stale_if_error))
    }

    fn backoff_left(&self, now: Instant) -> Option<Duration> {
        (now < self.next_try).then(|| self.next_try - now)
    }

    fn start(&mut self, now: Instant, bypass_caches: bool, is_limited: bool) -> Fetch {
        self.last_fetch += 1;
        self.in_flight = Some(InFlight { id: self.last_fetch, lost_at: now + self.limits.lost_after, is_limited });
        Fetch { id: self.last_fetch, current: self.current.clone(), bypass_caches }
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
