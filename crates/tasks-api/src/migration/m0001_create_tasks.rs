//! The table of tasks. Its primary key starts with the user, so it can be sharded by user.

use sea_orm_migration::{prelude::*, schema::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum Tasks {
    Table,
    UserId,
    Id,
    Title,
    Description,
    Completed,
    Version,
    CreatedAt,
    UpdatedAt,
}

// A partial index: it lists open tasks quickly however many are completed, and completing a task changes it only once.
const OPEN_TASKS: &str = "CREATE INDEX open_tasks ON tasks (user_id, id) WHERE NOT completed";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Sorted by code point and with the same lower case as in SQLite, whatever the locale of the database is.
        let collation = match manager.get_database_backend() {
            DbBackend::Postgres => "COLLATE \"C\"",
            _ => "",
        };
        let tasks = Table::create()
            .table(Tasks::Table)
            .col(text(Tasks::UserId).extra(collation))
            .col(uuid(Tasks::Id))
            .col(text(Tasks::Title).extra(collation))
            .col(text_null(Tasks::Description).extra(collation))
            .col(boolean(Tasks::Completed))
            .col(big_integer(Tasks::Version))
            .col(timestamp_with_time_zone(Tasks::CreatedAt))
            .col(timestamp_with_time_zone(Tasks::UpdatedAt))
            .primary_key(Index::create().col(Tasks::UserId).col(Tasks::Id))
            .to_owned();
        manager.create_table(tasks).await?;
        manager.get_connection().execute_unprepared(OPEN_TASKS).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Tasks::Table).to_owned()).await
    }
}
