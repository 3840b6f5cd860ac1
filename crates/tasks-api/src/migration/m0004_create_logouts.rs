use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum Logouts {
    Table,
    Sid,
    UserId,
    EndedAt,
    WrittenIn,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let logouts = Table::create()
            .table(Logouts::Table)
            .col(text(Logouts::Sid))
            .col(text(Logouts::UserId))
            .col(big_integer(Logouts::EndedAt))
            .col(big_integer(Logouts::WrittenIn))
            .primary_key(Index::create().col(Logouts::Sid).col(Logouts::UserId))
            .to_owned();
        manager.create_table(logouts).await?;
        // By the one old rows are found, by the other new ones.
        for (name, column) in [("logouts_by_age", Logouts::EndedAt), ("logouts_by_writing", Logouts::WrittenIn)] {
            let index = Index::create().name(name).table(Logouts::Table).col(column).to_owned();
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Logouts::Table).to_owned()).await
    }
}
