//! Applying, reverting and listing migrations.
//!
//! On PostgreSQL they run on connections of their own, without the time limits of requests: see [`connect::for_migrations`].

use std::time::Duration;

use anyhow::{bail, ensure};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryOrder,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::{IntoSchemaManagerConnection, MigratorTrait, SchemaManager, seaql_migrations};
use tokio::time::sleep;
use tracing::{info, warn};

use super::{DatabaseConfig, availability::Availability, connect, failed};
use crate::{db_error::Cause, migration::Migrator};

/// Between attempts to get a lock on a table that others use: the first and the longest.
const LOCK_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Between attempts to become the only server that migrates.
const LOCK_INTERVAL: Duration = Duration::from_millis(200);

const MIGRATION_FAILED: &str =
    "a migration failed; if a privilege is missing, run `tasks-api migrate up` as the owner of the tables";

/// The migrations, by name.
#[derive(Debug, Default)]
pub(crate) struct Migrations {
    pub(crate) applied: Vec<String>,
    pub(crate) pending: Vec<String>,
    /// Applied by a newer release. This program works beside them.
    pub(crate) unknown: Vec<String>,
}

impl Migrations {
    /// Changes nothing, and needs no privilege but `SELECT`.
    pub(crate) async fn read(db: &DatabaseConnection) -> Result<Self, DbErr> {
        let mut recorded = Vec::new();
        if SchemaManager::new(db).has_table("seaql_migrations").await? {
            let rows = seaql_migrations::Entity::find().order_by_asc(seaql_migrations::Column::Version).all(db).await?;
            recorded.extend(rows.into_iter().map(|row| row.version));
        }
        let known = Migrator::migrations().into_iter().map(|migration| migration.name().to_owned());
        let (applied, pending): (Vec<_>, Vec<_>) = known.partition(|name| recorded.contains(name));
        recorded.retain(|name| !applied.contains(name));
        Ok(Self { applied, pending, unknown: recorded })
    }
}

/// For `serve`: applies pending migrations, or checks that there are none. Where none is pending, no privilege is needed.
pub(super) async fn at_start(db: &DatabaseConnection, config: &DatabaseConfig) -> anyhow::Result<()> {
    let Migrations { pending, unknown, .. } =
        Migrations::read(db).await.map_err(failed("cannot read the migrations"))?;
    if !unknown.is_empty() {
        info!(migrations = unknown.join(", "), "the database has migrations of a newer release");
    }
    if pending.is_empty() {
        return Ok(());
    }
    let names = pending.join(", ");
    ensure!(config.migrate, "the database has pending migrations ({names}); run `tasks-api migrate up`");
    info!(migrations = names, "applying migrations");
    change(db, config, Change::Up).await?;
    info!("migrations applied");
    Ok(())
}

/// Applies pending migrations. The result names them.
pub(crate) async fn up(config: &DatabaseConfig) -> anyhow::Result<Vec<String>> {
    let db = connect::connect(config, &Availability::new()).await?;
    let pending = Migrations::read(&db).await?.pending;
    if !pending.is_empty() {
        change(&db, config, Change::Up).await?;
    }
    Ok(pending)
}

/// Reverts the last migrations. The result names them.
pub(crate) async fn down(config: &DatabaseConfig, count: u32) -> anyhow::Result<Vec<String>> {
    let db = connect::connect(config, &Availability::new()).await?;
    let Migrations { mut applied, unknown, .. } = Migrations::read(&db).await?;
    let unknown = unknown.join(", ");
    ensure!(unknown.is_empty(), "a newer release has applied {unknown}; revert that with the newer release first");
    let remaining = applied.len().saturating_sub(count as usize);
    let mut reverted = applied.split_off(remaining);
    reverted.reverse();
    change(&db, config, Change::DownTo(remaining)).await?;
    Ok(reverted)
}

/// Which migrations are applied. Changes nothing.
pub(crate) async fn status(config: &DatabaseConfig) -> anyhow::Result<Migrations> {
    if let Some(file) = config.url.sqlite_file().filter(|file| !file.exists()) {
        bail!("there is no database {}; check DATABASE_URL, or create it with `tasks-api migrate up`", file.display());
    }
    let db = connect::connect(config, &Availability::new()).await?;
    Ok(Migrations::read(&db).await?)
}

#[derive(Clone, Copy)]
enum Change {
    Up,
    /// So that this many remain applied.
    DownTo(usize),
}

impl Change {
    async fn apply<'c, C>(self, db: C, applied: usize) -> Result<(), DbErr>
    where
        C: IntoSchemaManagerConnection<'c>,
    {
        match self {
            Self::Up => Migrator::up(db, None).await,
            Self::DownTo(remaining) => Migrator::down(db, Some(applied.saturating_sub(remaining) as u32)).await,
        }
    }
}

async fn change(db: &DatabaseConnection, config: &DatabaseConfig, change: Change) -> anyhow::Result<()> {
    if config.url.is_sqlite() {
        let applied = Migrations::read(db).await?.applied.len();
        // All or none: SQLite's migrations have no transactions of their own.
        let mode = Some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() };
        let transaction = db.begin_with_options(options).await?;
        change.apply(&transaction, applied).await.map_err(failed(MIGRATION_FAILED))?;
        return Ok(transaction.commit().await?);
    }
    let db = connect::for_migrations(config).await?;
    let lock = lock_migrations(&db).await.map_err(failed("cannot lock the database for migrations"))?;
    let mut backoff = LOCK_BACKOFF.0;
    loop {
        // Each migration commits by itself: another attempt continues after those that succeeded.
        let applied = Migrations::read(&db).await?.applied.len();
        match change.apply(&db, applied).await {
            Err(error) if Cause::of(&error) == Cause::Contention => {
                warn!(%error, "a migration waits for a table that others use; trying again in {backoff:?}");
                sleep(backoff).await;
                backoff = (backoff * 2).min(LOCK_BACKOFF.1);
            }
            Err(error) => return Err(failed(MIGRATION_FAILED)(error)),
            Ok(()) => break,
        }
    }
    lock.rollback().await?;
    Ok(db.close().await?)
}

/// Waits, without a time limit, until no other server migrates. The lock is released when the result ends.
///
/// It belongs to a transaction, since proxies may give each transaction another session. It is polled: a statement that
/// waited for it would be waited for by `CREATE INDEX CONCURRENTLY`, which would never end.
async fn lock_migrations(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let transaction = db.begin().await?;
    transaction.execute_unprepared("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
    // Any number, as long as nothing else in this database takes the same; these are the bytes of "tasks".
    let lock = Statement::from_string(DbBackend::Postgres, "SELECT pg_try_advisory_xact_lock(500069397363)");
    let mut is_waiting = false;
    while !transaction.query_one_raw(lock.clone()).await?.map_or(Ok(false), |row| row.try_get_by_index(0))? {
        if !is_waiting {
            info!("another server migrates the database; waiting until it has finished");
            is_waiting = true;
        }
        sleep(LOCK_INTERVAL).await;
    }
    Ok(transaction)
}
