//! The database: how the server connects to it, and what its requests share.

mod availability;
mod connect;
mod lock;
pub(crate) mod migrate;
mod probe;
mod row_security;
pub(crate) mod unit_of_work;
pub(crate) mod url;
mod writability;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, anyhow};
use sea_orm::{DatabaseConnection, DbBackend, DbErr, RuntimeErr};

pub(crate) use self::{availability::Availability, lock::lock};
use self::{row_security::RowSecurity, url::DatabaseUrl};
use crate::db_error;

/// Which database, and the limits of its connections.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    pub(crate) url: DatabaseUrl,
    /// PostgreSQL: connections of this server. SQLite always has one.
    pub(crate) pool_size: u32,
    /// To get a connection, new or from the pool.
    pub(crate) acquire_timeout: Duration,
    /// For a statement, the wait for locks included; then the database rolls it back.
    pub(crate) statement_timeout: Duration,
    /// Row-level security is enabled, or enabled at the start.
    pub(crate) row_security: bool,
    /// Pending migrations are applied at the start.
    pub(crate) migrate: bool,
}

impl DatabaseConfig {
    /// The default limits, without row-level security.
    ///
    /// # Errors
    /// The URL cannot be used.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let url = DatabaseUrl::parse(url).map_err(|error| anyhow::anyhow!("the database URL {error}"))?;
        Ok(url.into())
    }

    /// Enables row-level security at the start.
    #[must_use]
    pub fn row_security(mut self) -> Self {
        self.row_security = true;
        self
    }
}

impl From<DatabaseUrl> for DatabaseConfig {
    fn from(url: DatabaseUrl) -> Self {
        Self {
            url,
            pool_size: 10,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(2),
            row_security: false,
            migrate: true,
        }
    }
}

/// The database as the server's requests share it. A clone is a handle to the same connections.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) connection: DatabaseConnection,
    pub(crate) availability: Availability,
    row_security: RowSecurity,
}

impl Database {
    /// Connects, applies pending migrations if the configuration says so, and enables or detects row-level security.
    pub(crate) async fn connect(config: &DatabaseConfig) -> anyhow::Result<Self> {
        let availability = Availability::new();
        let connection = connect::connect(config, &availability).await?;
        migrate::at_start(&connection, config).await?;
        if !config.url.is_sqlite() {
            tokio::spawn(availability.clone().probe(connection.get_postgres_connection_pool().clone()));
        }
        let row_security = if config.row_security {
            RowSecurity::enable(&connection).await.context("TASKS_API_ROW_SECURITY cannot be enabled")?
        } else {
            RowSecurity::detect(&connection).await.map_err(failed("cannot read the state of row-level security"))?
        };
        Ok(Self { connection, availability, row_security })
    }

    pub(crate) fn pool_status(&self) -> PoolStatus {
        if self.connection.get_database_backend() == DbBackend::Postgres {
            let pool = self.connection.get_postgres_connection_pool();
            PoolStatus {
                open: pool.size() as usize,
                idle: pool.num_idle(),
                max: pool.options().get_max_connections() as usize,
            }
        } else {
            let pool = self.connection.get_sqlite_connection_pool();
            PoolStatus {
                open: pool.size() as usize,
                idle: pool.num_idle(),
                max: pool.options().get_max_connections() as usize,
            }
        }
    }

    pub(crate) fn row_security_is_enabled(&self) -> bool {
        self.row_security.is_enabled
    }

    /// Whether the database still has the row-level security that this server works with.
    pub(crate) async fn row_security_fits(&self) -> Result<bool, DbErr> {
        self.row_security.fits(&self.connection).await
    }
}

/// The connections of the pool.
pub(crate) struct PoolStatus {
    pub(crate) open: usize,
    pub(crate) idle: usize,
    pub(crate) max: usize,
}

/// For errors that stop a command: what failed, and why in the database's own words.
pub(crate) fn failed(what: &'static str) -> impl Fn(DbErr) -> anyhow::Error {
    move |error| anyhow!("{what}: {}", db_error::message(&error))
}

/// Runs `work` to its end, even if the caller is dropped because a client disconnects or a time limit passes.
pub(crate) async fn uninterrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, DbErr>> + Send + 'static,
) -> Result<T, DbErr> {
    let finished = tokio::spawn(work).await;
    finished.unwrap_or_else(|failed| Err(DbErr::Exec(RuntimeErr::Internal(format!("its task ended early: {failed}")))))
}

/// What is behind these locks is never left half changed.
fn lock_mutex<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
