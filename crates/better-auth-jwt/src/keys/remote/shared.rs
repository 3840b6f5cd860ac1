//! What all clones of a key set share: the state behind a lock, and the keys, which are read without it.
//!
//! Nothing runs under the lock but [`State`]: the clock is read before, and fetches are spawned, futures dropped and log
//! lines written after it is released.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::{
    super::KeySet,
    FetchError,
    response::FetchFunction,
    settings::Settings,
    snapshot::{Fetch, Loaded, Snapshot},
    state::{State, Step},
    sync::{Mutex, MutexGuard},
};
use crate::clock::Clock;

pub(super) struct Shared {
    pub(super) fetch: FetchFunction,
    pub(super) settings: Settings,
    /// Names the source in the log.
    pub(super) source: String,
    clock: Arc<dyn Clock>,
    created: Instant,
    /// The state's keys. Written under the lock.
    published: ArcSwapOption<Snapshot>,
    /// The state's `wake_at`, in milliseconds after `created`. Written under the lock.
    wake_at: AtomicU64,
    locked: Mutex<Locked>,
}

struct Locked {
    state: State,
    /// Closed when the fetch in flight is complete.
    ended: Option<watch::Receiver<()>>,
}

/// What a request for a key leads to: a [`Step`] that can be carried out.
pub(super) enum Decision {
    /// See [`Step`].
    Step(Step),
    /// Wait until the channel closes, then look again.
    Wait(watch::Receiver<()>),
}

/// A fetch that has been decided on. Dropping it ends it, whatever happens to the task that should run it.
pub(super) struct InFlight {
    pub(super) shared: Arc<Shared>,
    pub(super) fetch: Fetch,
    /// Unless it is set, the fetch has been cut off.
    pub(super) outcome: Option<Result<Loaded, FetchError>>,
    /// Dropped last, so that waiting requests find the fetch complete.
    _ended: watch::Sender<()>,
}

impl Shared {
    pub(super) fn new(
        fetch: FetchFunction,
        settings: Settings,
        source: String,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Self {
        let created = clock.instant();
        let state = State::new(settings.limits.clone(), seed, created);
        Self {
            fetch,
            settings,
            source,
            clock,
            created,
            published: ArcSwapOption::empty(),
            wake_at: AtomicU64::new(u64::MAX),
            locked: Mutex::new(Locked { state, ended: None }),
        }
    }

    /// Looks into the keys without the lock. `wake` is called if [`State::wake`] has something to do.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Snapshot) -> T, wake: impl FnOnce()) -> Option<T> {
        let now = self.clock.instant();
        if self.since_created(now) >= self.wake_at.load(Ordering::Relaxed) {
            wake();
        }
        let stale_if_error = self.settings.limits.stale_if_error;
        let snapshot = self.published.load();
        snapshot.as_ref().filter(|snapshot| snapshot.is_usable(now, stale_if_error)).map(|snapshot| look(snapshot))
    }

    /// Asks the state, and returns the fetch that must be run now, if any.
    pub(super) fn decide(
        self: &Arc<Self>,
        ask: impl FnOnce(&mut State, Instant) -> Step,
    ) -> (Decision, Option<InFlight>) {
        let now = self.clock.instant();
        let mut started = None;
        let (step, ended) = {
            let mut locked = self.lock();
            let step = ask(&mut locked.state, now);
            if let Step::Start(_) = step {
                started = Some(locked.new_channel());
            }
            self.publish_wake_at(&locked.state);
            (step, locked.ended.clone())
        };
        match (step, started, ended) {
            (Step::Start(fetch), Some((sender, _previous)), Some(ended)) => {
                (Decision::Wait(ended), Some(self.in_flight(fetch, sender)))
            }
            (Step::Join, _, Some(ended)) => (Decision::Wait(ended), None),
            (step, _, _) => (Decision::Step(step), None),
        }
    }

    /// Asks the state for a fetch that no request waits for.
    pub(super) fn decide_in_background(
        self: &Arc<Self>,
        ask: impl FnOnce(&mut State, Instant) -> Option<Fetch>,
    ) -> Option<InFlight> {
        let now = self.clock.instant();
        let started = {
            let mut locked = self.lock();
            let fetch = ask(&mut locked.state, now);
            self.publish_wake_at(&locked.state);
            fetch.map(|fetch| (fetch, locked.new_channel()))
        };
        started.map(|(fetch, (sender, _previous))| self.in_flight(fetch, sender))
    }

    /// Reads what is known.
    pub(super) fn inspect<T>(&self, inspect: impl FnOnce(&State, Instant) -> T) -> T {
        let now = self.clock.instant();
        inspect(&self.lock().state, now)
    }

    /// Changes what is known. The keys that this replaces are dropped without the lock.
    pub(super) fn change(&self, change: impl FnOnce(&mut State, Instant)) {
        let now = self.clock.instant();
        let _replaced = {
            let mut locked = self.lock();
            change(&mut locked.state, now);
            self.publish_wake_at(&locked.state);
            // The state held the same keys as this, so the last reference to them is here.
            self.published.swap(locked.state.current().cloned())
        };
    }

    fn in_flight(self: &Arc<Self>, fetch: Fetch, ended: watch::Sender<()>) -> InFlight {
        InFlight { shared: self.clone(), fetch, outcome: None, _ended: ended }
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
        // The state does not panic.
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish_wake_at(&self, state: &State) {
        let wake_at = state.wake_at().map_or(u64::MAX, |wake_at| self.since_created(wake_at));
        self.wake_at.store(wake_at, Ordering::Relaxed);
    }

    fn since_created(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.created).as_millis().try_into().unwrap_or(u64::MAX)
    }
}

impl Locked {
    /// A channel for a new fetch, and that of the previous one, to be dropped without the lock.
    fn new_channel(&mut self) -> (watch::Sender<()>, Option<watch::Receiver<()>>) {
        let (sender, receiver) = watch::channel(());
        (sender, self.ended.replace(receiver))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let outcome =
            self.outcome.take().unwrap_or_else(|| Err(FetchError::Connection("the fetch was cut off".to_owned())));
        // Keeps the keys until the lock is released, even if the state does not.
        let summary = outcome.as_ref().map(|loaded| loaded.keys.clone()).map_err(Clone::clone);
        self.shared.change(|state, now| match outcome {
            Ok(loaded) => state.succeeded(&self.fetch, loaded, now),
            Err(error) => state.failed(self.fetch.id, error, now),
        });
        log(&self.shared.source, summary);
    }
}

fn log(source: &str, outcome: Result<Arc<KeySet>, FetchError>) {
    #[cfg(feature = "tracing")]
    match outcome {
        Ok(keys) => {
            tracing::debug!(jwks = source, keys = keys.len(), "keys fetched");
            keys.rejected().iter().for_each(|rejected| tracing::warn!(jwks = source, "{rejected}"));
        }
        Err(error) => tracing::warn!(jwks = source, "cannot fetch keys: {error}"),
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (source, outcome);
}

#[cfg(test)]
#[cfg(all(feature = "tracing", not(shuttle)))]
mod tests;
