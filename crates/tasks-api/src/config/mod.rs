//! The configuration: flags and environment variables (`args`), parsed once into what the server uses.

mod args;
mod auth;
mod errors;
mod session_exchange;
mod values;

use std::{net::SocketAddr, time::Duration};

use better_auth_jwt::MissingSession;

use self::{
    args::{AuthArgs, HttpArgs, PoolArgs, RevocationArgs},
    errors::non_empty,
    session_exchange::SessionExchangeConfig,
    values::{
        address, boolean, count, duration_or_zero, header_names, log_format, max_staleness, origins, rate_limit,
        timeout,
    },
};
pub(crate) use self::{
    args::{DatabaseArgs, IssuerArgs, ListenArgs, LogArgs, ServerArgs},
    auth::{AuthConfig, Requires},
    errors::ConfigErrors,
    values::duration,
};
use crate::{
    database::{DatabaseConfig, url::DatabaseUrl},
    limits::LimitsConfig,
    log::LogFormat,
    rate_limit::RateLimitConfig,
    revocation::RevocationConfig,
    state::{AppConfig, CorsConfig},
};

/// The configuration of a server.
pub(crate) struct ServerConfig {
    pub(crate) auth: AuthConfig,
    pub(crate) database: DatabaseConfig,
    pub(crate) http: HttpConfig,
    pub(crate) log: LogFormat,
    session_exchange: Option<SessionExchangeConfig>,
    revocation_retention: Duration,
    revocation_max_staleness: Option<Duration>,
}

/// Where and how the server listens.
pub(crate) struct HttpConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: Option<SocketAddr>,
    pub(crate) keep_alive_timeout: Duration,
    pub(crate) drain_delay: Duration,
    pub(crate) shutdown_timeout: Duration,
    limits: LimitsConfig,
    rate_limit: Option<RateLimitConfig>,
    cors: CorsConfig,
}

impl ServerConfig {
    pub(crate) fn parse(args: &ServerArgs, requires: Requires) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let auth = AuthConfig::parse(&args.auth, requires, &mut errors);
        let database = database(&args.database, &args.pool, &mut errors);
        let mut http = HttpConfig::parse(&args.http, &mut errors);
        let session_exchange = SessionExchangeConfig::parse(&args.auth, &http.cors.origins, &mut errors);
        http.cors.credentials = session_exchange.as_ref().is_some_and(|exchange| exchange.cookie_origins.is_some());
        let RevocationArgs { revocation_retention, revocation_max_staleness } = &args.revocation;
        let retention = errors.parse("TASKS_API_REVOCATION_RETENTION", non_empty(revocation_retention), duration);
        let max_staleness =
            errors.parse("TASKS_API_REVOCATION_MAX_STALENESS", non_empty(revocation_max_staleness), max_staleness);
        let log = errors.parse("TASKS_API_LOG", non_empty(&args.log.log), log_format);
        let (acquire, statement) = (database.acquire_timeout, database.statement_timeout);
        if acquire + statement >= http.limits.request_timeout {
            errors.push(format!(
                "TASKS_API_REQUEST_TIMEOUT ({:?}) must be longer than TASKS_API_ACQUIRE_TIMEOUT and \
                 TASKS_API_STATEMENT_TIMEOUT together ({acquire:?} + {statement:?}), so that a request answered with 503 has had \
                 no effect",
                http.limits.request_timeout
            ));
        }
        errors.into_result(Self {
            auth,
            database,
            http,
            log: log.unwrap_or_default(),
            session_exchange,
            revocation_retention: retention.unwrap_or(RevocationConfig::RETENTION),
            revocation_max_staleness: max_staleness.unwrap_or(Some(RevocationConfig::MAX_STALENESS)),
        })
    }

    /// The configuration of the app.
    pub(crate) fn app(&self) -> Result<AppConfig, better_auth_jwt::ConfigError> {
        let (verifier, keys) = self.auth.verifier()?;
        let revocation = RevocationConfig {
            verifier: self.auth.logout_verifier(&verifier),
            retention: self.revocation_retention,
            max_staleness: self.revocation_max_staleness,
            leeway: self.auth.leeway,
            missing_session: if self.auth.require_sid { MissingSession::Reject } else { MissingSession::Allow },
        };
        Ok(AppConfig {
            verifier,
            keys,
            session_exchange: self.session_exchange.as_ref().map(SessionExchangeConfig::build).transpose()?,
            database: self.database.clone(),
            revocation,
            limits: self.http.limits,
            rate_limit: self.http.rate_limit,
            cors: self.http.cors.clone(),
            has_admin_listener: self.http.admin_listen.is_some(),
        })
    }
}

impl HttpConfig {
    fn parse(args: &HttpArgs, errors: &mut ConfigErrors) -> Self {
        let (listen, admin_listen) = listen_addresses(&args.addresses, errors);
        let mut time = |name: &str, text: &Option<String>, default: Duration| {
            errors.parse(name, non_empty(text), timeout).unwrap_or(default)
        };
        let limits = LimitsConfig::default();
        let body_timeout = time("TASKS_API_BODY_TIMEOUT", &args.body_timeout, limits.body_timeout);
        let request_timeout = time("TASKS_API_REQUEST_TIMEOUT", &args.request_timeout, limits.request_timeout);
        let keep_alive_timeout =
            time("TASKS_API_KEEP_ALIVE_TIMEOUT", &args.keep_alive_timeout, Duration::from_secs(75));
        let shutdown_timeout = time("TASKS_API_SHUTDOWN_TIMEOUT", &args.shutdown_timeout, Duration::from_secs(5));
        let drain_delay = errors.parse("TASKS_API_DRAIN_DELAY", non_empty(&args.drain_delay), duration_or_zero);
        let mut number = |name: &str, text: &Option<String>, default: usize| {
            errors.parse(name, non_empty(text), count(1)).map_or(default, |count| count as usize)
        };
        let max_in_flight = number("TASKS_API_MAX_IN_FLIGHT", &args.max_in_flight, limits.max_in_flight);
        let max_body_size = number("TASKS_API_MAX_BODY_SIZE", &args.max_body_size, limits.max_body_size);
        Self {
            listen,
            admin_listen,
            keep_alive_timeout,
            drain_delay: drain_delay.unwrap_or(Duration::from_secs(2)),
            shutdown_timeout,
            limits: LimitsConfig { max_in_flight, max_body_size, body_timeout, request_timeout },
            rate_limit: errors.parse("TASKS_API_RATE_LIMIT", non_empty(&args.rate_limit), rate_limit).flatten(),
            cors: CorsConfig {
                origins: errors
                    .parse("TASKS_API_CORS_ORIGINS", non_empty(&args.cors_origins), origins)
                    .unwrap_or_default(),
                extra_headers: errors
                    .parse("TASKS_API_CORS_HEADERS", non_empty(&args.cors_headers), header_names)
                    .unwrap_or_default(),
                credentials: false,
            },
        }
    }
}

/// The addresses of the API and, if it is separate, of the probes.
fn listen_addresses(args: &ListenArgs, errors: &mut ConfigErrors) -> (SocketAddr, Option<SocketAddr>) {
    let listen = errors.parse("TASKS_API_LISTEN", non_empty(&args.listen), address);
    let listen = listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8000)));
    let admin_listen = errors.parse("TASKS_API_ADMIN_LISTEN", non_empty(&args.admin_listen), address);
    if admin_listen == Some(listen) && listen.port() != 0 {
        errors.push("TASKS_API_ADMIN_LISTEN is the same as TASKS_API_LISTEN: choose another port, or unset it");
    }
    (listen, admin_listen)
}

/// The address of the probes, for `healthcheck`.
pub(crate) fn probe_address(args: &ListenArgs) -> Result<SocketAddr, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let (listen, admin_listen) = listen_addresses(args, &mut errors);
    errors.into_result(admin_listen.unwrap_or(listen))
}

/// The token settings, for `token`.
pub(crate) fn issuer(args: IssuerArgs, requires: Requires) -> Result<AuthConfig, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let auth = AuthConfig::parse(&AuthArgs { issuer: args, ..Default::default() }, requires, &mut errors);
    errors.into_result(auth)
}

/// The database, for `migrate`.
pub(crate) fn database_config(args: &DatabaseArgs) -> Result<DatabaseConfig, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let database = database(args, &PoolArgs::default(), &mut errors);
    errors.into_result(database)
}

pub(crate) fn log_config(args: &LogArgs) -> Result<LogFormat, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let format = errors.parse("TASKS_API_LOG", non_empty(&args.log), log_format);
    errors.into_result(format.unwrap_or_default())
}

fn database(args: &DatabaseArgs, pool: &PoolArgs, errors: &mut ConfigErrors) -> DatabaseConfig {
    let url = errors.text_or_file("DATABASE_URL", &args.database_url, &args.database_url_file);
    let url = errors.parse("DATABASE_URL", url.as_deref(), DatabaseUrl::parse).unwrap_or_default();
    let default = DatabaseConfig::from(url);
    let mut flag = |name: &str, text: &Option<String>, default: bool| {
        errors.parse(name, non_empty(text), boolean).unwrap_or(default)
    };
    let migrate = flag("TASKS_API_MIGRATE", &pool.migrate, default.migrate);
    let row_security = flag("TASKS_API_ROW_SECURITY", &pool.row_security, default.row_security);
    let mut time = |name: &str, text: &Option<String>, default: Duration| {
        errors.parse(name, non_empty(text), timeout).unwrap_or(default)
    };
    let acquire_timeout = time("TASKS_API_ACQUIRE_TIMEOUT", &pool.acquire_timeout, default.acquire_timeout);
    let statement_timeout = time("TASKS_API_STATEMENT_TIMEOUT", &pool.statement_timeout, default.statement_timeout);
    let pool_size = errors.parse("TASKS_API_POOL_SIZE", non_empty(&pool.pool_size), count(1));
    DatabaseConfig {
        pool_size: pool_size.unwrap_or(default.pool_size),
        acquire_timeout,
        statement_timeout,
        row_security,
        migrate,
        ..default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_timeout_must_be_longer_than_database_timeouts() {
        let mut args = ServerArgs::default();
        args.pool.statement_timeout = Some("3s".into());
        let errors = ServerConfig::parse(&args, Requires::Nothing).err().unwrap().to_string();
        assert!(
            errors.contains("TASKS_API_REQUEST_TIMEOUT") && errors.contains("TASKS_API_STATEMENT_TIMEOUT"),
            "{errors}"
        );
        args.http.request_timeout = Some("6s".into());
        assert!(ServerConfig::parse(&args, Requires::Nothing).is_ok());
    }

    #[test]
    fn debug_output_contains_no_password() {
        let args = DatabaseArgs { database_url: Some("postgres://u:pw123@db/t".into()), ..Default::default() };
        let shown = format!("{:?}", database_config(&args).unwrap());
        assert!(!shown.contains("pw123"), "{shown}");
    }
}
