//! The settings of a key set.

use std::time::Duration;

use crate::{algorithm::Algorithm, error::ConfigError};

/// Longer times mean "always", and could not be added to a point in time.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// With shorter times, down to zero, the issuer would be asked without a pause.
const SHORTEST: Duration = Duration::from_millis(10);

/// How much longer than a fetch may take a request waits for it. It matters only if nothing drives the fetch.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) limits: Limits,
    pub(super) default_max_age: Duration,
    pub(super) min_max_age: Duration,
    pub(super) max_max_age: Duration,
    pub(super) timeout: Duration,
    pub(super) max_body_size: usize,
    pub(super) default_rsa_algorithm: Option<Algorithm>,
}

/// The settings that decide when to fetch.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// For how long after the last success a set is used.
    pub(super) stale_if_error: Duration,
    /// How many searches may follow each other at once.
    pub(super) search_burst: u32,
    /// How often there may be another search after that, and for how long a missing key is cached.
    pub(super) search_interval: Duration,
    pub(super) initial_backoff: Duration,
    pub(super) max_backoff: Duration,
    /// When a fetch that is not complete counts as lost.
    pub(super) lost_after: Duration,
}

impl Settings {
    /// The settings within their limits.
    pub(super) fn checked(mut self) -> Result<Self, ConfigError> {
        if let Some(algorithm) = self.default_rsa_algorithm.filter(|algorithm| !algorithm.is_rsa()) {
            return Err(ConfigError::new(format!("{algorithm} is not an RSA algorithm")));
        }
        let wrong = |what: &str| Err(ConfigError::new(format!("the JWKS settings are invalid: {what}")));
        if self.timeout.is_zero() {
            return wrong("the time-out is zero");
        }
        if self.max_body_size == 0 {
            return wrong("the largest document is zero bytes");
        }
        if self.limits.search_burst == 0 {
            return wrong("the burst of the refetch limit is zero");
        }
        if self.min_max_age > self.max_max_age || self.limits.initial_backoff > self.limits.max_backoff {
            return wrong("a lower bound is above its upper bound");
        }
        for time in [
            &mut self.default_max_age,
            &mut self.min_max_age,
            &mut self.max_max_age,
            &mut self.limits.search_interval,
            &mut self.limits.initial_backoff,
            &mut self.limits.max_backoff,
        ] {
            *time = (*time).clamp(SHORTEST, FOR_EVER);
        }
        self.limits.stale_if_error = self.limits.stale_if_error.min(FOR_EVER);
        self.timeout = self.timeout.min(FOR_EVER);
        self.limits.lost_after = self.longest_wait();
        // So that the whole burst, too, is a time that can be added to a point in time.
        self.limits.search_burst = self.limits.search_burst.min(10);
        Ok(self)
    }

    /// How long a request waits for one fetch.
    pub(super) fn longest_wait(&self) -> Duration {
        self.timeout + GRACE
    }
}

impl Default for Settings {
    fn default() -> Self {
        let limits = Limits {
            stale_if_error: Duration::from_secs(24 * 3600),
            search_burst: 3,
            search_interval: Duration::from_secs(10),
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
            lost_after: Duration::ZERO, // follows from the time-out
        };
        Self {
            limits,
            default_max_age: Duration::from_secs(600),
            min_max_age: Duration::from_secs(60),
            max_max_age: Duration::from_secs(24 * 3600),
            timeout: Duration::from_secs(5),
            max_body_size: 256 * 1024,
            default_rsa_algorithm: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_ten_years_count_as_ten_years() {
        let settings = Settings { default_max_age: Duration::MAX, ..Settings::default() }.checked().unwrap();
        assert_eq!(settings.default_max_age.as_secs(), 315_360_000);
    }
}
