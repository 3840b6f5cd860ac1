use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum IdempotencyKeys {
    Table,
    UserId,
    Key,
    TaskId,
    Title,
    Description,
    CreatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let keys = Table::create()
            .table(IdempotencyKeys::Table)
            .col(text(IdempotencyKeys::UserId))
            .col(text(IdempotencyKeys::Key))
            .col(uuid(IdempotencyKeys::TaskId))
            .col(text(IdempotencyKeys::Title))
            .col(text_null(IdempotencyKeys::Description))
            .col(big_integer(IdempotencyKeys::CreatedAt))
            .primary_key(Index::create().col(IdempotencyKeys::UserId).col(IdempotencyKeys::Key))
            .to_owned();
        manager.create_table(keys).await?;
        // For the one query that is about no user: what is too old is deleted.
        let by_age = Index::create()
            .name("idempotency_keys_by_age")
            .table(IdempotencyKeys::Table)
            .col(IdempotencyKeys::CreatedAt)
            .to_owned();
        manager.create_index(by_age).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(IdempotencyKeys::Table).to_owned()).await
    }
}
