use std::time::Duration;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseConnectionType as Driver, DatabaseExecutor,
    DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter, QueryResult, RuntimeErr, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use time::OffsetDateTime;
use tokio::time::interval;
use tracing::warn;

use crate::{cli::Failure, effect::Effect, entity::idempotency_key, problem::Problem, writability::Writability};

/// The database, and how a user's work in it begins.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) db: DatabaseConnection,
    pub(crate) writability: Writability,
    /// The tables had row-level security at the start: each transaction says whose it is.
    row_security: bool,
    /// The configuration requires it.
    requires_row_security: bool,
}

/// One user's piece of work in the database.
pub(crate) struct Session {
    connection: Connection,
    effect: Effect,
    writability: Writability,
}

enum Connection {
    /// Each statement commits by itself.
    Pool(DatabaseConnection),
    Transaction(DatabaseTransaction),
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

    /// Does the database still have the row-level security that this server works with? One that was started without it
    /// cannot serve once it is enabled: `database::connect` has PostgreSQL reject its statements.
    pub(crate) async fn row_security_fits(&self) -> Result<bool, DbErr> {
        let now = row_security(&self.db).await?;
        Ok((self.row_security || !now.is_enabled) && (now.is_forced || !self.requires_row_security))
    }

    /// Has PostgreSQL itself keep the users apart, too. It costs a transaction for each request.
    pub(crate) async fn secure_rows(mut self) -> Result<Self, Failure> {
        self.switch_on()
            .await
            .map_err(|reason| Failure::new(format!("TASKS_API_ROW_SECURITY cannot be had: {reason}.")))?;
        (self.row_security, self.requires_row_security) = (true, true);
        Ok(self)
    }

    /// For statements of which each is whole in itself.
    pub(crate) async fn session(&self, user: &str, effect: Effect) -> Result<Session, DbErr> {
        if self.row_security {
            return self.transaction(user, effect).await;
        }
        Ok(self.session_on(Connection::Pool(self.db.clone()), effect))
    }

    /// For statements that count all or none.
    pub(crate) async fn transaction(&self, user: &str, effect: Effect) -> Result<Session, DbErr> {
        // Immediate: a read that turns into a write later could not wait for its turn.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let db = self.db.clone();
        // A `BEGIN` that is dropped before its response leaves the connection in a transaction that the driver does not know of
        // (sqlx 0.9.0): it would go back to the pool, and what runs on it next would be acknowledged and never committed.
        let begin = uninterrupted(async move { db.begin_with_options(options).await });
        let transaction = self.writability.watch(begin).await?;
        if self.row_security {
            // `true`: for this transaction alone. However it ends, the connection goes back to the pool as nobody's.
            let set = "SELECT set_config('tasks_api.user', $1, true), set_config('row_security', 'on', true)";
            let set = Statement::from_sql_and_values(DbBackend::Postgres, set, [user.into()]);
            transaction.execute_raw(set).await?;
        }
        Ok(self.session_on(Connection::Transaction(transaction), effect))
    }

    fn session_on(&self, connection: Connection, effect: Effect) -> Session {
        Session { connection, effect, writability: self.writability.clone() }
    }

    /// Deletes idempotency keys that are too old to count, now and then.
    pub(crate) async fn forget_old_keys(self) {
        let mut hourly = interval(Duration::from_secs(3600));
        loop {
            hourly.tick().await;
            // The error itself has been logged.
            if self.delete_old_keys().await.is_err() {
                warn!("failed to purge expired idempotency keys");
            }
        }
    }

    async fn delete_old_keys(&self) -> Result<(), Problem> {
        // Where there are policies, one of them allows this to all users, and to a transaction of none.
        let session = self.session("", Effect::default()).await?;
        let old = idempotency_key::Column::CreatedAt.lt(now() - KEPT);
        let delete = idempotency_key::Entity::delete_many().filter(old);
        session.change(delete.exec(&session.db())).await?;
        session.commit().await
    }

    async fn switch_on(&self) -> Result<(), String> {
        if self.db.get_database_backend() != DbBackend::Postgres {
            return Err("only PostgreSQL has row-level security; unset it, or set DATABASE_URL to a PostgreSQL".into());
        }
        let role = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user";
        if self.is(role).await? {
            return Err(
                "this role is a superuser or has BYPASSRLS, to which no policy applies; take another role".into()
            );
        }
        for table in SECURED {
            let secured =
                format!("SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = '{table}'::regclass");
            if !self.is(&secured).await? {
                // FORCE: the owner of a table is otherwise above its policies.
                let secure = format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
                self.db.execute_unprepared(&secure).await.map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    async fn is(&self, question: &str) -> Result<bool, String> {
        let answer = self.db.query_one_raw(Statement::from_string(DbBackend::Postgres, question)).await;
        let row = answer.map_err(|error| error.to_string())?.ok_or("PostgreSQL does not know itself")?;
        row.try_get_by_index(0).map_err(|error| error.to_string())
    }
}

impl Session {
    pub(crate) fn db(&self) -> DatabaseExecutor<'_> {
        match &self.connection {
            Connection::Pool(db) => db.into(),
            Connection::Transaction(transaction) => transaction.into(),
        }
    }

    /// All that a statement gives.
    ///
    /// Of the driver itself: a future of SeaORM's `ConnectionTrait` has room for every driver's, and is copied several times
    /// for each statement; see DESIGN.md.
    pub(crate) async fn all(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.connection {
            Connection::Pool(db) => match &db.inner {
                Driver::SqlxSqlitePoolConnection(db) => Box::pin(db.query_all(statement)).await,
                Driver::SqlxPostgresPoolConnection(db) => Box::pin(db.query_all(statement)).await,
                _ => db.query_all_raw(statement).await,
            },
            Connection::Transaction(transaction) => transaction.query_all_raw(statement).await,
        }
    }

    /// The one row that a statement gives, and no more is read: for one that writes this is too early, see [`all`](Self::all).
    pub(crate) async fn one(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match &self.connection {
            Connection::Pool(db) => match &db.inner {
                Driver::SqlxSqlitePoolConnection(db) => Box::pin(db.query_one(statement)).await,
                Driver::SqlxPostgresPoolConnection(db) => Box::pin(db.query_one(statement)).await,
                _ => db.query_one_raw(statement).await,
            },
            Connection::Transaction(transaction) => transaction.query_one_raw(statement).await,
        }
    }

    /// Awaits a statement that changes data.
    pub(crate) async fn change<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, Problem> {
        let statement = self.writability.watch(statement);
        match self.connection {
            Connection::Pool(_) => self.effect.of(statement).await,
            // It has no effect before the commit.
            Connection::Transaction(_) => Ok(statement.await?),
        }
    }

    /// Keeps what was done; a session that is dropped has done nothing, unless each statement committed by itself.
    pub(crate) async fn commit(self) -> Result<(), Problem> {
        match self.connection {
            Connection::Pool(_) => Ok(()),
            Connection::Transaction(transaction) => {
                self.effect.of(self.writability.watch(uninterrupted(transaction.commit()))).await
            }
        }
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

/// For so many microseconds an idempotency key counts: a day.
pub(crate) const KEPT: i64 = 24 * 3600 * 1_000_000;

/// Microseconds since 1970.
pub(crate) fn now() -> i64 {
    (OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000) as i64
}
