//! A clock for tests.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::clock::{Clock, SystemClock};

/// A manually advanced clock. It starts at the present time.
#[derive(Debug)]
pub struct TestClock {
    unix_time: u64,
    instant: Instant,
    advanced_millis: AtomicU64,
}

impl TestClock {
    /// Creates a clock that starts at the present time.
    #[expect(clippy::new_without_default, reason = "the clock depends on when it is created")]
    pub fn new() -> Self {
        Self { unix_time: SystemClock.unix_time(), instant: Instant::now(), advanced_millis: AtomicU64::new(0) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.advanced_millis.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }

    fn advanced(&self) -> Duration {
        Duration::from_millis(self.advanced_millis.load(Ordering::Relaxed))
    }
}

impl Clock for TestClock {
    fn unix_time(&self) -> u64 {
        self.unix_time + self.advanced().as_secs()
    }

    fn instant(&self) -> Instant {
        self.instant + self.advanced()
    }
}
