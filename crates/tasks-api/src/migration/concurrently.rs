//! Indexes on tables in use: on PostgreSQL they are created and dropped without blocking reads or writes.
//!
//! This is impossible in a transaction: the migration's `use_transaction` must return `Some(false)`.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{DbBackend, Statement},
};

/// `definition` is the table and its columns.
pub(super) async fn create_index(manager: &SchemaManager<'_>, name: &str, definition: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        let create = format!("CREATE INDEX {name} ON {definition}");
        return manager.get_connection().execute_unprepared(&create).await.map(drop);
    }
    match is_valid(manager, name).await? {
        // A former attempt was interrupted before it was recorded.
        Some(true) => return Ok(()),
        // A former attempt failed. What is left of it slows writes down, and helps no query.
        Some(false) => drop_index(manager, name).await?,
        None => {}
    }
    without_lock_timeout(manager, &format!("CREATE INDEX CONCURRENTLY {name} ON {definition}")).await
}

pub(super) async fn drop_index(manager: &SchemaManager<'_>, name: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return manager.get_connection().execute_unprepared(&format!("DROP INDEX {name}")).await.map(drop);
    }
    without_lock_timeout(manager, &format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await
}

/// Waits for older transactions as long as they take, for nothing waits for this statement meanwhile.
async fn without_lock_timeout(manager: &SchemaManager<'_>, statement: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    connection.execute_unprepared("SET lock_timeout = 0").await?;
    let done = connection.execute_unprepared(statement).await;
    connection.execute_unprepared("SET lock_timeout = '1s'").await?;
    done.map(drop)
}

/// `None` if there is no such index.
async fn is_valid(manager: &SchemaManager<'_>, name: &str) -> Result<Option<bool>, DbErr> {
    let query = format!("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{name}')");
    let row = manager.get_connection().query_one_raw(Statement::from_string(DbBackend::Postgres, query)).await?;
    row.map(|row| row.try_get_by_index(0)).transpose()
}
