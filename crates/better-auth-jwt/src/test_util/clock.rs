//! A clock to turn.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::clock::{Clock, SystemClock};

/// A clock that stands still, at the time it was made, until it is turned.
#[derive(Debug)]
pub struct TestClock {
    unix_time: u64,
    instant: Instant,
    turned_millis: AtomicU64,
}

impl TestClock {
    /// A clock that shows the present.
    #[expect(clippy::new_without_default, reason = "two clocks made one after the other differ")]
    pub fn new() -> Self {
        Self { unix_time: SystemClock.unix_time(), instant: Instant::now(), turned_millis: AtomicU64::new(0) }
    }

    /// Turns the clock forward.
    pub fn advance(&self, by: Duration) {
        self.turned_millis.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }

    fn turned(&self) -> Duration {
        Duration::from_millis(self.turned_millis.load(Ordering::Relaxed))
    }
}

impl Clock for TestClock {
    fn unix_time(&self) -> u64 {
        self.unix_time + self.turned().as_secs()
    }

    fn instant(&self) -> Instant {
        self.instant + self.turned()
    }
}
