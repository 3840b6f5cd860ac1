use std::{
    fs::{File, TryLockError},
    path::PathBuf,
    time::Duration,
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use sqlx::{
    AssertSqlSafe, Executor,
    sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::timeout;
use tracing::warn;

use crate::{
    cli::Failure,
    database_url::DatabaseUrl,
    limits::REQUEST_TIMEOUT,
    migration::Migrator,
    store::uninterrupted,
    writability::{IS_READ_ONLY, Writability},
};

/// A start that waits for its database longer than this has failed.
const START: Duration = Duration::from_secs(8);

/// To get a connection, new or from the pool.
const ACQUIRE: Duration = Duration::from_secs(2);

/// For a statement, the wait for locks included; then the database rolls it back.
const STATEMENT: Duration = Duration::from_secs(2);

// Within the time of a request a single statement fails for certain: the response to it is 503, and it had no effect.
const _: () = assert!(ACQUIRE.as_millis() + STATEMENT.as_millis() < REQUEST_TIMEOUT.as_millis());

/// The settings of each PostgreSQL session. They are set once it is connected: proxies such as PgBouncer reject start-up options.
///
/// The second is a safety net: a transaction never waits this long for us, and if one is left open, PostgreSQL ends its session.
/// With the third a statement fails where a policy would hide rows from it. Transactions that name their user switch it on; a
/// server that does not know of the policies must not take a user's tasks for none.
fn settings() -> AssertSqlSafe<String> {
    let statement = STATEMENT.as_millis();
    AssertSqlSafe(format!(
        "SET statement_timeout = {statement}; SET idle_in_transaction_session_timeout = '5s'; SET row_security = off"
    ))
}

/// Connects, and brings the tables up to date.
pub(crate) async fn connect(url: &DatabaseUrl) -> Result<(DatabaseConnection, Writability), Failure> {
    for parameter in url.unknown_parameters() {
        warn!(parameter, "DATABASE_URL has a parameter that the driver does not know; it is ignored");
    }
    let writability = Writability::new();
    let connected = timeout(START, async {
        let db = Database::connect(options(url, &writability)).await?;
        migrate(&db).await?;
        Ok::<_, DbErr>(db)
    });
    let reason = match connected.await {
        Ok(Ok(db)) => return Ok((db, writability)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} seconds", START.as_secs()),
    };
    Err(Failure::new(format!(
        "the database cannot be used: {reason}. Check DATABASE_URL, and that the database is running and lets this user in \
         (SQLite: that the directory exists and can be written to)."
    )))
}

/// Makes this process the only server of a SQLite file, until the result is dropped or the process ends, however it ends.
///
/// A second one would keep accepting tokens of sessions whose logouts the first one has received: only PostgreSQL's
/// servers read each other's. The lock is on a file beside the database and not on the database itself, since closing a
/// file that SQLite has open releases SQLite's own locks.
pub(crate) fn lock(url: &DatabaseUrl) -> Result<Option<File>, Failure> {
    let Some(file) = url.sqlite_file() else { return Ok(None) };
    // One name for one file, whatever links lead to it.
    let mut name = file.canonicalize().unwrap_or(file).into_os_string();
    name.push("-lock");
    let path = PathBuf::from(name);
    let locked =
        File::options().create(true).truncate(false).write(true).open(&path).map(|lock| (lock.try_lock(), lock));
    match locked {
        Ok((Ok(()), lock)) => Ok(Some(lock)),
        Ok((Err(TryLockError::WouldBlock), _)) => Err(Failure::new(format!(
            "another tasks-api serves this SQLite database already: it holds {}. Stop it, or set DATABASE_URL to another \
             file, or to a PostgreSQL database, which several servers can share.",
            path.display()
        ))),
        Ok((Err(TryLockError::Error(error)), _)) | Err(error) => Err(Failure::new(format!(
            "cannot lock {}: {error}. Check DATABASE_URL, and that the directory exists and can be written to.",
            path.display()
        ))),
    }
}

/// Are all tables as this program needs them? Asks, and changes nothing.
pub(crate) async fn is_migrated(db: &DatabaseConnection) -> Result<bool, DbErr> {
    match Migrator::get_pending_migrations_read_only(db).await {
        Ok(pending) => Ok(pending.is_empty()),
        // A migration that we do not know: a newer program has been here, and old ones go on beside it.
        Err(DbErr::Custom(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

fn options(url: &DatabaseUrl, writability: &Writability) -> ConnectOptions {
    let mut options = ConnectOptions::new(url.expose());
    options.sqlx_logging(false);
    if url.is_sqlite() {
        // One connection: SQLite has one writer anyway, and here requests queue for it fairly instead of fighting for its lock.
        // It is never closed, for with it would go a database in memory.
        options.max_connections(1).idle_timeout(None).max_lifetime(None).test_before_acquire(false);
        options.map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .foreign_keys(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
                // 16 MB instead of 4: between two checkpoints more changes of a page become one.
                .pragma("wal_autocheckpoint", "4000")
                .busy_timeout(STATEMENT)
        });
    } else {
        options
            .max_connections(10)
            // Under load no connection is idle so long, and nothing is asked. After an outage the dead ones are found, and not by requests.
            .test_before_acquire_if_idle_for(Duration::from_secs(1))
            .set_application_name("tasks-api")
            .map_sqlx_postgres_pool_opts(|pool| {
                pool.after_connect(|connection, _| Box::pin(async { connection.execute(settings()).await.map(drop) }))
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
    options.acquire_timeout(ACQUIRE);
    options
}

/// Several servers may start at once on one database: the first to come migrates, and the others wait for it.
async fn migrate(db: &DatabaseConnection) -> Result<(), DbErr> {
    let options =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
    let db = db.clone();
    let turn = uninterrupted(async move { db.begin_with_options(options).await }).await?;
    if turn.get_database_backend() == DbBackend::Postgres {
        // Any number does, as long as nothing else in this database takes the same; these are the bytes of "tasks".
        // Waiting for the others, and a migration, may take longer than a request; `START` bounds both.
        turn.execute_unprepared("SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(500069397363)").await?;
    }
    Migrator::up(&turn, None).await?;
    uninterrupted(turn.commit()).await
}
