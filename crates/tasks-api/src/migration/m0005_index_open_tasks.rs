use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Only open tasks have a place in it, for they are what is looked for among many that are done. An index of both is changed
/// twice when a task is completed, and that is a good part of what it costs.
const OPEN: &str = "CREATE INDEX open_tasks ON tasks (user_id, id) WHERE NOT completed";
const BOTH: &str = "CREATE INDEX tasks_by_user_and_completed ON tasks (user_id, completed, id)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        exchange(manager, "DROP INDEX tasks_by_user_and_completed", OPEN).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        exchange(manager, "DROP INDEX open_tasks", BOTH).await
    }
}

async fn exchange(manager: &SchemaManager<'_>, drop: &str, create: &str) -> Result<(), DbErr> {
    let db = manager.get_connection();
    db.execute_unprepared(drop).await?;
    db.execute_unprepared(create).await?;
    Ok(())
}
