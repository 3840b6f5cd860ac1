//! A rate limit with a burst.

use std::time::{Duration, Instant};

/// Allows a burst, then one use per interval (the generic cell rate algorithm).
pub(crate) struct RateLimit {
    interval: Duration,
    /// A use is allowed if [`full_at`](Self::full_at) is at most this far in the future.
    tolerance: Duration,
    /// When the whole burst is available again. Each use adds an interval.
    full_at: Instant,
}

impl RateLimit {
    pub(crate) fn new(burst: u32, interval: Duration, now: Instant) -> Self {
        Self { interval, tolerance: interval.saturating_mul(burst.saturating_sub(1)), full_at: now }
    }

    /// Takes a use, or returns the time until the next one is allowed.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let ahead = self.full_at.saturating_duration_since(now);
        if ahead > self.tolerance {
            return Err(ahead - self.tolerance);
        }
        self.full_at = self.full_at.max(now) + self.interval;
        Ok(())
    }

    /// Takes a use if the whole burst is available.
    pub(crate) fn take_if_full(&mut self, now: Instant) -> bool {
        self.full_at <= now && self.take(now).is_ok()
    }

    /// Returns a use that was taken.
    pub(crate) fn refund(&mut self, now: Instant) {
        self.full_at = self.full_at.checked_sub(self.interval).unwrap_or(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_burst_one_use_per_interval_is_allowed() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut limit = RateLimit::new(3, 10 * second, start);
        for _ in 0..3 {
            assert_eq!(limit.take(start), Ok(()));
        }
        assert_eq!(limit.take(start), Err(10 * second));
        assert_eq!(limit.take(start + 9 * second), Err(second));
        assert_eq!(limit.take(start + 10 * second), Ok(()));
        assert_eq!(limit.take(start + 10 * second), Err(10 * second));
        let taken = (0..10_000u32).filter(|n| limit.take(start + 10 * second + *n * second / 10).is_ok()).count();
        assert_eq!(taken, 99, "1000 s, without the first");
    }

    #[test]
    fn a_refunded_use_can_be_taken_again() {
        let start = Instant::now();
        let mut limit = RateLimit::new(1, Duration::from_secs(10), start);
        assert_eq!(limit.take(start), Ok(()));
        assert!(limit.take(start).is_err());
        limit.refund(start);
        assert!(limit.take_if_full(start));
        assert!(!limit.take_if_full(start));
    }
}
