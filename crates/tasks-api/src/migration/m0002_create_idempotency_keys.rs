//! The table of idempotency keys: which response a request with this key has had.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum IdempotencyKeys {
    Table,
    UserId,
    Key,
    RequestHash,
    Status,
    Headers,
    Body,
    CreatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let keys = Table::create()
            .table(IdempotencyKeys::Table)
            .col(text(IdempotencyKeys::UserId))
            .col(text(IdempotencyKeys::Key))
            .col(blob(IdempotencyKeys::RequestHash))
            .col(small_integer(IdempotencyKeys::Status))
            .col(json_binary(IdempotencyKeys::Headers))
            .col(blob(IdempotencyKeys::Body))
            .col(timestamp_with_time_zone(IdempotencyKeys::CreatedAt))
            .primary_key(Index::create().col(IdempotencyKeys::UserId).col(IdempotencyKeys::Key))
            .to_owned();
        manager.create_table(keys).await?;
        // For the only query that is not about one user: expired keys are purged.
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
