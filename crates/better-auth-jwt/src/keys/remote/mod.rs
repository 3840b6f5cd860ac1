//! A JWKS that is fetched, cached and refreshed.
//!
//! [`state`] decides when to fetch, [`shared`] protects that state with a lock, and [`fetch`] runs the fetches.

mod builder;
mod error;
mod fetch;
#[cfg(feature = "jwks-reqwest")]
mod http;
mod jitter;
mod missing_keys;
mod response;
mod settings;
mod shared;
mod snapshot;
mod state;
mod sync;

#[cfg(test)]
#[cfg(shuttle)]
mod model;

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

pub use self::{
    builder::RemoteKeySetBuilder,
    error::FetchError,
    response::{JwksRequest, JwksResponse},
};
use self::{
    builder::Source,
    fetch::{spawn, wait},
    shared::Shared,
    snapshot::{Fetch, Snapshot},
    state::{State, Step},
};
use super::{Algorithm, Key, KeySource, Readiness, Refresh};
#[cfg(feature = "jwks-reqwest")]
use crate::error::ConfigError;
use crate::jws::Header;

/// The keys of a JWKS endpoint.
///
/// A known key is looked up in memory, without a lock, and never waits for the network. The set is fetched for the
/// first token and refreshed in the background before it becomes stale. If the issuer cannot be reached, the last valid
/// set is used for up to 24 hours by default.
///
/// A request with an unknown `kid` waits while the set is fetched again, bypassing shared caches. It is rejected (401)
/// only if a set fetched after the `kid` was first seen lacks that key; until then, such as after a failed fetch, the
/// response is 503 with `Retry-After`. The rate of fetches is bounded, whatever tokens are sent.
///
/// You do not need to start a task, but lookups must happen inside a tokio runtime with its timer enabled. Clones share
/// one cache.
#[derive(Clone)]
pub struct RemoteKeySet {
    shared: Arc<Shared>,
}

impl RemoteKeySet {
    /// Creates a key set that is fetched from this URL with reqwest.
    ///
    /// Plain `http` never goes through a proxy; `https` does if `HTTPS_PROXY` or `ALL_PROXY` is set and `NO_PROXY` does
    /// not exclude the host. `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's root certificates. `localhost` and
    /// its subdomains resolve to loopback without a DNS query; the system resolves other names. Redirects, cookies and
    /// `.netrc` are not used.
    ///
    /// # Errors
    ///
    /// See [`RemoteKeySetBuilder::build`].
    #[cfg(feature = "jwks-reqwest")]
    pub fn new(url: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder(url).build()
    }

    /// Returns a builder for a key set with other settings.
    #[cfg(feature = "jwks-reqwest")]
    pub fn builder(url: impl Into<String>) -> RemoteKeySetBuilder {
        RemoteKeySetBuilder::new(Source::Url(url.into()))
    }

    /// Fetches keys with your own function: with another HTTP client, or from elsewhere.
    ///
    /// With an HTTP client that uses the `http` crate, such as reqwest:
    ///
    #[cfg_attr(feature = "jwks-reqwest", doc = "```")]
    #[cfg_attr(not(feature = "jwks-reqwest"), doc = "```ignore")]
    /// use better_auth_jwt::keys::{FetchError, JwksResponse, RemoteKeySet};
    ///
    /// # fn own_client() -> reqwest::Client { reqwest::Client::builder().tls_certs_only([]).build().unwrap() }
    /// let client = own_client();
    /// let keys = RemoteKeySet::with_fetch(move |request| {
    ///     let request = client.get("https://app.example.com/api/auth/jwks").headers(request.headers());
    ///     async move {
    ///         let response = request.send().await.map_err(FetchError::connection)?;
    ///         let (status, headers) = (response.status(), response.headers().clone());
    ///         JwksResponse::from_parts(status, &headers, response.bytes().await.map_err(FetchError::connection)?)
    ///     }
    /// })
    /// .build()?;
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    ///
    /// The key set's timeout also applies to your function. The maximum size of a document is checked after your
    /// function has read it.
    pub fn with_fetch<F>(fetch: impl Fn(JwksRequest) -> F + Send + Sync + 'static) -> RemoteKeySetBuilder
    where
        F: Future<Output = Result<JwksResponse, FetchError>> + Send + 'static,
    {
        RemoteKeySetBuilder::new(Source::Function(Box::new(move |request| Box::pin(fetch(request)))))
    }

    /// Fetches the keys now, unless they are already available: for services that should fail at start-up instead of
    /// responding with 503.
    ///
    /// # Errors
    ///
    /// The fetch failed, or a previous one did and the next is not due yet.
    pub async fn load(&self) -> Result<(), FetchError> {
        let runtime = Handle::try_current().map_err(FetchError::connection)?;
        let completed = match self.shared.with_state(State::load) {
            Step::Start(fetch) => spawn(self.shared.clone(), fetch, &runtime),
            Step::Join(completed) => completed,
            Step::Unavailable(left) => return Err(FetchError::Backoff(left)),
            _ => return Ok(()),
        };
        wait(completed, self.shared.settings.max_wait()).await;
        match self.shared.read(|_| (), || {}) {
            Some(()) => Ok(()),
            None => Err(self.status().last_error.unwrap_or(FetchError::Timeout)),
        }
    }

    /// Discards all keys, for example after a compromise. The next token triggers a fetch.
    pub fn invalidate(&self) {
        self.shared.change(|state, _| state.invalidate());
    }

    /// The current status of the keys, for metrics.
    ///
    /// Nothing is fetched. For health checks use [`readiness`](KeySource::readiness), which starts a fetch if there are
    /// no keys.
    pub fn status(&self) -> KeyStatus {
        self.shared.with_state(|state, now| {
            let usable = state.usable(now);
            KeyStatus {
                readiness: match usable {
                    None => Readiness::Unavailable,
                    Some(snapshot) if now >= snapshot.fresh_until => Readiness::Stale,
                    Some(_) => Readiness::Ready,
                },
                key_count: usable.map_or(0, |snapshot| snapshot.keys.len()),
                age: usable.map(|snapshot| now.saturating_duration_since(snapshot.fetched)),
                fetches_ok: state.counters.fetches_ok,
                fetch_errors: state.counters.fetch_errors.clone(),
                refetches_suppressed: state.counters.refetches_suppressed,
                last_error: state.counters.last_error.clone(),
            }
        })
    }

    /// Reads the keys, and refreshes them in the background when that is due.
    fn read<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> Option<T> {
        self.shared.read(read, || self.fetch_in_background(State::wake))
    }

    fn fetch_in_background(&self, transition: impl FnOnce(&mut State, Instant) -> Option<Fetch>) {
        // Outside a runtime nothing can be spawned; the next lookup tries again.
        let Ok(runtime) = Handle::try_current() else { return };
        if let Some(fetch) = self.shared.with_state(transition) {
            spawn(self.shared.clone(), fetch, &runtime);
        }
    }
}

impl KeySource for RemoteKeySet {
    /// Public keys only: an `oct` key in a fetched set is never used.
    fn supports(&self, algorithm: Algorithm) -> bool {
        !algorithm.is_symmetric()
    }

    fn find(&self, header: &Header) -> Option<Arc<Key>> {
        self.read(|snapshot| snapshot.keys.find(header))?
    }

    fn generation(&self) -> Option<u64> {
        self.read(|snapshot| snapshot.generation)
    }

    fn refresh(&self, header: &Header) -> Refresh {
        let Ok(runtime) = Handle::try_current() else {
            return Refresh::Unavailable(self.shared.settings.initial_backoff);
        };
        let completed = match self.shared.with_state(|state, now| state.key_missing(header, now)) {
            Step::Start(fetch) => spawn(self.shared.clone(), fetch, &runtime),
            Step::Join(completed) => completed,
            // The key has arrived in the meantime: look it up again.
            Step::Found => return Refresh::Pending(Box::pin(async {})),
            Step::NotFound => return Refresh::NotFound,
            Step::Conflict => {
                self.fetch_in_background(State::key_maybe_replaced);
                return Refresh::NotFound;
            }
            Step::CoolingDown(left) => return Refresh::CoolingDown(left),
            Step::Unavailable(left) => return Refresh::Unavailable(left),
        };
        Refresh::Pending(wait(completed, self.shared.settings.max_wait()))
    }

    fn on_invalid_signature(&self, _: &Header) {
        self.fetch_in_background(State::key_maybe_replaced);
    }

    /// This also starts the first fetch, so that a service becomes ready before its first token.
    fn readiness(&self) -> Readiness {
        let readiness = self.status().readiness;
        if readiness == Readiness::Unavailable {
            self.fetch_in_background(|state, now| match state.load(now) {
                Step::Start(fetch) => Some(fetch),
                _ => None,
            });
        }
        readiness
    }
}

/// The status of the keys of a [`RemoteKeySet`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyStatus {
    /// Whether tokens can be verified.
    pub readiness: Readiness,
    /// The number of keys that are used.
    pub key_count: usize,
    /// How long ago they were fetched.
    pub age: Option<Duration>,
    /// How many fetches have succeeded.
    pub fetches_ok: u64,
    /// How many have failed, by [`FetchError::as_str`].
    pub fetch_errors: HashMap<&'static str, u64>,
    /// How often an unknown `kid` caused no fetch: a recent fetch had not returned it, or
    /// [`refetch_limit`](RemoteKeySetBuilder::refetch_limit) or [`backoff`](RemoteKeySetBuilder::backoff) did not allow
    /// another fetch yet.
    pub refetches_suppressed: u64,
    /// Why the last fetch failed, if it did.
    pub last_error: Option<FetchError>,
}

impl fmt::Debug for RemoteKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeySet").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
