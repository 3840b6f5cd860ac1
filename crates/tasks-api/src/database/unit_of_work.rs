//! One user's work in the database, for one request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use better_auth_jwt::{Authenticated, Claims};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseExecutor, DatabaseTransaction, DbBackend, DbErr, ExecResult,
    QueryResult, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
    prelude::async_trait::async_trait,
};

use super::{Availability, Database, uninterrupted};
use crate::{db_error::outcome_unknown, http::problem::Problem};

/// The database for one user. Handlers get it from a verified token, and reach tables only through it.
pub(crate) struct UserDatabase {
    database: Database,
    user_id: String,
    commit_flag: CommitFlag,
}

impl UserDatabase {
    /// For background jobs, which have no token.
    pub(crate) fn for_job(database: Database, user_id: impl Into<String>) -> Self {
        Self { database, user_id: user_id.into(), commit_flag: CommitFlag::default() }
    }

    /// A unit of work in which each statement commits by itself, unless row-level security requires a transaction.
    ///
    /// Call it once the request has been read: with row-level security it holds a connection.
    pub(crate) async fn connect(self) -> Result<UnitOfWork, Problem> {
        if self.database.row_security.is_enabled {
            return self.begin().await;
        }
        let connection = Connection::Pool(self.database.connection.clone());
        Ok(self.unit_of_work(connection))
    }

    /// A unit of work in one transaction: it is carried out entirely by [`UnitOfWork::commit`], or not at all.
    pub(crate) async fn begin(self) -> Result<UnitOfWork, Problem> {
        // Immediate: SQLite lets no transaction that has read wait for its turn to write.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let db = self.database.connection.clone();
        // A `BEGIN` that is dropped before its response leaves the connection in a transaction that the driver does not know of
        // (sqlx 0.9.0): it would go back to the pool, and what runs on it next would be acknowledged and never committed.
        let begin = uninterrupted(async move { db.begin_with_options(options).await });
        let transaction = self.database.availability.watch_part(begin).await?;
        if self.database.row_security.is_enabled {
            // `true` limits the settings to this transaction: the connection returns to the pool without a user.
            let set = "SELECT set_config('tasks_api.user', $1, true), set_config('row_security', 'on', true)";
            let set = Statement::from_sql_and_values(DbBackend::Postgres, set, [self.user_id.as_str().into()]);
            transaction.execute_raw(set).await?;
        }
        Ok(self.unit_of_work(Connection::Transaction(transaction)))
    }

    fn unit_of_work(self, connection: Connection) -> UnitOfWork {
        let Self { database, user_id, commit_flag } = self;
        UnitOfWork { user_id, connection, commit_flag, availability: database.availability }
    }
}

impl<S: Sync> FromRequestParts<S> for UserDatabase
where
    Database: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let authenticated = Authenticated::<Claims>::from_request_parts(parts, state).await;
        let Authenticated(claims) = authenticated.map_err(|_| Problem::Internal)?;
        if claims.user_id().len() > 255 {
            return Err(Problem::InvalidPath);
        }
        let commit_flag = parts.extensions.get().cloned().unwrap_or_default();
        Ok(Self { database: Database::from_ref(state), user_id: claims.user_id().to_owned(), commit_flag })
    }
}

/// A connection for SeaORM's queries that knows its user, and whether a change may have been committed.
///
/// Changes made in a transaction are lost unless [`commit`](Self::commit) is called.
pub(crate) struct UnitOfWork {
    user_id: String,
    connection: Connection,
    commit_flag: CommitFlag,
    availability: Availability,
}

enum Connection {
    /// Each statement commits by itself.
    Pool(DatabaseConnection),
    Transaction(DatabaseTransaction),
}

impl UnitOfWork {
    pub(crate) fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Ends the work and keeps its changes.
    pub(crate) async fn commit(self) -> Result<(), Problem> {
        match self.connection {
            Connection::Pool(_) => Ok(()),
            Connection::Transaction(transaction) => {
                self.commit_flag.set();
                let commit = self.availability.watch_commit(uninterrupted(transaction.commit()));
                Ok(commit.await.map_err(outcome_unknown)?)
            }
        }
    }

    fn executor(&self) -> DatabaseExecutor<'_> {
        match &self.connection {
            Connection::Pool(db) => db.into(),
            Connection::Transaction(transaction) => transaction.into(),
        }
    }

    /// Awaits a statement that changes data.
    async fn change<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        match self.connection {
            Connection::Pool(_) => {
                self.commit_flag.set();
                self.availability.watch_commit(statement).await.map_err(outcome_unknown)
            }
            // It has no effect before the commit.
            Connection::Transaction(_) => self.availability.watch_part(statement).await,
        }
    }
}

#[async_trait]
impl ConnectionTrait for UnitOfWork {
    fn get_database_backend(&self) -> DbBackend {
        self.executor().get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let executor = self.executor();
        match is_read(&statement.sql) {
            true => self.availability.watch(executor.execute_raw(statement)).await,
            false => self.change(executor.execute_raw(statement)).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let executor = self.executor();
        self.change(executor.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match is_read(&statement.sql) {
            true => self.availability.watch(self.executor().query_one_raw(statement)).await,
            // SQLite commits, and reports that it cannot, when the last row has been read.
            false => Ok(self.query_all_raw(statement).await?.into_iter().next()),
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let executor = self.executor();
        match is_read(&statement.sql) {
            true => self.availability.watch(executor.query_all_raw(statement)).await,
            false => self.change(executor.query_all_raw(statement)).await,
        }
    }
}

/// Anything else, `WITH` included, may change data.
fn is_read(sql: &str) -> bool {
    sql.starts_with("SELECT")
}

/// Set once a request may have changed data: until then a request that times out is answered 503, afterwards 504.
#[derive(Clone, Default)]
pub(crate) struct CommitFlag(Arc<AtomicBool>);

impl CommitFlag {
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
