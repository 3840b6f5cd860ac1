//! The data that all clones of a key set share: the state behind a lock, and the keys, which are read without it.
//!
//! Only methods of [`State`] run under the lock. The clock is read before; fetches are spawned, futures dropped and events
//! logged after it is released.

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
    completed: Option<watch::Receiver<()>>,
}

/// The next step of a request that needs a key.
pub(super) enum Decision {
    /// A step other than [`Step::Start`] and [`Step::Join`].
    Step(Step),
    /// Wait until the channel closes, then look the key up again.
    Wait(watch::Receiver<()>),
}

/// A fetch to run. Dropping it reports its outcome to the state, also if its task was cancelled.
pub(super) struct InFlight {
    pub(super) shared: Arc<Shared>,
    pub(super) fetch: Fetch,
    /// `None` if the fetch was cancelled.
    pub(super) outcome: Option<Result<Loaded, FetchError>>,
    /// Dropped last, so that waiting requests find the fetch complete.
    _completed: watch::Sender<()>,
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
            locked: Mutex::new(Locked { state, completed: None }),
        }
    }

    /// Reads the keys without the lock. Calls `wake` if [`State::wake`] is due.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Snapshot) -> T, wake: impl FnOnce()) -> Option<T> {
        let now = self.clock.instant();
        if self.since_created(now) >= self.wake_at.load(Ordering::Relaxed) {
            wake();
        }
        let stale_if_error = self.settings.limits.stale_if_error;
        let snapshot = self.published.load();
        snapshot.as_ref().filter(|snapshot| snapshot.is_usable(now, stale_if_error)).map(|snapshot| read(snapshot))
    }

    /// Applies a transition of the state. Also returns the fetch that must be run now, if any.
    pub(super) fn decide(
        self: &Arc<Self>,
        transition: impl FnOnce(&mut State, Instant) -> Step,
    ) -> (Decision, Option<InFlight>) {
        let now = self.clock.instant();
        let mut started = None;
        let (step, completed) = {
            let mut locked = self.lock();
            let step = transition(&mut locked.state, now);
            if let Step::Start(_) = step {
                started = Some(locked.new_channel());
            }
            self.publish_wake_at(&locked.state);
            (step, locked.completed.clone())
        };
        match (step, started, completed) {
            (Step::Start(fetch), Some((sender, _previous)), Some(completed)) => {
                (Decision::Wait(completed), Some(self.in_flight(fetch, sender)))
            }
            (Step::Join, _, Some(completed)) => (Decision::Wait(completed), None),
            (step, _, _) => (Decision::Step(step), None),
        }
    }

    /// Applies a transition that may start a fetch for which no request waits.
    pub(super) fn decide_in_background(
        self: &Arc<Self>,
        transition: impl FnOnce(&mut State, Instant) -> Option<Fetch>,
    ) -> Option<InFlight> {
        let now = self.clock.instant();
        let started = {
            let mut locked = self.lock();
            let fetch = transition(&mut locked.state, now);
            self.publish_wake_at(&locked.state);
            fetch.map(|fetch| (fetch, locked.new_channel()))
        };
        started.map(|(fetch, (sender, _previous))| self.in_flight(fetch, sender))
    }

    /// Reads the state.
    pub(super) fn inspect<T>(&self, inspect: impl FnOnce(&State, Instant) -> T) -> T {
        let now = self.clock.instant();
        inspect(&self.lock().state, now)
    }

    /// Changes the state. Keys that are replaced are dropped after the lock is released.
    pub(super) fn change(&self, change: impl FnOnce(&mut State, Instant)) {
        let now = self.clock.instant();
        let _replaced = {
            let mut locked = self.lock();
            change(&mut locked.state, now);
            self.publish_wake_at(&locked.state);
            // This refers to the same keys as the state did, so they are not dropped under the lock.
            self.published.swap(locked.state.current().cloned())
        };
    }

    fn in_flight(self: &Arc<Self>, fetch: Fetch, completed: watch::Sender<()>) -> InFlight {
        InFlight { shared: self.clone(), fetch, outcome: None, _completed: completed }
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
        // The methods of `State` do not panic.
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
    /// Creates a channel for a new fetch. Also returns the previous one, to be dropped after the lock is released.
    fn new_channel(&mut self) -> (watch::Sender<()>, Option<watch::Receiver<()>>) {
        let (sender, receiver) = watch::channel(());
        (sender, self.completed.replace(receiver))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let outcome =
            self.outcome.take().unwrap_or_else(|| Err(FetchError::Connection("the fetch was cancelled".to_owned())));
        // Keeps the keys alive until the lock is released, even if the state discards them.
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
