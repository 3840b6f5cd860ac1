//! The reference server of `better-auth-jwt`: a tasks API over SeaORM, on SQLite or PostgreSQL.
//!
//! A request goes through:
//!
//! 1. `server`, which accepts connections and shuts down gracefully,
//! 2. [`app`], all routes and layers: request id, log and metrics (`layers`), authentication (`auth`), `rate_limit`, `limits`,
//! 3. `tasks`, the resource: handlers, data transfer objects, repository, entity; with the extractors in `http` and
//!    `idempotency`, which know no resource,
//! 4. `database`, whose `UnitOfWork` belongs to the verified user.
//!
//! `revocation` receives logout tokens and loads what other replicas have received. `ops` has probes, metrics and
//! documentation. `cli` and `config` start it all.

mod app;
mod auth;
mod cli;
mod config;
mod database;
mod db_error;
mod dev;
mod gentle_stream;
mod healthcheck;
mod http;
mod idempotency;
mod layers;
mod limits;
mod log;
mod metrics;
mod migration;
mod ops;
mod rate_limit;
mod revocation;
mod server;
mod signals;
mod state;
mod tasks;
#[cfg(test)]
mod test_app;
mod timestamp;
mod token;

pub use app::app;
pub use cli::main;
pub use database::DatabaseConfig;
pub use limits::LimitsConfig;
pub use rate_limit::RateLimitConfig;
pub use revocation::RevocationConfig;
pub use state::{AppConfig, AppState, CorsConfig};
