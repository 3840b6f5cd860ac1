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
        let tasks = Table::create()
            .table(Tasks::Table)
            .col(text(Tasks::UserId))
            .col(uuid(Tasks::Id))
            .col(text(Tasks::Title))
            .col(text_null(Tasks::Description))
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
