//! The connections of the pool.

use std::time::Duration;

use anyhow::anyhow;
use sea_orm::{ConnectOptions, DatabaseConnection, DbErr};
use sqlx::{
    AssertSqlSafe, Executor,
    sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::timeout;
use tracing::warn;

use super::{
    DatabaseConfig, migrate,
    writability::{IS_READ_ONLY, Writability},
};

/// A start that waits for its database longer than this has failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

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

/// Connects, and applies pending migrations if the configuration says so.
pub(super) async fn connect(config: &DatabaseConfig) -> anyhow::Result<(DatabaseConnection, Writability)> {
    for parameter in config.url.unknown_parameters() {
        warn!(parameter, "DATABASE_URL has a parameter that the driver does not know; it is ignored");
    }
    let writability = Writability::new();
    let connected = timeout(CONNECT_TIMEOUT, async {
        let db = sea_orm::Database::connect(options(config, &writability)).await?;
        if config.migrate {
            migrate::apply_pending(&db).await?;
        }
        Ok::<_, DbErr>(db)
    });
    let reason = match connected.await {
        Ok(Ok(db)) => return Ok((db, writability)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} seconds", CONNECT_TIMEOUT.as_secs()),
    };
    Err(anyhow!(
        "the database cannot be used: {reason}. Check DATABASE_URL, and that the database is running and lets this user in \
         (SQLite: that the directory exists and can be written to)"
    ))
}

fn options(config: &DatabaseConfig, writability: &Writability) -> ConnectOptions {
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
            .map_sqlx_postgres_pool_opts(move |pool| {
                let settings = settings.clone();
                pool.after_connect(move |connection, _| {
                    let settings = AssertSqlSafe(settings.clone());
                    Box::pin(async move { connection.execute(settings).await.map(drop) })
                })
            });
        let writability = writability.clone();
        options.map_sqlx_postgres_before_acquire(move |connection, metadata| {
            let is_suspect = writability.is_suspect(metadata.age);
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
