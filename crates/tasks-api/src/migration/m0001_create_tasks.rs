use sea_orm_migration::{prelude::*, schema::*};

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

const BY_COMPLETED: &str = "tasks_by_user_and_completed";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // By code point, as SQLite does: the same order of titles and the same upper and lower case everywhere, whatever the
        // database's own language is.
        let by_code_point =
            if manager.get_database_backend() == sea_orm::DbBackend::Postgres { "COLLATE \"C\"" } else { "" };
        let tasks = Table::create()
            .table(Tasks::Table)
            .col(text(Tasks::UserId).extra(by_code_point))
            .col(uuid(Tasks::Id))
            .col(text(Tasks::Title).extra(by_code_point))
            .col(text_null(Tasks::Description).extra(by_code_point))
            .col(boolean(Tasks::Completed))
            .col(big_integer(Tasks::Version))
            .col(big_integer(Tasks::CreatedAt))
            .col(big_integer(Tasks::UpdatedAt))
            .primary_key(Index::create().col(Tasks::UserId).col(Tasks::Id))
            .to_owned();
        manager.create_table(tasks).await?;
        let by_completed = Index::create()
            .name(BY_COMPLETED)
            .table(Tasks::Table)
            .col(Tasks::UserId)
            .col(Tasks::Completed)
            .col(Tasks::Id)
            .to_owned();
        manager.create_index(by_completed).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Tasks::Table).to_owned()).await
    }
}
