//! The settings of a key set.

use std::time::Duration;

use crate::{algorithm::Algorithm, error::ConfigError};

/// Longer durations are reduced to this one, because adding them to an `Instant` could overflow.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Shorter durations are raised to this one. Otherwise keys would be fetched without a pause.
const MIN_DURATION: Duration = Duration::from_millis(10);

/// How much longer than a fetch may take a request waits for it, in case the fetch's runtime is blocked.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) default_max_age: Duration,
    pub(super) min_max_age: Duration,
    pub(super) max_max_age: Duration,
    pub(super) timeout: Duration,
    pub(super) max_body_size: usize,
    pub(super) default_rsa_algorithm: Option<Algorithm>,
    /// How long a set is used after the last successful fetch.
    pub(super) stale_if_error: Duration,
    /// How many searches may directly follow each other.
    pub(super) search_burst: u32,
    /// The interval between searches after the burst. Missing keys are cached for the same time.
    pub(super) search_interval: Duration,
    pub(super) initial_backoff: Duration,
    pub(super) max_backoff: Duration,
}

impl Settings {
    /// Checks the settings, and limits durations.
    pub(super) fn validate(mut self) -> Result<Self, ConfigError> {
        if let Some(algorithm) = self.default_rsa_algorithm.filter(|algorithm| !algorithm.is_rsa()) {
            return Err(ConfigError::new(format!("{algorithm} is not an RSA algorithm")));
        }
        let invalid = |what: &str| Err(ConfigError::new(format!("the JWKS settings are invalid: {what}")));
        if self.timeout.is_zero() {
            return invalid("the timeout is zero");
        }
        if self.max_body_size == 0 {
            return invalid("the maximum document size is zero");
        }
        if self.search_burst == 0 {
            return invalid("the burst of the refetch limit is zero");
        }
        if self.min_max_age > self.max_max_age || self.initial_backoff > self.max_backoff {
            return invalid("a lower bound is above its upper bound");
        }
        for time in [
            &mut self.default_max_age,
            &mut self.min_max_age,
            &mut self.max_max_age,
            &mut self.search_interval,
            &mut self.initial_backoff,
            &mut self.max_backoff,
        ] {
            *time = (*time).clamp(MIN_DURATION, MAX_DURATION);
        }
        self.stale_if_error = self.stale_if_error.min(MAX_DURATION);
        self.timeout = self.timeout.min(MAX_DURATION);
        // The duration of a whole burst must not overflow an `Instant` either.
        self.search_burst = self.search_burst.min(10);
        Ok(self)
    }

    /// How long a request waits for one fetch. After this time, a fetch that has not finished counts as lost.
    pub(super) fn max_wait(&self) -> Duration {
        self.timeout + GRACE
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_max_age: Duration::from_secs(600),
            min_max_age: Duration::from_secs(60),
            max_max_age: Duration::from_secs(24 * 3600),
            timeout: Duration::from_secs(5),
            max_body_size: 256 * 1024,
            default_rsa_algorithm: None,
            stale_if_error: Duration::from_secs(24 * 3600),
            search_burst: 3,
            search_interval: Duration::from_secs(10),
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_more_than_ten_years_are_reduced_to_ten_years() {
        let settings = Settings { default_max_age: Duration::MAX, ..Settings::default() }.validate().unwrap();
        assert_eq!(settings.default_max_age.as_secs(), 315_360_000);
    }
}
