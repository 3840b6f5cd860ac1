//! The history of the database's tables. A released migration is never edited: add another one.
#![expect(elided_lifetimes_in_paths, reason = "as in SeaORM's trait, else async_trait's lifetimes differ")]

use sea_orm_migration::prelude::*;

mod concurrently;
mod m0001_create_tasks;
mod m0002_create_idempotency_keys;
mod m0003_create_revocations;
mod m0004_create_row_policies;
mod m0005_index_tasks_by_title;

/// Shorter than the statement timeout of requests: those that queue behind a migration which waits for a lock, for instance
/// because of `pg_dump`, are delayed and do not fail.
pub(crate) const SET_LOCK_TIMEOUT: &str = "SET lock_timeout = '1s'";

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_create_tasks::Migration),
            Box::new(m0002_create_idempotency_keys::Migration),
            Box::new(m0003_create_revocations::Migration),
            Box::new(m0004_create_row_policies::Migration),
            Box::new(m0005_index_tasks_by_title::Migration),
        ]
    }
}
