//! The table of revoked sessions and users, which all replicas read.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum Revocations {
    Table,
    Issuer,
    Sid,
    UserId,
    RevokedAt,
    Xid,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let revocations = Table::create()
            .table(Revocations::Table)
            .col(text(Revocations::Issuer))
            .col(text(Revocations::Sid))
            .col(text(Revocations::UserId))
            // In seconds since 1970, as in logout tokens.
            .col(big_integer(Revocations::RevokedAt))
            // The PostgreSQL transaction that wrote the row.
            .col(big_integer(Revocations::Xid))
            .primary_key(Index::create().col(Revocations::Issuer).col(Revocations::Sid).col(Revocations::UserId))
            .to_owned();
        manager.create_table(revocations).await?;
        // One finds old rows to purge, the other new rows to load.
        for (name, column) in [("revocations_by_age", Revocations::RevokedAt), ("revocations_by_xid", Revocations::Xid)]
        {
            let index = Index::create().name(name).table(Revocations::Table).col(column).to_owned();
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Revocations::Table).to_owned()).await
    }
}
