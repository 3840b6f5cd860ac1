//! The configuration of the app and the state that its requests share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{extract::FromRef, http::HeaderName, http::HeaderValue};
use better_auth_jwt::{SessionExchange, Verifier, keys::RemoteKeySet};

use crate::{
    database::{Database, DatabaseConfig},
    limits::LimitsConfig,
    metrics::Metrics,
    rate_limit::{RateLimit, RateLimitConfig},
    revocation::{RevocationConfig, Revocations},
};

/// The configuration of the app.
#[derive(Debug, Clone)]
pub struct AppConfig {
    /// Verifies access tokens.
    pub verifier: Verifier,
    /// The verifier's keys, for `/metrics`.
    pub keys: Option<RemoteKeySet>,
    /// Exchanges sessions for tokens, if sessions are accepted.
    pub session_exchange: Option<SessionExchange>,
    /// The database and its connections.
    pub database: DatabaseConfig,
    /// Revocation of sessions.
    pub revocation: RevocationConfig,
    /// Limits on concurrency, body size and time.
    pub limits: LimitsConfig,
    /// The per-user rate limit, if there is one.
    pub rate_limit: Option<RateLimitConfig>,
    /// Cross-origin requests from browsers.
    pub cors: CorsConfig,
    /// Whether probes, metrics and documentation are served by a separate listener.
    pub has_admin_listener: bool,
}

impl AppConfig {
    /// The default configuration with this verifier and database.
    #[must_use]
    pub fn new(verifier: Verifier, database: DatabaseConfig) -> Self {
        Self {
            revocation: RevocationConfig::new(&verifier),
            verifier,
            keys: None,
            session_exchange: None,
            database,
            limits: LimitsConfig::default(),
            rate_limit: None,
            cors: CorsConfig::default(),
            has_admin_listener: false,
        }
    }
}

/// Cross-origin requests from browsers.
#[derive(Debug, Clone, Default)]
pub struct CorsConfig {
    /// Allowed origins. If empty, CORS is disabled.
    pub origins: Vec<HeaderValue>,
    /// Request headers that pages may send in addition to those that the API reads.
    pub extra_headers: Vec<HeaderName>,
    /// Whether pages may send cookies.
    pub credentials: bool,
}

/// The state of the router. Clones share it.
#[derive(Clone)]
pub struct AppState {
    pub(crate) database: Database,
    pub(crate) verifier: Verifier,
    pub(crate) keys: Option<RemoteKeySet>,
    pub(crate) session_exchange: Option<SessionExchange>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) revocations: Revocations,
    pub(crate) rate_limit: Option<Arc<RateLimit>>,
    pub(crate) limits: LimitsConfig,
    pub(crate) cors: CorsConfig,
    pub(crate) has_admin_listener: bool,
    is_draining: Arc<AtomicBool>,
}

impl AppState {
    /// Connects to the database and loads the revocations.
    ///
    /// # Errors
    /// The database cannot be used, or does not match this configuration.
    pub async fn connect(config: AppConfig) -> anyhow::Result<Self> {
        let database = Database::connect(&config.database).await?;
        let revocations = Revocations::load(&database, config.revocation).await?;
        Ok(Self {
            database,
            verifier: config.verifier,
            keys: config.keys,
            session_exchange: config.session_exchange,
            metrics: Arc::new(Metrics::new()),
            revocations,
            rate_limit: config.rate_limit.map(|limit| Arc::new(RateLimit::new(limit))),
            limits: config.limits,
            cors: config.cors,
            has_admin_listener: config.has_admin_listener,
            is_draining: Arc::default(),
        })
    }

    /// From now on, `/readyz` responds with 503 and responses close their connection.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }
}

impl FromRef<Arc<AppState>> for Database {
    fn from_ref(state: &Arc<AppState>) -> Self {
        state.database.clone()
    }
}
