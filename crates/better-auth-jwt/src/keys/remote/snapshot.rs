//! Fetches and what they return.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::super::KeySet;

/// Counts fetches. A later fetch has a higher number.
pub(super) type FetchId = u64;

/// A key set from one response.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) keys: Arc<KeySet>,
    pub(super) etag: Option<String>,
    pub(super) fetched: Instant,
    /// When the issuer generated the response. A cache may have stored it since.
    pub(super) generated: Instant,
    pub(super) fresh_until: Instant,
    /// Changes when the keys change.
    pub(super) generation: u64,
}

/// The content of a response.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) keys: Arc<KeySet>,
    /// Whether the keys are those of [`Fetch::current`].
    pub(super) is_unchanged: bool,
    pub(super) etag: Option<String>,
    /// How long a cache has stored it.
    pub(super) age: Duration,
    pub(super) fresh_for: Duration,
}

/// A fetch to run.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) id: FetchId,
    /// The set at the start of the fetch.
    pub(super) current: Option<Arc<Snapshot>>,
    /// Request an unconditional response from the issuer: a cache could respond to a conditional request with a stored
    /// one (RFC 9111, section 4.3.2).
    pub(super) bypass_caches: bool,
    /// Closes the channel of waiting requests when it is dropped. Nothing is sent on it.
    pub(super) completed: watch::Sender<()>,
}

impl Snapshot {
    pub(super) fn is_usable(&self, now: Instant, stale_if_error: Duration) -> bool {
        now.saturating_duration_since(self.fetched) < stale_if_error
    }
}
