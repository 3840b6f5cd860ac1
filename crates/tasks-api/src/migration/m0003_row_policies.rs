use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// They say nothing until row-level security is switched on for the table (`TASKS_API_ROW_SECURITY`).
///
/// Keys of more than a day are nobody's, so that they can be deleted for all at once.
const POLICIES: &str = "
    CREATE POLICY of_user ON tasks USING (user_id = current_setting('tasks_api.user', true));
    CREATE POLICY of_user ON idempotency_keys USING (user_id = current_setting('tasks_api.user', true));
    CREATE POLICY too_old ON idempotency_keys
        USING (created_at < (extract(epoch FROM now()) - 86400) * 1000000)
        WITH CHECK (false);";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            sea_orm::DbBackend::Postgres => manager.get_connection().execute_unprepared(POLICIES).await.map(drop),
            _ => Ok(()),
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        const DROP: &str = "
            DROP POLICY of_user ON tasks; DROP POLICY of_user ON idempotency_keys; DROP POLICY too_old ON idempotency_keys;";
        match manager.get_database_backend() {
            sea_orm::DbBackend::Postgres => manager.get_connection().execute_unprepared(DROP).await.map(drop),
            _ => Ok(()),
        }
    }
}
