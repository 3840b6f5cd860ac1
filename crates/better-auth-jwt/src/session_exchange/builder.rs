//! The builder of an exchange.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use aws_lc_rs::{hmac, rand::SystemRandom};

use super::{
    SessionExchange,
    credential::{Credentials, SessionCookie},
    origins::Origins,
    request::request_function,
    settings::Settings,
    shared::Shared,
};
use crate::{
    better_auth_urls::BetterAuthUrls,
    clock::{Clock, SystemClock},
    error::ConfigError,
    http_endpoint::{HttpEndpoint, HttpSettings},
};

/// Better Auth's default name of the session cookie, without the prefix `__Secure-`.
const COOKIE_NAME: &str = "better-auth.session_token";

/// Configures a [`SessionExchange`].
///
/// Durations of more than a year are reduced to a year.
#[must_use = "call `build` to get a `SessionExchange`"]
pub struct SessionExchangeBuilder {
    url: String,
    token_url: Option<String>,
    bearer: bool,
    origins: Option<Vec<String>>,
    cookie_name: Cow<'static, str>,
    http: HttpSettings,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

impl SessionExchangeBuilder {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            token_url: None,
            bearer: false,
            origins: None,
            cookie_name: Cow::Borrowed(COOKIE_NAME),
            http: HttpSettings::default(),
            settings: Settings::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Accepts session tokens in `Authorization: Bearer`, or wherever the layer's
    /// [`token_source`](crate::JwtAuthLayer::token_source) finds tokens. Better Auth needs its `bearer()` plugin.
    ///
    /// Both forms are accepted: the token in the response to a sign-in, and that of the `set-auth-token` header.
    pub fn bearer(mut self) -> Self {
        self.bearer = true;
        self
    }

    /// Accepts Better Auth's session cookie in requests without a bearer token, from these origins: scheme, host and port,
    /// such as `https://app.example.com` or `http://localhost:3000`.
    ///
    /// Browsers attach the cookie to requests of other sites too, so the request's `Origin` must be in this list:
    /// otherwise the response is 403. Without `Origin`, which browsers omit in `GET` requests of the same origin, only
    /// `GET` and `HEAD` are accepted, and not if `Sec-Fetch-Site` is `cross-site`; `same-site` is accepted. So a `GET`
    /// request must not change anything. Two session cookies of the same name with different values are rejected with 400.
    ///
    /// The browser sends the cookie only to a service on the same host, or on another subdomain if Better Auth's
    /// `crossSubDomainCookies` is enabled. For requests between origins, your CORS layer must allow credentials.
    pub fn cookies<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Self {
        self.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// The name of the session cookie, if Better Auth's `cookiePrefix` or `cookies.session_token.name` is set.
    /// `better-auth.session_token` by default. The same name with the prefix `__Secure-` is accepted too.
    pub fn cookie_name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.cookie_name = name.into();
        self
    }

    /// Exchanges sessions at this URL, instead of the one derived from the base URL.
    pub fn token_url(mut self, url: impl Into<String>) -> Self {
        self.token_url = Some(url.into());
        self
    }

    /// Allows plain `http` to other machines, for example inside a container network. Anyone who can read the requests
    /// can then use the sessions.
    ///
    /// Plain `http` never goes through a proxy, whatever the environment contains, unless you set [`client`](Self::client).
    pub fn allow_http(mut self) -> Self {
        self.http.allow_http = true;
        self
    }

    /// Adds a header to each request, for example for a gateway in front of the issuer. Its value is not logged.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.http.headers.push((name.into(), value.into()));
        self
    }

    /// Trusts the root certificates in this PEM file content, one or several, in addition to the system's.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http.root_certificates.push(pem.into());
        self
    }

    /// Uses this HTTP client, with its proxies, certificates and name resolution, instead of creating one.
    ///
    /// It should not follow redirects; if it follows one, the exchange fails. Plain `http` requires
    /// [`allow_http`](Self::allow_http), because the client may send it through a proxy.
    pub fn client(mut self, client: reqwest::Client) -> Self {
        self.http.client = Some(client);
        self
    }

    /// How long the JWT of a session is used. 60 seconds by default; never beyond the JWT's `exp`.
    ///
    /// It is also how long a session that has ended is accepted, unless
    /// [`JwtAuthLayer::sessions`](crate::JwtAuthLayer::sessions) rejects it.
    pub fn cache_time(mut self, time: Duration) -> Self {
        self.settings.cache_time = time;
        self
    }

    /// The maximum size of the cache of JWTs, in bytes. 16 MiB by default, which is enough for about 10,000 sessions.
    pub fn cache_size(mut self, bytes: usize) -> Self {
        self.settings.cache_size = bytes;
        self
    }

    /// How long a session that the issuer did not accept is rejected without asking again. 5 seconds by default.
    ///
    /// Better Auth also responds with 401 while its database is unavailable, so keep it short.
    pub fn rejection_cache_time(mut self, time: Duration) -> Self {
        self.settings.rejection_cache_time = time;
        self
    }

    /// How often sessions may be exchanged that have not been exchanged before: up to `burst` in a row, then one per
    /// `interval`. 100 and 20 ms by default, which is 50 per second.
    ///
    /// Beyond that, the response is 503. Sessions in the cache are exempt, also when their JWT is outdated, so many requests
    /// with made-up sessions do not affect users who are active. A burst above 10,000 is reduced to 10,000.
    pub fn new_session_limit(mut self, burst: u32, interval: Duration) -> Self {
        (self.settings.new_session_burst, self.settings.new_session_interval) = (burst, interval);
        self
    }

    /// How many exchanges may run at the same time. 64 by default. Beyond that, the response is 503. Sessions that are not
    /// in the cache are exchanged only while less than half of them run.
    pub fn max_concurrent(mut self, exchanges: usize) -> Self {
        self.settings.max_concurrent = exchanges;
        self
    }

    /// The total time that one exchange may take. 5 seconds by default.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.settings.timeout = time;
        self
    }

    /// Uses this clock instead of the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the exchange. No request is sent yet.
    ///
    /// # Errors
    ///
    /// Neither [`bearer`](Self::bearer) nor [`cookies`](Self::cookies) was called; the list of origins is empty; a URL or an
    /// origin is invalid; a URL is plain `http` to another machine; the HTTP client cannot be created; a root certificate is
    /// invalid, or was set together with [`client`](Self::client); a header is invalid, or is `Authorization` or `Cookie`; or
    /// the timeout or a limit is zero.
    pub fn build(self) -> Result<SessionExchange, ConfigError> {
        let settings = self.settings.validate()?;
        if !self.bearer && self.origins.is_none() {
            return Err(ConfigError::new("the session exchange accepts neither session tokens nor cookies"));
        }
        let is_reserved = |name: &str| ["authorization", "cookie"].iter().any(|other| name.eq_ignore_ascii_case(other));
        if let Some((name, _)) = self.http.headers.iter().find(|(name, _)| is_reserved(name)) {
            return Err(ConfigError::new(format!(
                "the header {name:?} cannot be set for the session exchange: it is reserved for the session"
            )));
        }
        let cookie = match self.origins {
            Some(origins) => Some(SessionCookie::new(&self.cookie_name, Origins::new(origins)?)),
            None => None,
        };
        let token_url = match self.token_url {
            Some(url) => url,
            None => BetterAuthUrls::new(&self.url)?.token_url(),
        };
        let endpoint = HttpEndpoint::new("token URL", &token_url, self.http)?;
        #[cfg(feature = "tracing")]
        tracing::info!(
            url = endpoint.name(),
            bearer = self.bearer,
            cookies = cookie.is_some(),
            "session exchange created"
        );
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| ConfigError::new("the system has no random numbers for the session exchange"))?;
        Ok(SessionExchange {
            credentials: Credentials { bearer: self.bearer, cookie },
            shared: Arc::new(Shared::new(request_function(endpoint), settings, self.clock, key)),
        })
    }
}

impl fmt::Debug for SessionExchangeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionExchangeBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
