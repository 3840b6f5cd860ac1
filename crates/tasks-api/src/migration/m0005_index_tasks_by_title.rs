//! The index for `sort=title`: without it each page reads and sorts all tasks of its user.

use sea_orm_migration::prelude::*;

use super::concurrently;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const NAME: &str = "tasks_by_title";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        concurrently::create_index(manager, NAME, "tasks (user_id, title, id)").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        concurrently::drop_index(manager, NAME).await
    }
}
