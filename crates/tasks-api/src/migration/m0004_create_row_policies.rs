//! Policies of row-level security. They apply once it is enabled for the tables (`TASKS_API_ROW_SECURITY`).

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

// Expired idempotency keys are visible to every session, so that one statement can delete those of all users.
const CREATE: &str = "
    CREATE POLICY of_user ON tasks USING (user_id = current_setting('tasks_api.user', true));
    CREATE POLICY of_user ON idempotency_keys USING (user_id = current_setting('tasks_api.user', true));
    CREATE POLICY expired ON idempotency_keys USING (created_at < now() - interval '1 day') WITH CHECK (false);";

const DROP: &str = "
    DROP POLICY of_user ON tasks; DROP POLICY of_user ON idempotency_keys; DROP POLICY expired ON idempotency_keys;";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, CREATE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, DROP).await
    }
}

async fn on_postgres(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    match manager.get_database_backend() {
        DbBackend::Postgres => manager.get_connection().execute_unprepared(sql).await.map(drop),
        _ => Ok(()),
    }
}
