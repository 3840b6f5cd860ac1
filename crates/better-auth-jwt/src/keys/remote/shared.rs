//! What all clones of a key set share: the state behind a lock, and the keys, which are read without it.
//!
//! Nothing runs under the lock but [`State`]: the clock is read before, and fetches are spawned, keys dropped and log
//! lines written after it is released.

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

    /// Looks into the keys without the lock. `wake` is called if [`State::wake`] has something to do.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Snapshot) -> T, wake: impl FnOnce()) -> Option<T> {
        let now = self.clock.instant();
        if self.since_created(now) >= self.wake_at.load(Ordering::Relaxed) {
            wake();
        }
        let stale_if_error = self.settings.stale_if_error;
        let snapshot = self.published.load();
        snapshot.as_ref().filter(|snapshot| snapshot.is_usable(now, stale_if_error)).map(|snapshot| look(snapshot))
    }

    /// Asks the state what to do, or what is known.
    pub(super) fn ask<T>(&self, ask: impl FnOnce(&mut State, Instant) -> T) -> T {
        let now = self.clock.instant();
        // The state does not panic.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let response = ask(&mut state, now);
        let wake_at = state.wake_at().map_or(u64::MAX, |wake_at| self.since_created(wake_at));
        self.wake_at.store(wake_at, Ordering::Relaxed);
        response
    }

    /// Changes the keys. Those that this replaces are dropped without the lock.
    pub(super) fn change(&self, change: impl FnOnce(&mut State, Instant)) {
        let _replaced = self.ask(|state, now| {
            change(state, now);
            // The state held the same keys as this, so the last reference to them is here.
            self.published.swap(state.current().cloned())
        });
    }

    fn since_created(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.created).as_millis().try_into().unwrap_or(u64::MAX)
    }
}
