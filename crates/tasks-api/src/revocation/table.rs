//! The table `revocations`.
//!
//! Its statements are SQL, since what makes them correct is PostgreSQL's own: transaction ids, and `NOTIFY` in the
//! transaction that writes.

use better_auth_jwt::{LogoutTarget, LogoutToken};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, FromQueryResult, Statement, Value};

use crate::{
    database::{Availability, Database},
    db_error::Cause,
};

/// The channel of `NOTIFY` for new revocations.
pub(super) const CHANNEL: &str = "tasks_api_revocations";

/// The table. It is not per-user, so it has no row policies.
///
/// A row revokes the session `sid`, or all tokens that were issued to `user_id` until `revoked_at`; the other one is empty.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) connection: DatabaseConnection,
    pub(super) availability: Availability,
}

/// A revocation.
#[derive(FromQueryResult)]
pub(super) struct Row {
    pub(super) issuer: String,
    pub(super) sid: String,
    pub(super) user_id: String,
    /// In seconds since 1970.
    revoked_at: i64,
}

impl Row {
    pub(super) fn revoked_at(&self) -> u64 {
        self.revoked_at.try_into().unwrap_or_default()
    }
}

impl Table {
    pub(super) fn new(database: &Database) -> Self {
        Self { connection: database.connection.clone(), availability: database.availability.clone() }
    }

    /// Stores a revocation and notifies other replicas. A repeated revocation changes nothing and sends no notification.
    pub(super) async fn store(&self, logout: &LogoutToken) -> Result<(), DbErr> {
        let (sid, user_id) = match logout.target() {
            LogoutTarget::Session(sid) => (sid, ""),
            LogoutTarget::User(user_id) => ("", user_id),
        };
        // One statement, so one transaction: replicas that are notified find the row.
        let sql = match self.is_shared() {
            true => format!(
                "WITH written AS ({} RETURNING 1) SELECT pg_notify('{CHANNEL}', '') FROM written",
                upsert("txid_current()")
            ),
            false => upsert("0"),
        };
        let values = [logout.issuer().into(), sid.into(), user_id.into(), seconds(logout.issued_at())];
        self.availability.watch_commit(self.connection.execute_raw(self.statement(sql, values))).await.map(drop)
    }

    /// A lower bound of the transaction ids of rows that are not visible yet, and whether the database is read-only: then
    /// another one may be the primary by now, with other transaction ids.
    ///
    /// Transactions get their ids in order and commit in any order: a row may appear after others with higher ids, but never
    /// with an id below the oldest transaction that is still running.
    pub(super) async fn watermark(&self) -> Result<(i64, bool), DbErr> {
        if !self.is_shared() {
            return Ok((0, false));
        }
        let watermark =
            "SELECT txid_snapshot_xmin(txid_current_snapshot()), current_setting('transaction_read_only')::boolean";
        let row = self.availability.watch(self.connection.query_one_raw(self.statement(watermark, [])));
        let Some(row) = row.await? else { return Ok((0, false)) };
        let is_read_only = row.try_get_by_index(1)?;
        if is_read_only {
            self.availability.writability().note_failing(Cause::ReadOnly);
        }
        Ok((row.try_get_by_index(0)?, is_read_only))
    }

    /// Calls `each` with all rows that were written since this watermark.
    pub(super) async fn read(&self, since: i64, each: impl Fn(&Row) -> Result<(), DbErr>) -> Result<(), DbErr> {
        // In pages, so that no statement takes long and memory holds one page at a time.
        const PAGE: usize = 5000;
        let sql = format!(
            "SELECT issuer, sid, user_id, revoked_at FROM revocations \
             WHERE xid >= $1 AND (issuer, sid, user_id) > ($2, $3, $4) ORDER BY issuer, sid, user_id LIMIT {PAGE}"
        );
        let (mut issuer, mut sid, mut user_id) = (String::new(), String::new(), String::new());
        loop {
            let after = [since.into(), issuer.as_str().into(), sid.as_str().into(), user_id.as_str().into()];
            let rows = Row::find_by_statement(self.statement(&*sql, after)).all(&self.connection).await?;
            let is_last = rows.len() < PAGE;
            rows.iter().try_for_each(&each)?;
            match rows.into_iter().next_back() {
                Some(last) if !is_last => (issuer, sid, user_id) = (last.issuer, last.sid, last.user_id),
                _ => return Ok(()),
            }
        }
    }

    /// Deletes revocations from before this time, in seconds since 1970.
    pub(super) async fn purge(&self, before: u64) -> Result<(), DbErr> {
        const BATCH: u64 = 1000;
        // Replicas that purge at the same time skip each other's rows.
        let lock = if self.is_shared() { "FOR UPDATE SKIP LOCKED" } else { "" };
        let sql = format!(
            "DELETE FROM revocations WHERE (issuer, sid, user_id) IN (SELECT issuer, sid, user_id FROM revocations \
             WHERE revoked_at < $1 ORDER BY revoked_at LIMIT {BATCH} {lock})"
        );
        loop {
            // Small batches: no logout waits long for them.
            let deleted = self.connection.execute_raw(self.statement(&*sql, [seconds(before)])).await?;
            if deleted.rows_affected() < BATCH {
                return Ok(());
            }
        }
    }

    /// Whether other servers may write to it. A SQLite file has one server.
    pub(super) fn is_shared(&self) -> bool {
        self.connection.get_database_backend() == DbBackend::Postgres
    }

    fn statement<const N: usize>(&self, sql: impl Into<String>, values: [Value; N]) -> Statement {
        Statement::from_sql_and_values(self.connection.get_database_backend(), sql, values)
    }
}

/// `revoked_at` only ever grows.
fn upsert(transaction: &str) -> String {
    format!(
        "INSERT INTO revocations (issuer, sid, user_id, revoked_at, xid) VALUES ($1, $2, $3, $4, {transaction}) \
         ON CONFLICT (issuer, sid, user_id) DO UPDATE SET revoked_at = excluded.revoked_at, xid = excluded.xid \
         WHERE revocations.revoked_at < excluded.revoked_at"
    )
}

fn seconds(time: u64) -> Value {
    i64::try_from(time).unwrap_or(i64::MAX).into()
}
