//! Clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A clock. Provide your own to control the time in tests.
pub trait Clock: Send + Sync + 'static {
    /// The time in Unix seconds, for `exp`, `nbf` and `iat`.
    fn unix_time(&self) -> u64;

    /// The time of a monotonic clock, for the age of keys.
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_time(&self) -> u64 {
        // A clock before 1970 is broken: all tokens are then expired.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(u64::MAX / 2, |time| time.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_returns_the_system_time() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!((before..before + 60).contains(&SystemClock.unix_time()));
    }
}
