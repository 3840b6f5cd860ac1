//! Opening connections: those of the pool, and those for migrations.

use std::time::Duration;

use anyhow::anyhow;
use sea_orm::{ConnectOptions, DatabaseConnection, DbErr};
use sqlx::{
    AssertSqlSafe, Executor,
    postgres::PgConnectOptions,
    sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{
    DatabaseConfig,
    availability::Availability,
    probe::{IS_READ_ONLY, is_transient, probe, reason},
};
use crate::migration::SET_LOCK_TIMEOUT;

/// A start that waits for its database longer than this has failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// Between attempts to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// The settings of each PostgreSQL session. They are set once it is connected: proxies such as PgBouncer reject start-up options.
///
/// The second is a safety net: a transaction never waits this long for us, and if one is left open, PostgreSQL ends its session.
/// With the third a statement fails where a policy would hide rows from it. Transactions that name their user switch it on; a
/// server that does not know of the policies must not take a user's tasks for none.
fn settings(config: &DatabaseConfig) -> String {
    let statement = config.statement_timeout.as_millis();
    format!(
        "SET statement_timeout = {statement}; SET idle_in_transaction_session_timeout = '5s'; SET row_security = off"
    )
}

/// The pool of requests.
pub(super) async fn connect(
    config: &DatabaseConfig,
    availability: &Availability,
) -> anyhow::Result<DatabaseConnection> {
    open(config, options(config, availability)).await
}

/// PostgreSQL: connections without the limits of requests, for a migration may take long. One of the two belongs to the
/// lock on migrations, so all migrations have the same session, with the same settings.
pub(super) async fn for_migrations(config: &DatabaseConfig) -> Result<DatabaseConnection, DbErr> {
    const NO_LIMITS: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
    let mut options = ConnectOptions::new(config.url.expose());
    options.sqlx_logging(false).max_connections(2).max_lifetime(None).idle_timeout(None);
    options.connect_lazy(true).acquire_timeout(CONNECT_TIMEOUT).set_application_name("tasks-api migrations");
    options.map_sqlx_postgres_opts(without_float_digits).map_sqlx_postgres_pool_opts(|pool| {
        pool.after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(NO_LIMITS).await?;
                connection.execute(SET_LOCK_TIMEOUT).await.map(drop)
            })
        })
    });
    sea_orm::Database::connect(options).await
}

async fn open(config: &DatabaseConfig, mut options: ConnectOptions) -> anyhow::Result<DatabaseConnection> {
    for parameter in config.url.unknown_parameters() {
        warn!(parameter, "DATABASE_URL has a parameter that the driver does not know; it is ignored");
    }
    // On PostgreSQL the first connection is not one of the pool, which would hide why there is none.
    options.connect_lazy(!config.url.is_sqlite());
    let opened = async {
        let db = sea_orm::Database::connect(options).await.map_err(|error| error.to_string())?;
        if !config.url.is_sqlite() {
            wait_until_reachable(&db.get_postgres_connection_pool().connect_options()).await?;
        }
        Ok(db)
    };
    opened.await.map_err(|reason: String| {
        anyhow!(
            "cannot connect to the database: {reason}. Check DATABASE_URL, and that the database is running and lets this \
             user in (SQLite: that the directory exists and can be written to)"
        )
    })
}

/// PgBouncer rejects connections with this start-up parameter. There are no floating-point columns.
fn without_float_digits(options: PgConnectOptions) -> PgConnectOptions {
    options.extra_float_digits(None)
}

/// # Errors
/// Why there is no connection.
async fn wait_until_reachable(options: &PgConnectOptions) -> Result<(), String> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let mut is_waiting = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Err(error) = probe(options, left).await else { return Ok(()) };
        if !is_transient(&error) || deadline.saturating_duration_since(Instant::now()) < RETRY_INTERVAL {
            return Err(reason(&error));
        }
        if !is_waiting {
            info!(reason = reason(&error), "waiting for the database, up to {CONNECT_TIMEOUT:?}");
            is_waiting = true;
        }
        sleep(RETRY_INTERVAL).await;
    }
}

fn options(config: &DatabaseConfig, availability: &Availability) -> ConnectOptions {
    let mut options = ConnectOptions::new(config.url.expose());
    options.sqlx_logging(false);
    let statement_timeout = config.statement_timeout;
    if config.url.is_sqlite() {
        // One connection: SQLite has one writer anyway, and here requests queue for it fairly instead of fighting for its lock.
        // It is never closed, for with it would go a database in memory.
        options.max_connections(1).idle_timeout(None).max_lifetime(None).test_before_acquire(false);
        options.map_sqlx_sqlite_opts(move |sqlite| {
            sqlite
                .foreign_keys(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
                // 16 MB instead of 4: between two checkpoints more changes of a page become one.
                .pragma("wal_autocheckpoint", "4000")
                .busy_timeout(statement_timeout)
        });
    } else {
        let settings = settings(config);
        options
            .max_connections(config.pool_size)
            // Under load no connection is idle so long, and nothing is asked. After an outage the dead ones are found, and not by requests.
            .test_before_acquire_if_idle_for(Duration::from_secs(1))
            .set_application_name("tasks-api")
            .map_sqlx_postgres_opts(without_float_digits)
            .map_sqlx_postgres_pool_opts(move |pool| {
                let settings = settings.clone();
                pool.after_connect(move |connection, _| {
                    let settings = AssertSqlSafe(settings.clone());
                    Box::pin(async move { connection.execute(settings).await.map(drop) })
                })
            });
        let availability = availability.clone();
        options.map_sqlx_postgres_before_acquire(move |connection, metadata| {
            let is_suspect = availability.writability().is_suspect(metadata.age);
            Box::pin(async move {
                let is_read_only = is_suspect && sqlx::query_scalar(IS_READ_ONLY).fetch_one(connection).await?;
                // The pool closes it and opens another.
                Ok(!is_read_only)
            })
        });
    }
    options.acquire_timeout(config.acquire_timeout);
    options
}
