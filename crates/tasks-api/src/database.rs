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
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use tokio::time::timeout;
use tracing::warn;

use crate::{cli::Failure, database_url::DatabaseUrl, migration::Migrator};

/// A start that waits for its database longer than this has failed.
const START: Duration = Duration::from_secs(8);

/// Connects, and brings the tables up to date.
pub(crate) async fn connect(url: &DatabaseUrl) -> Result<DatabaseConnection, Failure> {
    for parameter in url.unknown_parameters() {
        warn!(parameter, "DATABASE_URL has a parameter that the driver does not know; it is ignored");
    }
    let connected = timeout(START, async {
        let db = Database::connect(options(url)).await?;
        migrate(&db).await?;
        Ok::<_, DbErr>(db)
    });
    let reason = match connected.await {
        Ok(Ok(db)) => return Ok(db),
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

fn options(url: &DatabaseUrl) -> ConnectOptions {
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
                .busy_timeout(Duration::from_secs(4))
        });
    } else {
        options
            .max_connections(10)
            // Under load no connection is idle so long, and nothing is asked. After an outage the dead ones are found, and not by requests.
            .test_before_acquire_if_idle_for(Duration::from_secs(1))
            .statement_timeout(Duration::from_secs(4))
            .set_application_name("tasks-api")
            // Where a policy would hide rows from a statement, it fails instead. Transactions that name their user switch
            // this on; a server that does not know of the policies must not take a user's tasks for none.
            .map_sqlx_postgres_opts(|postgres| postgres.options([("row_security", "off")]));
    }
    options.acquire_timeout(Duration::from_secs(4));
    options
}

/// Several servers may start at once on one database: the first to come migrates, and the others wait for it.
async fn migrate(db: &DatabaseConnection) -> Result<(), DbErr> {
    let options =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
    let turn = db.begin_with_options(options).await?;
    if turn.get_database_backend() == DbBackend::Postgres {
        // Any number does, as long as nothing else in this database takes the same; these are the bytes of "tasks".
        turn.execute_unprepared("SELECT pg_advisory_xact_lock(500069397363)").await?;
    }
    Migrator::up(&turn, None).await?;
    turn.commit().await
}
