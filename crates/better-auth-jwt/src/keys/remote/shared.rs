//! The data that all clones of a key set share: the state behind a lock, and the keys, which are read without it.
//!
//! Only methods of [`State`] run under the lock. The clock is read before; fetches are spawned, keys dropped and events
//! logged after it is released.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwapOption;

use super::{response::FetchFunction, settings::Settings, snapshot::Snapshot, state::State, sync::Mutex};
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
    state: Mutex<State>,
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
        let state = State::new(settings.clone(), seed, created);
        Self {
            fetch,
            settings,
            source,
            clock,
            created,
            published: ArcSwapOption::empty(),
            wake_at: AtomicU64::new(u64::MAX),
            state: Mutex::new(state),
        }
    }

    /// Reads the keys without the lock. Calls `wake` if [`State::wake`] is due.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Snapshot) -> T, wake: impl FnOnce()) -> Option<T> {
        let now = self.clock.instant();
        if self.since_created(now) >= self.wake_at.load(Ordering::Relaxed) {
            wake();
        }
        let stale_if_error = self.settings.stale_if_error;
        let snapshot = self.published.load();
        snapshot.as_ref().filter(|snapshot| snapshot.is_usable(now, stale_if_error)).map(|snapshot| read(snapshot))
    }

    /// Applies a transition of the state, or reads it.
    pub(super) fn with_state<T>(&self, transition: impl FnOnce(&mut State, Instant) -> T) -> T {
        let now = self.clock.instant();
        // The methods of `State` do not panic.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = transition(&mut state, now);
        let wake_at = state.wake_at().map_or(u64::MAX, |wake_at| self.since_created(wake_at));
        self.wake_at.store(wake_at, Ordering::Relaxed);
        result
    }

    /// Changes the keys. Those that are replaced are dropped after the lock is released.
    pub(super) fn change(&self, change: impl FnOnce(&mut State, Instant)) {
        let _replaced = self.with_state(|state, now| {
            change(state, now);
            // This refers to the same keys as the state did, so they are not dropped under the lock.
            self.published.swap(state.current().cloned())
        });
    }

    fn since_created(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.created).as_millis().try_into().unwrap_or(u64::MAX)
    }
}
