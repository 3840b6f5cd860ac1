//! The builder of a key set.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

#[cfg(feature = "jwks-reqwest")]
use super::http::fetch_function;
use super::{RemoteKeySet, response::FetchFunction, settings::Settings, shared::Shared};
#[cfg(feature = "jwks-reqwest")]
use crate::http_endpoint::{HttpEndpoint, HttpSettings};
use crate::{
    clock::{Clock, SystemClock},
    error::ConfigError,
    keys::Algorithm,
};

/// Configures a [`RemoteKeySet`]. The defaults suit Better Auth.
///
/// Durations of more than ten years are reduced to ten years. Durations that determine how often the keys are fetched
/// are raised to at least 10 ms.
#[must_use]
pub struct RemoteKeySetBuilder {
    source: Source,
    #[cfg(feature = "jwks-reqwest")]
    http: HttpSettings,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

pub(super) enum Source {
    #[cfg(feature = "jwks-reqwest")]
    Url(String),
    Function(FetchFunction),
}

impl RemoteKeySetBuilder {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            #[cfg(feature = "jwks-reqwest")]
            http: HttpSettings::default(),
            settings: Settings::default(),
            clock: Arc::new(SystemClock),
        }
    }

    #[cfg(feature = "jwks-reqwest")]
    pub(crate) fn url(mut self, url: String) -> Self {
        self.source = Source::Url(url);
        self
    }

    /// Allows plain `http` to other machines, for example inside a container network. Anyone who can respond in the
    /// endpoint's place can then forge tokens.
    ///
    /// Plain `http` never goes through a proxy, whatever the environment contains, unless you set [`client`](Self::client).
    #[cfg(feature = "jwks-reqwest")]
    pub fn allow_http(mut self) -> Self {
        self.http.allow_http = true;
        self
    }

    /// Adds a header to each request, for example for a gateway in front of the endpoint. Its value is not logged.
    #[cfg(feature = "jwks-reqwest")]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.http.headers.push((name.into(), value.into()));
        self
    }

    /// Trusts the root certificates in this PEM file content, one or several, in addition to the system's. Call it
    /// again to add another file.
    ///
    /// If the content is not valid PEM, [`build`](Self::build) returns an error. Plain `http` does not use
    /// certificates.
    #[cfg(feature = "jwks-reqwest")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http.root_certificates.push(pem.into());
        self
    }

    /// Uses this HTTP client, with its proxies, certificates and name resolution, instead of creating one.
    ///
    /// It should not follow redirects; if it follows one, the response is rejected. It may send plain `http` through a
    /// proxy, even for loopback addresses, so plain `http` requires [`allow_http`](Self::allow_http).
    #[cfg(feature = "jwks-reqwest")]
    pub fn client(mut self, client: reqwest::Client) -> Self {
        self.http.client = Some(client);
        self
    }

    /// How long a set is fresh if the response does not specify it. 10 minutes by default. The set is refreshed in the
    /// background after about 80 % of its freshness lifetime.
    pub fn default_max_age(mut self, age: Duration) -> Self {
        self.settings.default_max_age = age;
        self
    }

    /// Limits the issuer's `max-age` (less `Age`) to this range. 60 seconds to 24 hours by default.
    pub fn max_age_bounds(mut self, min: Duration, max: Duration) -> Self {
        (self.settings.min_max_age, self.settings.max_max_age) = (min, max);
        self
    }

    /// How long a set is used after the last successful fetch. 24 hours by default.
    pub fn stale_if_error(mut self, age: Duration) -> Self {
        self.settings.stale_if_error = age;
        self
    }

    /// How often the set may be fetched again for unknown `kid`s: up to `burst` times in a row, then once per
    /// `interval`. 3 and 10 seconds by default.
    ///
    /// When the limit is reached, tokens with unknown `kid`s get 503 with the time until the next fetch. A `kid` that a
    /// fetch did not return is not searched for again during one `interval`: its tokens get 401 at once.
    pub fn refetch_limit(mut self, burst: u32, interval: Duration) -> Self {
        (self.settings.search_burst, self.settings.search_interval) = (burst, interval);
        self
    }

    /// How long to wait after a failed fetch. Each further failure doubles the time. 1 to 60 seconds by default.
    /// `Retry-After` can extend it to at most 5 minutes.
    pub fn backoff(mut self, initial: Duration, max: Duration) -> Self {
        (self.settings.initial_backoff, self.settings.max_backoff) = (initial, max);
        self
    }

    /// The total time that one fetch may take. 5 seconds by default.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.settings.timeout = time;
        self
    }

    /// The maximum size of a document, in bytes. 256 KiB by default.
    pub fn max_body_size(mut self, bytes: usize) -> Self {
        self.settings.max_body_size = bytes;
        self
    }

    /// The algorithm of RSA keys whose JWK has no `alg`. By default such keys are not used.
    pub fn default_rsa_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.settings.default_rsa_algorithm = Some(algorithm);
        self
    }

    /// Uses this clock instead of the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the key set. Nothing is fetched yet.
    ///
    /// For an `https` URL this reads the system's root certificates from disk, which blocks for some 100 ms in debug
    /// builds. Build the key set once, at start-up, before other work that must not be delayed.
    ///
    /// # Errors
    ///
    /// The URL is invalid, has credentials, or is plain `http` to another machine; the HTTP client cannot be created,
    /// for example because an `https` URL needs root certificates and there are none; a limit is zero; bounds are in
    /// the wrong order; the default RSA algorithm is not an RSA algorithm; or HTTP settings are combined with a fetch
    /// function.
    pub fn build(self) -> Result<RemoteKeySet, ConfigError> {
        let settings = self.settings.validate()?;
        let (fetch, source) = match self.source {
            #[cfg(feature = "jwks-reqwest")]
            Source::Function(_) if self.http.is_set() => {
                return Err(ConfigError::new("HTTP settings cannot be combined with a function that fetches the JWKS"));
            }
            Source::Function(fetch) => (fetch, "fetch function".to_owned()),
            #[cfg(feature = "jwks-reqwest")]
            Source::Url(url) => {
                let endpoint = HttpEndpoint::new("JWKS URL", &url, self.http)?;
                let name = endpoint.name().to_owned();
                (fetch_function(endpoint, settings.max_body_size), name)
            }
        };
        #[cfg(feature = "tracing")]
        tracing::info!(jwks = source, "remote key set created");
        // The standard library's hashers have random seeds. That is random enough for the jitter.
        let seed = RandomState::new().hash_one(0);
        let shared = Arc::new(Shared::new(fetch, settings, source, self.clock, seed));
        Ok(RemoteKeySet { shared })
    }
}

impl fmt::Debug for RemoteKeySetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeySetBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
