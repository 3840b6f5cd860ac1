//! The settings of an exchange.

use std::time::Duration;

use crate::error::ConfigError;

/// Longer durations are reduced to this one, because adding them to an `Instant` could overflow.
const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) timeout: Duration,
    pub(super) cache_time: Duration,
    pub(super) cache_size: usize,
    pub(super) rejection_cache_time: Duration,
    /// How many new sessions may be exchanged in a row, and then the interval between them.
    pub(super) new_session_burst: u32,
    pub(super) new_session_interval: Duration,
    pub(super) max_concurrent: usize,
}

impl Settings {
    /// Checks the settings, and limits durations.
    pub(super) fn validate(mut self) -> Result<Self, ConfigError> {
        for (is_zero, what) in [
            (self.timeout.is_zero(), "the timeout"),
            (self.new_session_burst == 0, "the burst of the limit for new sessions"),
            (self.max_concurrent == 0, "the maximum number of concurrent exchanges"),
        ] {
            if is_zero {
                return Err(ConfigError::new(format!(
                    "the settings of the session exchange are invalid: {what} is zero"
                )));
            }
        }
        for time in
            [&mut self.timeout, &mut self.cache_time, &mut self.rejection_cache_time, &mut self.new_session_interval]
        {
            *time = (*time).min(MAX_DURATION);
        }
        // The duration of a whole burst must not overflow an `Instant` either.
        self.new_session_burst = self.new_session_burst.min(10_000);
        Ok(self)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            cache_time: Duration::from_secs(60),
            cache_size: 16 * 1024 * 1024,
            rejection_cache_time: Duration::from_secs(5),
            new_session_burst: 100,
            new_session_interval: Duration::from_millis(20),
            max_concurrent: 64,
        }
    }
}
