//! The database as the server's requests share it, and its row-level security.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement};

use crate::{cli::Failure, writability::Writability};

#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) db: DatabaseConnection,
    pub(crate) writability: Writability,
    /// The tables had row-level security at the start: each transaction sets its user.
    row_security: bool,
    /// The configuration requires it.
    requires_row_security: bool,
}

impl Store {
    pub(crate) fn new(db: DatabaseConnection, writability: Writability) -> Self {
        Self { db, writability, row_security: false, requires_row_security: false }
    }

    /// Reads from the database whether its tables have row-level security: another replica may have enabled it.
    pub(crate) async fn follow_row_security(mut self) -> Result<Self, DbErr> {
        self.row_security = row_security(&self.db).await?.is_enabled;
        Ok(self)
    }

    /// Enables row-level security. Each request then takes a transaction.
    pub(crate) async fn secure_rows(mut self) -> Result<Self, Failure> {
        enable_row_security(&self.db)
            .await
            .map_err(|reason| Failure::new(format!("TASKS_API_ROW_SECURITY cannot be enabled: {reason}.")))?;
        (self.row_security, self.requires_row_security) = (true, true);
        Ok(self)
    }

    pub(crate) fn has_row_security(&self) -> bool {
        self.row_security
    }

    /// Does the database still have the row-level security that this server works with? A server that was started without it
    /// cannot serve once it is enabled: `database::connect` has PostgreSQL reject its statements.
    pub(crate) async fn row_security_fits(&self) -> Result<bool, DbErr> {
        let now = row_security(&self.db).await?;
        Ok((self.row_security || !now.is_enabled) && (now.is_forced || !self.requires_row_security))
    }
}

/// Runs `work` to its end, even if the caller is dropped because a client disconnects or a time limit passes.
pub(crate) async fn uninterrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, DbErr>> + Send + 'static,
) -> Result<T, DbErr> {
    let finished = tokio::spawn(work).await;
    finished.unwrap_or_else(|failed| Err(DbErr::Exec(RuntimeErr::Internal(format!("its task ended early: {failed}")))))
}

/// The tables that have policies.
const SECURED: [&str; 2] = ["tasks", "idempotency_keys"];

#[derive(Default)]
struct RowSecurity {
    /// For one of the tables at least.
    is_enabled: bool,
    /// For all of them, and for their owner, too.
    is_forced: bool,
}

async fn row_security(db: &DatabaseConnection) -> Result<RowSecurity, DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(RowSecurity::default());
    }
    let tables = SECURED.map(|table| format!("to_regclass('{table}')")).join(", ");
    let state = format!(
        "SELECT coalesce(bool_or(relrowsecurity), false), coalesce(bool_and(relrowsecurity AND relforcerowsecurity), false) \
         FROM pg_class WHERE oid IN ({tables})"
    );
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, state)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the state of row-level security".into()))?;
    Ok(RowSecurity { is_enabled: row.try_get_by_index(0)?, is_forced: row.try_get_by_index(1)? })
}

async fn enable_row_security(db: &DatabaseConnection) -> Result<(), String> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Err("only PostgreSQL has row-level security; unset it, or set DATABASE_URL to a PostgreSQL".into());
    }
    if query_bool(db, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user").await? {
        return Err("this role is a superuser or has BYPASSRLS, so no policy applies to it; use another role".into());
    }
    for table in SECURED {
        let state =
            format!("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = '{table}'::regclass");
        if !query_bool(db, &state).await? {
            // FORCE: policies do not apply to the owner of a table otherwise.
            let enable = format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
            db.execute_unprepared(&enable).await.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

async fn query_bool(db: &DatabaseConnection, sql: &str) -> Result<bool, String> {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
    let row = row.map_err(|error| error.to_string())?.ok_or("PostgreSQL returned no row")?;
    row.try_get_by_index(0).map_err(|error| error.to_string())
}
