//! The settings as parsed by clap: each is a flag and an environment variable. An empty value counts as unset.
//!
//! They are strings here, so that all errors can be reported together and no error contains a secret.

use clap::{ArgAction, Args};

/// Whose tokens these are: all that is needed to sign one.
#[derive(Args, Default)]
#[command(next_help_heading = "Tokens")]
pub(crate) struct IssuerArgs {
    /// Base URL of the Better Auth server; key set, issuer and audience follow from it
    #[arg(long, env, value_name = "URL")]
    pub(super) better_auth_url: Option<String>,
    /// Accept HS256 tokens signed with this secret of at least 32 bytes, the same as Better Auth's
    #[arg(long, env, value_name = "SECRET")]
    pub(super) better_auth_secret: Option<String>,
    /// Read BETTER_AUTH_SECRET from a file
    #[arg(long, env, value_name = "PATH")]
    pub(super) better_auth_secret_file: Option<String>,
    /// Secrets during a rotation, newest first, as Better Auth writes them: 2:new,1:old
    #[arg(long, env, value_name = "VERSION:SECRET,…")]
    pub(super) better_auth_secrets: Option<String>,
    /// Read BETTER_AUTH_SECRETS from a file
    #[arg(long, env, value_name = "PATH")]
    pub(super) better_auth_secrets_file: Option<String>,
    /// Accepted issuers (`iss`) [default: the origin of BETTER_AUTH_URL]
    #[arg(long, env, value_name = "ISS,…")]
    pub(super) better_auth_issuer: Option<String>,
    /// Accepted audiences (`aud`) [default: the origin of BETTER_AUTH_URL]
    #[arg(long, env, value_name = "AUD,…")]
    pub(super) better_auth_audience: Option<String>,
}

/// Whose tokens are accepted.
#[derive(Args, Default)]
#[command(next_help_heading = "Tokens")]
pub(crate) struct AuthArgs {
    #[command(flatten)]
    pub(super) issuer: IssuerArgs,
    /// JWKS URL [default: derived from BETTER_AUTH_URL]
    #[arg(long, env, value_name = "URL")]
    pub(super) better_auth_jwks_url: Option<String>,
    /// Allow plain http to a Better Auth server that is not on loopback, for instance in a container network
    #[arg(long, env, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(super) better_auth_allow_http: Option<String>,
    /// Algorithm of RSA keys without `alg`, for instance RS256 [default: such keys are not used]
    #[arg(long, env, value_name = "ALG")]
    pub(super) better_auth_jwks_rsa_algorithm: Option<String>,
    /// Client ids of Better Auth's OAuth provider whose logout tokens are accepted, too
    #[arg(long, env, value_name = "ID,…")]
    pub(super) better_auth_logout_audiences: Option<String>,
    /// Reject tokens without a session id (`sid`)
    #[arg(long, env = "TASKS_API_REQUIRE_SID", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(super) require_sid: Option<String>,
    /// Also accept sessions, and exchange them for tokens: bearer (session tokens), cookie, or both [default: none]
    #[arg(long, env = "TASKS_API_SESSION_EXCHANGE", value_name = "FORM,…")]
    pub(super) session_exchange: Option<String>,
    /// Where sessions are exchanged for tokens [default: derived from BETTER_AUTH_URL]
    #[arg(long, env, value_name = "URL")]
    pub(super) better_auth_token_url: Option<String>,
    /// Tolerated clock skew in exp, nbf and iat [default: 30s]
    #[arg(long, env = "TASKS_API_LEEWAY", value_name = "TIME")]
    pub(super) leeway: Option<String>,
    /// Maximum size of an accepted token [default: 8192]
    #[arg(long, env = "TASKS_API_MAX_TOKEN_SIZE", value_name = "BYTES")]
    pub(super) max_token_size: Option<String>,
}

/// The database.
#[derive(Args, Default)]
#[command(next_help_heading = "Database")]
pub(crate) struct DatabaseArgs {
    /// SQLite file or PostgreSQL URL [default: sqlite://tasks.db?mode=rwc]
    #[arg(long, env, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// Read DATABASE_URL from a file
    #[arg(long, env, value_name = "PATH")]
    pub(super) database_url_file: Option<String>,
}

/// How requests use the database.
#[derive(Args, Default)]
pub(crate) struct PoolArgs {
    /// Apply pending migrations at startup [default: true]
    #[arg(long, env = "TASKS_API_MIGRATE", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(super) migrate: Option<String>,
    /// PostgreSQL: enable row-level security, so that the database isolates users, too
    #[arg(long, env = "TASKS_API_ROW_SECURITY", value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(super) row_security: Option<String>,
    /// PostgreSQL: connections of this server, besides one that listens for logouts [default: 10]
    #[arg(long, env = "TASKS_API_POOL_SIZE", value_name = "COUNT")]
    pub(super) pool_size: Option<String>,
    /// Time limit for acquiring a connection; afterwards 503 [default: 2s]
    #[arg(long, env = "TASKS_API_ACQUIRE_TIMEOUT", value_name = "TIME")]
    pub(super) acquire_timeout: Option<String>,
    /// Time limit for one statement; afterwards it is rolled back and the response is 503 [default: 2s]
    #[arg(long, env = "TASKS_API_STATEMENT_TIMEOUT", value_name = "TIME")]
    pub(super) statement_timeout: Option<String>,
}

/// Where the server listens.
#[derive(Args, Default)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct ListenArgs {
    /// Address to listen on [default: 127.0.0.1:8000]
    #[arg(long, env = "TASKS_API_LISTEN", value_name = "IP:PORT")]
    pub(super) listen: Option<String>,
    /// Separate address for probes, metrics and documentation [default: they are served with the API]
    #[arg(long, env = "TASKS_API_ADMIN_LISTEN", value_name = "IP:PORT")]
    pub(super) admin_listen: Option<String>,
}

/// The HTTP server.
#[derive(Args, Default)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct HttpArgs {
    #[command(flatten)]
    pub(super) addresses: ListenArgs,
    /// Origins whose pages may call the API from a browser [default: none]
    #[arg(long, env = "TASKS_API_CORS_ORIGINS", value_name = "ORIGIN,…")]
    pub(super) cors_origins: Option<String>,
    /// Request headers that such pages may send, besides those of the API and of trace contexts
    #[arg(long, env = "TASKS_API_CORS_HEADERS", value_name = "NAME,…")]
    pub(super) cors_headers: Option<String>,
    /// Rate limit of each user, for instance 100/10s [default: no limit]
    #[arg(long, env = "TASKS_API_RATE_LIMIT", value_name = "COUNT/TIME")]
    pub(super) rate_limit: Option<String>,
    /// Maximum number of requests in flight; more get 503 [default: 2048]
    #[arg(long, env = "TASKS_API_MAX_IN_FLIGHT", value_name = "COUNT")]
    pub(super) max_in_flight: Option<String>,
    /// Maximum size of a request body [default: 65536]
    #[arg(long, env = "TASKS_API_MAX_BODY_SIZE", value_name = "BYTES")]
    pub(super) max_body_size: Option<String>,
    /// Time limit for receiving a request body; afterwards 408 [default: 10s]
    #[arg(long, env = "TASKS_API_BODY_TIMEOUT", value_name = "TIME")]
    pub(super) body_timeout: Option<String>,
    /// Time limit for a response; afterwards 503, or 504 if a change may have been committed [default: 4500ms]
    #[arg(long, env = "TASKS_API_REQUEST_TIMEOUT", value_name = "TIME")]
    pub(super) request_timeout: Option<String>,
    /// How long to keep an idle connection open; longer than the load balancer does [default: 75s]
    #[arg(long, env = "TASKS_API_KEEP_ALIVE_TIMEOUT", value_name = "TIME")]
    pub(super) keep_alive_timeout: Option<String>,
    /// After SIGTERM: how long to accept connections while /readyz is 503, so that load balancers notice [default: 2s]
    #[arg(long, env = "TASKS_API_DRAIN_DELAY", value_name = "TIME")]
    pub(super) drain_delay: Option<String>,
    /// Time limit for requests in flight to finish after that [default: 5s]
    #[arg(long, env = "TASKS_API_SHUTDOWN_TIMEOUT", value_name = "TIME")]
    pub(super) shutdown_timeout: Option<String>,
}

/// Sessions that end before their tokens do.
#[derive(Args, Default)]
#[command(next_help_heading = "Logout")]
pub(crate) struct RevocationArgs {
    /// How long a revocation is kept; at least the maximum lifetime of a token [default: 8d]
    #[arg(long, env = "TASKS_API_REVOCATION_RETENTION", value_name = "TIME")]
    pub(super) revocation_retention: Option<String>,
    /// How long to accept tokens while revocations cannot be read; afterwards 503. `forever`: never fail closed [default: 60s]
    #[arg(long, env = "TASKS_API_REVOCATION_MAX_STALENESS", value_name = "TIME")]
    pub(super) revocation_max_staleness: Option<String>,
}

/// The log, of any command.
#[derive(Args, Default)]
#[command(next_help_heading = "Log")]
pub(crate) struct LogArgs {
    /// Log format: text or json; RUST_LOG sets the level [default: text]
    #[arg(long, env = "TASKS_API_LOG", value_name = "FORMAT")]
    pub(super) log: Option<String>,
}

/// Everything that `serve` and `dev` read.
#[derive(Args, Default)]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    pub(super) auth: AuthArgs,
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    #[command(flatten)]
    pub(super) pool: PoolArgs,
    #[command(flatten)]
    pub(super) http: HttpArgs,
    #[command(flatten)]
    pub(super) revocation: RevocationArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
}
