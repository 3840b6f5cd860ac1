//! A JWKS that lives elsewhere: fetched, cached, renewed.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::{
    Algorithm, Key, KeySet, KeySource, Readiness, Refresh,
    fetch::{FetchError, Fetched},
};
use crate::{
    clock::{Clock, SystemClock},
    error::ConfigError,
    header::Header,
};

/// How long an issuer may ask us to stay away.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The keys of a JWKS endpoint.
///
/// Keys are looked up in memory and without a lock; a known key never waits for the network. The
/// set is fetched when the first token comes, renewed in the background before it goes stale, and
/// fetched again, within the request, for a `kid` it does not have. All of that happens one fetch
/// at a time and at a bounded rate, whatever tokens are sent. When the issuer cannot be reached, the
/// last good set goes on serving, for a day.
///
/// No task has to be started, but lookups must happen inside a tokio runtime with its timer enabled. A clone shares
/// everything.
#[derive(Clone)]
pub struct RemoteKeySet {
    shared: Arc<Shared>,
}

/// Configures a [`RemoteKeySet`]. The defaults are right for Better Auth.
#[must_use]
pub struct RemoteKeySetBuilder {
    source: Source,
    #[cfg(feature = "remote-jwks")]
    allow_http: bool,
    policy: Policy,
    clock: Arc<dyn Clock>,
}

type Fetching = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send>>;
type Fetch = Box<dyn Fn(Option<String>) -> Fetching + Send + Sync>;

enum Source {
    #[cfg(feature = "remote-jwks")]
    Url(String),
    Function(Fetch),
}

#[derive(Debug, Clone)]
struct Policy {
    fresh: Duration,
    least_fresh: Duration,
    most_fresh: Duration,
    refresh_at: f64,
    stale: Duration,
    cooldown: Duration,
    first_backoff: Duration,
    longest_backoff: Duration,
    timeout: Duration,
    most_bytes: usize,
    rsa: Option<Algorithm>,
}

impl RemoteKeySet {
    /// The keys at this URL, fetched with reqwest.
    ///
    /// # Errors
    ///
    /// The text is no URL, has credentials, or is plain `http` to another machine.
    #[cfg(feature = "remote-jwks")]
    pub fn new(url: impl Into<String>) -> Result<Self, ConfigError> {
        Self::builder(url).build()
    }

    /// The same with other settings.
    #[cfg(feature = "remote-jwks")]
    pub fn builder(url: impl Into<String>) -> RemoteKeySetBuilder {
        RemoteKeySetBuilder::new(Source::Url(url.into()))
    }

    /// Keys that a function of yours fetches: with another HTTP client, or from elsewhere.
    ///
    /// It gets the last document's ETag, if there was one, and may then answer
    /// [`Fetched::not_modified`]. Time and size are bounded here.
    ///
    /// ```
    /// use better_auth_jwt::keys::{Fetched, RemoteKeySet};
    ///
    /// let keys = RemoteKeySet::with_fetch(async |_etag| Ok(Fetched::new(r#"{"keys":[]}"#))).build()?;
    /// # Ok::<(), better_auth_jwt::ConfigError>(())
    /// ```
    pub fn with_fetch<F>(fetch: impl Fn(Option<String>) -> F + Send + Sync + 'static) -> RemoteKeySetBuilder
    where
        F: Future<Output = Result<Fetched, FetchError>> + Send + 'static,
    {
        RemoteKeySetBuilder::new(Source::Function(Box::new(move |etag| Box::pin(fetch(etag)))))
    }

    /// Fetches the keys now unless they are there already: for services that rather don't start
    /// than answer 503.
    ///
    /// # Errors
    ///
    /// They cannot be had.
    pub async fn connect(&self) -> Result<(), FetchError> {
        if self.shared.usable(self.shared.clock.instant()).is_some() {
            return Ok(());
        }
        if !in_a_runtime() {
            return Err(FetchError::Connection("there is no tokio runtime to fetch in".to_owned()));
        }
        match self.shared.load(None) {
            Ok(done) => wait(done).await,
            Err(after) => return Err(FetchError::BackingOff(after)),
        }
        match self.shared.usable(self.shared.clock.instant()) {
            Some(_) => Ok(()),
            None => Err(self.shared.state().last_error.clone().unwrap_or(FetchError::Timeout)),
        }
    }

    /// Forgets all keys at once, for when one is known to be compromised. The next token fetches anew.
    pub fn invalidate(&self) {
        let mut state = self.shared.state();
        // A fetch under way may have been answered before the key was withdrawn.
        state.invalidated = state.sequence;
        state.refresh_due = None;
        self.shared.snapshot.store(None);
        self.shared.next_refresh.store(u64::MAX, Ordering::Relaxed);
    }

    /// How it stands with the keys: for health checks and metrics.
    pub fn status(&self) -> KeyStatus {
        let now = self.shared.clock.instant();
        let snapshot = self.shared.usable(now);
        let state = self.shared.state();
        KeyStatus {
            readiness: match &snapshot {
                None => Readiness::Unavailable,
                Some(snapshot) if now >= snapshot.fresh_until => Readiness::Stale,
                Some(_) => Readiness::Ready,
            },
            keys: snapshot.as_ref().map_or(0, |snapshot| snapshot.keys.len()),
            age: snapshot.map(|snapshot| now.saturating_duration_since(snapshot.fetched)),
            fetched: state.fetched,
            failed: state.failed.clone(),
            suppressed: state.suppressed,
            last_error: state.last_error.clone(),
        }
    }
}

/// What is known about the keys of a [`RemoteKeySet`] at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyStatus {
    /// Whether tokens can be verified.
    pub readiness: Readiness,
    /// How many keys can verify.
    pub keys: usize,
    /// How long ago they were fetched.
    pub age: Option<Duration>,
    /// How many fetches have succeeded.
    pub fetched: u64,
    /// How many have failed, by [`FetchError::name`].
    pub failed: HashMap<&'static str, u64>,
    /// How often an unknown `kid` was not looked for, since that had been done a moment before.
    pub suppressed: u64,
    /// What went wrong last, if the last fetch failed.
    pub last_error: Option<FetchError>,
}

impl RemoteKeySetBuilder {
    fn new(source: Source) -> Self {
        let policy = Policy {
            fresh: Duration::from_secs(600),
            least_fresh: Duration::from_secs(60),
            most_fresh: Duration::from_secs(24 * 3600),
            refresh_at: 0.8,
            stale: Duration::from_secs(24 * 3600),
            cooldown: Duration::from_secs(30),
            first_backoff: Duration::from_secs(1),
            longest_backoff: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
            most_bytes: 256 * 1024,
            rsa: None,
        };
        Self {
            source,
            #[cfg(feature = "remote-jwks")]
            allow_http: false,
            policy,
            clock: Arc::new(SystemClock),
        }
    }

    /// Allows plain `http` to other machines, such as inside a container network. Whoever can
    /// answer in the endpoint's place can sign in as anybody.
    #[cfg(feature = "remote-jwks")]
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// For how long a set is fresh when the issuer does not say. 10 minutes by default; it is
    /// renewed at about 80 % of that.
    pub fn fresh_for(mut self, age: Duration) -> Self {
        self.policy.fresh = age;
        self
    }

    /// The shortest and the longest `max-age` that is honoured. 60 seconds and 24 hours by default.
    pub fn clamp_max_age(mut self, shortest: Duration, longest: Duration) -> Self {
        self.policy.least_fresh = shortest;
        self.policy.most_fresh = longest.max(shortest);
        self
    }

    /// For how long after the last success a set goes on serving. 24 hours by default.
    pub fn stale_for(mut self, age: Duration) -> Self {
        self.policy.stale = age;
        self
    }

    /// How long after an attempt for an unknown `kid` there is no other. 30 seconds by default.
    /// With issuers that rotate often, keep it below the rotation interval.
    pub fn cooldown(mut self, time: Duration) -> Self {
        self.policy.cooldown = time;
        self
    }

    /// How long to wait after a failure; each further one doubles it. 1 second to 60 by default.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.policy.first_backoff = first;
        self.policy.longest_backoff = longest.max(first);
        self
    }

    /// How long one fetch may take in all. 5 seconds by default.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.policy.timeout = time;
        self
    }

    /// The largest document that is read, in bytes. 256 KiB by default.
    pub fn most_bytes(mut self, bytes: usize) -> Self {
        self.policy.most_bytes = bytes;
        self
    }

    /// The algorithm of RSA keys whose JWK names none. Without this they are skipped.
    pub fn rsa_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.policy.rsa = Some(algorithm);
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The key set. Nothing is fetched yet.
    ///
    /// # Errors
    ///
    /// The URL is none, has credentials, or is plain `http` to another machine; or the algorithm
    /// named for RSA keys is none for RSA.
    pub fn build(self) -> Result<RemoteKeySet, ConfigError> {
        if let Some(algorithm) = self.policy.rsa.filter(|algorithm| !algorithm.is_rsa()) {
            return Err(ConfigError::new(format!("{algorithm} is no algorithm for RSA keys")));
        }
        #[cfg_attr(
            not(feature = "remote-jwks"),
            expect(clippy::infallible_destructuring_match, reason = "there is another source with the feature")
        )]
        let fetch: Fetch = match self.source {
            Source::Function(fetch) => fetch,
            #[cfg(feature = "remote-jwks")]
            Source::Url(url) => {
                let endpoint = super::http::Endpoint::new(&url, self.allow_http)?;
                let most_bytes = self.policy.most_bytes;
                Box::new(move |etag| Box::pin(endpoint.clone().fetch(etag, most_bytes)))
            }
        };
        let start = self.clock.instant();
        let state = State {
            flight: None,
            sequence: 0,
            invalidated: 0,
            last_search: None,
            unknown_id: None,
            refresh_due: None,
            failures: 0,
            next_try: start,
            last_error: None,
            fetched: 0,
            failed: HashMap::new(),
            suppressed: 0,
        };
        let shared = Shared {
            fetch,
            policy: self.policy,
            clock: self.clock,
            start,
            snapshot: ArcSwapOption::empty(),
            next_refresh: AtomicU64::new(u64::MAX),
            state: Mutex::new(state),
        };
        Ok(RemoteKeySet { shared: Arc::new(shared) })
    }
}

struct Shared {
    fetch: Fetch,
    policy: Policy,
    clock: Arc<dyn Clock>,
    start: Instant,
    snapshot: ArcSwapOption<Snapshot>,
    /// When the next background refresh is due, in milliseconds after `start`.
    next_refresh: AtomicU64,
    /// Locked only when a key is missing or a fetch begins or ends.
    state: Mutex<State>,
}

/// One good answer.
struct Snapshot {
    keys: KeySet,
    etag: Option<String>,
    fetched: Instant,
    fresh_until: Instant,
    /// Counts fetches, so that an answer never replaces that of a later one.
    sequence: u64,
    /// The sequence of the first in a row of answers with the same keys.
    generation: u64,
}

impl Snapshot {
    fn is_usable(&self, now: Instant, policy: &Policy) -> bool {
        now.saturating_duration_since(self.fetched) < policy.stale
    }
}

struct State {
    /// Ends when the fetch under way ends.
    flight: Option<watch::Receiver<()>>,
    sequence: u64,
    /// Answers to fetches up to this one are not used.
    invalidated: u64,
    /// When an unknown `kid` last caused a fetch.
    last_search: Option<Instant>,
    /// What the last fetch that was to find an id has not found, and when. One is enough: searches
    /// for others wait for the same cooldown.
    unknown_id: Option<(Box<str>, Instant)>,
    /// When the keys at hand are to be renewed.
    refresh_due: Option<Instant>,
    /// Failures in a row.
    failures: u32,
    /// Not before this, after a failure.
    next_try: Instant,
    last_error: Option<FetchError>,
    fetched: u64,
    failed: HashMap<&'static str, u64>,
    suppressed: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is only ever replaced field by field; a panic elsewhere leaves it sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self, now: Instant) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full().filter(|snapshot| snapshot.is_usable(now, &self.policy))
    }

    /// Looks into the keys, without a lock; begins to renew them when that is due.
    fn with_usable<T>(self: &Arc<Self>, look: impl FnOnce(&Snapshot) -> T) -> Option<T> {
        let now = self.clock.instant();
        if self.since_start(now) >= self.next_refresh.load(Ordering::Relaxed) {
            self.refresh_ahead();
        }
        let snapshot = self.snapshot.load();
        snapshot.as_ref().filter(|snapshot| snapshot.is_usable(now, &self.policy)).map(|snapshot| look(snapshot))
    }

    fn since_start(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.start).as_millis().try_into().unwrap_or(u64::MAX)
    }

    /// There are no keys: joins the fetch under way or begins one, unless it is too early for that.
    /// If the set then lacks the `wanted` id, that needs no fetch of its own.
    fn load(self: &Arc<Self>, wanted: Option<&str>) -> Result<watch::Receiver<()>, Duration> {
        let mut state = self.state();
        if let Some(flight) = &state.flight {
            return Ok(flight.clone());
        }
        let now = self.clock.instant();
        if now < state.next_try {
            return Err(state.next_try - now);
        }
        Ok(self.begin(&mut state, wanted))
    }

    /// There are keys, but not this one.
    fn search(self: &Arc<Self>, snapshot: &Snapshot, header: &Header, now: Instant) -> Refresh {
        let id = header.key_id();
        // The id is known, so its key has another algorithm or clashes: no fetch makes that right.
        // Without an id several keys may fit, and then more keys do not help.
        let hopeless = match id {
            Some(id) => snapshot.keys.has_id(id),
            None => snapshot.keys.has_algorithm(header.algorithm()),
        };
        if hopeless {
            return Refresh::Pointless;
        }
        let mut state = self.state();
        if let Some(flight) = &state.flight {
            return Refresh::Wait(Box::pin(wait(flight.clone())));
        }
        let left = |since: Instant| {
            let left = self.policy.cooldown.saturating_sub(now.saturating_duration_since(since));
            (!left.is_zero()).then_some(left)
        };
        if state.unknown_id.as_ref().is_some_and(|(unknown, since)| id == Some(unknown) && left(*since).is_some()) {
            state.suppressed += 1;
            return Refresh::Pointless;
        }
        if let Some(left) = state.last_search.and_then(left) {
            state.suppressed += 1;
            return Refresh::TooSoon(left);
        }
        state.last_search = Some(now);
        Refresh::Wait(Box::pin(wait(self.begin(&mut state, id))))
    }

    /// A refresh is due: begins it, and nobody waits for it.
    fn refresh_ahead(self: &Arc<Self>) {
        // Outside a runtime nothing can be spawned; the next lookup tries again.
        if !in_a_runtime() {
            return;
        }
        let mut state = self.state();
        if state.flight.is_none() {
            self.begin(&mut state, None);
        }
    }

    /// Begins a fetch in a task of its own, which outlives the request that caused it.
    fn begin(self: &Arc<Self>, state: &mut State, wanted: Option<&str>) -> watch::Receiver<()> {
        let (done, waiting) = watch::channel(());
        state.flight = Some(waiting.clone());
        state.sequence += 1;
        self.next_refresh.store(u64::MAX, Ordering::Relaxed);
        let flight = Flight {
            shared: self.clone(),
            sequence: state.sequence,
            wanted: wanted.map(Into::into),
            outcome: None,
            _done: done,
        };
        tokio::spawn(flight.fly());
        waiting
    }

    fn read(&self, fetched: Fetched, sequence: u64) -> Result<Snapshot, FetchError> {
        let now = self.clock.instant();
        let fresh =
            fetched.max_age.map_or(self.policy.fresh, |age| age.clamp(self.policy.least_fresh, self.policy.most_fresh));
        let (keys, etag) = match fetched.body {
            Some(body) if body.len() > self.policy.most_bytes => return Err(FetchError::TooLarge),
            Some(body) => {
                let keys =
                    KeySet::read(&body, self.policy.rsa).map_err(|error| FetchError::Unusable(error.to_string()))?;
                (keys, fetched.etag)
            }
            None => {
                let unasked =
                    || FetchError::Unusable("the JWKS endpoint says not modified, but nothing is known yet".to_owned());
                let current = self.snapshot.load_full().ok_or_else(unasked)?;
                (current.keys.clone(), fetched.etag.or_else(|| current.etag.clone()))
            }
        };
        let generation = match self.snapshot.load().as_ref() {
            Some(current) if current.keys.is_same(&keys) => current.generation,
            _ => sequence,
        };
        Ok(Snapshot { keys, etag, fetched: now, fresh_until: now + fresh, sequence, generation })
    }

    fn store(&self, state: &mut State, snapshot: Snapshot, wanted: Option<Box<str>>) {
        let fresh = snapshot.fresh_until - snapshot.fetched;
        // Between 75 % and 85 %, so that replicas started together do not ask together.
        let due = snapshot.fetched + fresh.mul_f64(self.policy.refresh_at - 0.05 + 0.1 * random());
        state.refresh_due = Some(due);
        self.next_refresh.store(self.since_start(due), Ordering::Relaxed);
        state.fetched += 1;
        state.failures = 0;
        state.next_try = snapshot.fetched;
        state.last_error = None;
        if let Some(id) = wanted.filter(|id| !snapshot.keys.has_id(id)) {
            state.unknown_id = Some((id, snapshot.fetched));
        }
        let newest = snapshot.sequence > state.invalidated
            && self.snapshot.load().as_ref().is_none_or(|current| current.sequence < snapshot.sequence);
        if newest {
            self.snapshot.store(Some(Arc::new(snapshot)));
        }
    }

    fn fail(&self, state: &mut State, error: FetchError) {
        let doublings = state.failures.min(16);
        let backoff = self.policy.first_backoff.saturating_mul(1 << doublings).min(self.policy.longest_backoff);
        // Up to a quarter less, so that replicas do not come back together.
        let backoff = backoff.mul_f64(1.0 - 0.25 * random());
        let asked = match &error {
            FetchError::Status { retry_after, .. } => retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER),
            _ => Duration::ZERO,
        };
        state.failures = state.failures.saturating_add(1);
        state.next_try = self.clock.instant() + backoff.max(asked);
        // A search that failed does not bring the scheduled refresh forward.
        let next_refresh = state.refresh_due.map_or(state.next_try, |due| due.max(state.next_try));
        self.next_refresh.store(self.since_start(next_refresh), Ordering::Relaxed);
        *state.failed.entry(error.name()).or_default() += 1;
        state.last_error = Some(error);
    }
}

/// A fetch under way. Dropping it ends the flight, also when the runtime is torn down around it.
struct Flight {
    shared: Arc<Shared>,
    sequence: u64,
    wanted: Option<Box<str>>,
    outcome: Option<Result<Snapshot, FetchError>>,
    /// Dropped last: whoever waits then finds the flight ended.
    _done: watch::Sender<()>,
}

impl Flight {
    async fn fly(mut self) {
        let shared = &self.shared;
        let etag = shared.snapshot.load().as_ref().and_then(|current| current.etag.clone());
        let fetched = match tokio::time::timeout(shared.policy.timeout, (shared.fetch)(etag)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(FetchError::Timeout),
        };
        self.outcome = Some(fetched.and_then(|fetched| shared.read(fetched, self.sequence)));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let cut_off = || Err(FetchError::Connection("the fetch was cut off".to_owned()));
        let outcome = self.outcome.take().unwrap_or_else(cut_off);
        log(&outcome);
        let mut state = self.shared.state();
        state.flight = None;
        match outcome {
            Ok(snapshot) => self.shared.store(&mut state, snapshot, self.wanted.take()),
            Err(error) => self.shared.fail(&mut state, error),
        }
    }
}

/// Whether a fetch can be spawned: tokio panics where there is no runtime.
fn in_a_runtime() -> bool {
    tokio::runtime::Handle::try_current().is_ok()
}

async fn wait(mut flight: watch::Receiver<()>) {
    // Nothing is ever sent: the channel closes when the fetch is over.
    let _ = flight.changed().await;
}

impl KeySource for RemoteKeySet {
    /// Public keys only: an `oct` key in a fetched set is never used.
    fn supports(&self, algorithm: Algorithm) -> bool {
        !algorithm.is_symmetric()
    }

    fn find(&self, header: &Header) -> Option<Arc<Key>> {
        self.shared.with_usable(|snapshot| snapshot.keys.find(header))?
    }

    fn generation(&self) -> Option<u64> {
        self.shared.with_usable(|snapshot| snapshot.generation)
    }

    fn refresh(&self, header: &Header) -> Refresh {
        let now = self.shared.clock.instant();
        if !in_a_runtime() {
            return Refresh::Unavailable(self.shared.policy.first_backoff);
        }
        match self.shared.usable(now) {
            Some(snapshot) => self.shared.search(&snapshot, header, now),
            None => match self.shared.load(header.key_id()) {
                Ok(flight) => Refresh::Wait(Box::pin(wait(flight))),
                Err(after) => Refresh::Unavailable(after),
            },
        }
    }

    /// Asking also begins the first fetch, so that a service becomes ready before its first token.
    fn readiness(&self) -> Readiness {
        let readiness = self.status().readiness;
        if readiness == Readiness::Unavailable && in_a_runtime() {
            let _ = self.shared.load(None);
        }
        readiness
    }
}

impl fmt::Debug for RemoteKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeySet").field("policy", &self.shared.policy).finish_non_exhaustive()
    }
}

impl fmt::Debug for RemoteKeySetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeySetBuilder").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Between 0 and 1. The standard library seeds its hashers at random, which is enough for jitter.
fn random() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

fn log(outcome: &Result<Snapshot, FetchError>) {
    #[cfg(feature = "tracing")]
    match outcome {
        Ok(snapshot) => {
            tracing::debug!(keys = snapshot.keys.len(), "keys fetched");
            snapshot.keys.skipped().iter().for_each(|skipped| tracing::warn!("{skipped}"));
        }
        Err(error) => tracing::warn!("keys could not be fetched: {error}"),
    }
    #[cfg(not(feature = "tracing"))]
    let _ = outcome;
}
