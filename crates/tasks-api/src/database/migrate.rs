//! Applying migrations.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;

use super::{DatabaseConfig, uninterrupted};
use crate::migration::Migrator;

/// Whether all tables are as this program needs them. Changes nothing.
pub(crate) async fn is_current(db: &DatabaseConnection) -> Result<bool, DbErr> {
    match Migrator::get_pending_migrations_read_only(db).await {
        Ok(pending) => Ok(pending.is_empty()),
        // A migration that this program does not know: a newer one has been here, and old ones go on beside it.
        Err(DbErr::Custom(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Several servers may start at once on one database: the first to come migrates, and the others wait for it.
pub(super) async fn apply_pending(db: &DatabaseConnection) -> Result<(), DbErr> {
    let options =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
    let db = db.clone();
    let turn = uninterrupted(async move { db.begin_with_options(options).await }).await?;
    if turn.get_database_backend() == DbBackend::Postgres {
        // Any number does, as long as nothing else in this database takes the same; these are the bytes of "tasks".
        // Waiting for the others, and a migration, may take longer than a request.
        turn.execute_unprepared("SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(500069397363)").await?;
    }
    Migrator::up(&turn, None).await?;
    uninterrupted(turn.commit()).await
}

/// Applies pending migrations.
pub(crate) async fn up(config: &DatabaseConfig) -> anyhow::Result<()> {
    super::connect::connect(config).await.map(drop)
}

/// Reverts the last migrations.
pub(crate) async fn down(config: &DatabaseConfig, count: u32) -> anyhow::Result<()> {
    let (db, _) = super::connect::connect(config).await?;
    Ok(Migrator::down(&db, Some(count)).await?)
}

/// A line for each migration.
pub(crate) async fn status(config: &DatabaseConfig) -> anyhow::Result<String> {
    let (db, _) = super::connect::connect(config).await?;
    let migrations = Migrator::get_migration_with_status(&db).await?;
    Ok(migrations.iter().map(|migration| format!("{} {}\n", migration.status(), migration.name())).collect())
}
