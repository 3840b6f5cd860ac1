//! What time it is, for claims and for caches.

use std::time::Instant;

/// A clock. Give the verifier your own to test what happens later without waiting for it.
pub trait Clock: Send + Sync + 'static {
    /// Seconds since 1970, for `exp`, `nbf` and `iat`.
    fn unix_time(&self) -> u64;

    /// A point on a clock that never runs backwards, for the age of keys.
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// The system's clock. On Linux it is read as of the kernel's last tick, some milliseconds ago at most.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_time(&self) -> u64 {
        // A clock before 1970 is broken. Then no token is current: better refused than accepted.
        seconds().unwrap_or(u64::MAX / 2)
    }
}

/// As of the last tick, a few milliseconds ago: to read the hardware's counter would take a tenth of what a token seen
/// before costs.
#[cfg(target_os = "linux")]
fn seconds() -> Option<u64> {
    use rustix::time::{ClockId, clock_gettime};

    clock_gettime(ClockId::RealtimeCoarse).tv_sec.try_into().ok()
}

#[cfg(not(target_os = "linux"))]
fn seconds() -> Option<u64> {
    use std::time::{SystemTime, UNIX_EPOCH};

    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_system_clock_is_that_of_the_standard_library() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        // A tick may be outstanding.
        assert!((before - 1..before + 60).contains(&SystemClock.unix_time()));
    }
}
