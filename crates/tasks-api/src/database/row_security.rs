//! PostgreSQL's row-level security: the state of the tables decides, not the setting of each server.

use anyhow::{Context, bail, ensure};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use super::failed;

/// The tables that have policies.
const SECURED: [&str; 2] = ["tasks", "idempotency_keys"];

/// What this server found or did at its start.
#[derive(Clone, Copy)]
pub(crate) struct RowSecurity {
    /// Each transaction sets its user.
    pub(crate) is_enabled: bool,
    /// The configuration requires it.
    is_required: bool,
}

impl RowSecurity {
    /// Reads from the database whether its tables have row-level security: another replica may have enabled it.
    pub(crate) async fn detect(db: &DatabaseConnection) -> Result<Self, DbErr> {
        Ok(Self { is_enabled: TableState::read(db).await?.is_enabled, is_required: false })
    }

    /// Enables row-level security where it is not enabled yet.
    ///
    /// # Errors
    /// The database is not PostgreSQL, or its role is exempt from policies or may not enable them.
    pub(crate) async fn enable(db: &DatabaseConnection) -> anyhow::Result<Self> {
        if db.get_database_backend() != DbBackend::Postgres {
            bail!("only PostgreSQL has row-level security; unset it, or set DATABASE_URL to a PostgreSQL");
        }
        let is_exempt = query_bool(db, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user");
        ensure!(
            !is_exempt.await?,
            "this role is a superuser or has BYPASSRLS, so no policy applies to it; use another role"
        );
        for table in SECURED {
            let state =
                format!("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = '{table}'::regclass");
            if !query_bool(db, &state).await? {
                // FORCE: policies do not apply to the owner of a table otherwise.
                let enable = format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
                db.execute_unprepared(&enable).await.map_err(failed("enable it once as the owner of the tables"))?;
            }
        }
        Ok(Self { is_enabled: true, is_required: true })
    }

    /// Whether the tables are still as this server expects them. A server that was started without row-level security cannot
    /// serve once it is enabled: PostgreSQL rejects its statements.
    pub(crate) async fn fits(self, db: &DatabaseConnection) -> Result<bool, DbErr> {
        let now = TableState::read(db).await?;
        Ok((self.is_enabled || !now.is_enabled) && (now.is_forced || !self.is_required))
    }
}

#[derive(Default)]
struct TableState {
    /// For one of the tables at least.
    is_enabled: bool,
    /// For all of them, and for their owner, too.
    is_forced: bool,
}

impl TableState {
    async fn read(db: &DatabaseConnection) -> Result<Self, DbErr> {
        if db.get_database_backend() != DbBackend::Postgres {
            return Ok(Self::default());
        }
        let tables = SECURED.map(|table| format!("to_regclass('{table}')")).join(", ");
        let state = format!(
            "SELECT coalesce(bool_or(relrowsecurity), false), coalesce(bool_and(relrowsecurity AND relforcerowsecurity), false) \
             FROM pg_class WHERE oid IN ({tables})"
        );
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, state)).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("the state of row-level security".into()))?;
        Ok(Self { is_enabled: row.try_get_by_index(0)?, is_forced: row.try_get_by_index(1)? })
    }
}

async fn query_bool(db: &DatabaseConnection, sql: &str) -> anyhow::Result<bool> {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    Ok(row.context("PostgreSQL returned no row")?.try_get_by_index(0)?)
}
