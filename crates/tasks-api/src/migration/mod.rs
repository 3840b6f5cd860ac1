//! The tables' history. A migration that has been released is never edited: add the next one.
#![expect(elided_lifetimes_in_paths, reason = "as in SeaORM's trait, else async_trait's lifetimes differ")]

use sea_orm_migration::prelude::*;

mod m0001_create_tasks;
mod m0002_create_idempotency_keys;
mod m0003_row_policies;
mod m0004_create_logouts;
mod m0005_index_open_tasks;

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_create_tasks::Migration),
            Box::new(m0002_create_idempotency_keys::Migration),
            Box::new(m0003_row_policies::Migration),
            Box::new(m0004_create_logouts::Migration),
            Box::new(m0005_index_open_tasks::Migration),
        ]
    }
}
