use better_auth_jwt::LogoutTarget;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement, Value};

use crate::writability::Writability;

/// On this channel PostgreSQL says that there is something new.
pub(super) const CHANNEL: &str = "tasks_api_logouts";

/// The table of logouts. It belongs to no user but to the server, so no policy keeps anybody from it.
///
/// A row ends the session `sid`, or all tokens that `user_id` was issued until `ended_at`; the other one is empty.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) db: DatabaseConnection,
    pub(super) writability: Writability,
}

/// A row, for which `ended_at` is in seconds since 1970.
pub(super) struct Row {
    pub(super) sid: String,
    pub(super) user_id: String,
    pub(super) ended_at: u64,
}

impl Table {
    /// Stores a logout, and tells whoever listens. A repeat changes nothing and is not told.
    pub(super) async fn store(&self, ended: LogoutTarget<'_>, ended_at: u64) -> Result<(), DbErr> {
        let (sid, user) = match ended {
            LogoutTarget::Session(sid) => (sid, ""),
            LogoutTarget::User(user) => ("", user),
        };
        // In one statement, so in one transaction: who is told finds the row.
        let sql = match self.is_shared() {
            true => format!(
                "WITH written AS ({} RETURNING 1) SELECT pg_notify('{CHANNEL}', '') FROM written",
                upsert("txid_current()")
            ),
            false => upsert("0"),
        };
        let values = [sid.into(), user.into(), seconds(ended_at)];
        self.writability.watch(self.db.execute_raw(self.statement(sql, values))).await.map(drop)
    }

    /// Whatever is written from now on, or has been written and can't be seen yet, is not before this.
    ///
    /// Rows are numbered by PostgreSQL's transactions, which begin in this order but end in any: a row may appear after
    /// others with higher numbers. Yet none appears below the oldest transaction that is still under way.
    ///
    /// The second value is whether the database is read-only: then another may be the primary by now, and number otherwise.
    pub(super) async fn horizon(&self) -> Result<(i64, bool), DbErr> {
        if !self.is_shared() {
            return Ok((0, false));
        }
        let horizon =
            "SELECT txid_snapshot_xmin(txid_current_snapshot()), current_setting('transaction_read_only')::boolean";
        let Some(row) = self.db.query_one_raw(self.statement(horizon, [])).await? else { return Ok((0, false)) };
        let is_read_only = row.try_get_by_index(1)?;
        if is_read_only {
            self.writability.note_read_only();
        }
        Ok((row.try_get_by_index(0)?, is_read_only))
    }

    /// Calls `each` with all rows that were written since this horizon.
    pub(super) async fn read(&self, since: i64, each: impl Fn(&Row) -> Result<(), DbErr>) -> Result<(), DbErr> {
        // Page by page: nobody waits long for one, and memory holds no more of them.
        const PAGE: usize = 5000;
        let sql = format!(
            "SELECT sid, user_id, revoked_at FROM revocations WHERE xid >= $1 AND (sid, user_id) > ($2, $3) \
             ORDER BY sid, user_id LIMIT {PAGE}"
        );
        let (mut sid, mut user_id) = (String::new(), String::new());
        loop {
            let page = self.statement(&*sql, [since.into(), sid.as_str().into(), user_id.as_str().into()]);
            let rows = self.db.query_all_raw(page).await?;
            let is_last = rows.len() < PAGE;
            for row in rows {
                let row = Row::try_from(row)?;
                each(&row)?;
                (sid, user_id) = (row.sid, row.user_id);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Deletes what ended before this time.
    pub(super) async fn forget(&self, before: u64) -> Result<(), DbErr> {
        const BATCH: u64 = 1000;
        // Replicas that do the same at the same time leave each other's rows alone.
        let lock = if self.is_shared() { "FOR UPDATE SKIP LOCKED" } else { "" };
        let sql = format!(
            "DELETE FROM revocations WHERE (sid, user_id) IN \
             (SELECT sid, user_id FROM revocations WHERE revoked_at < $1 ORDER BY revoked_at LIMIT {BATCH} {lock})"
        );
        loop {
            // Small batches: no logout waits long for its turn.
            let deleted = self.db.execute_raw(self.statement(&*sql, [seconds(before)])).await?;
            if deleted.rows_affected() < BATCH {
                return Ok(());
            }
        }
    }

    /// May others write to it? SQLite's has one server.
    pub(super) fn is_shared(&self) -> bool {
        self.db.get_database_backend() == DbBackend::Postgres
    }

    fn statement<const N: usize>(&self, sql: impl Into<String>, values: [Value; N]) -> Statement {
        Statement::from_sql_and_values(self.db.get_database_backend(), sql, values)
    }
}

impl TryFrom<QueryResult> for Row {
    type Error = DbErr;

    fn try_from(row: QueryResult) -> Result<Self, DbErr> {
        let ended_at: i64 = row.try_get_by_index(2)?;
        Ok(Self {
            sid: row.try_get_by_index(0)?,
            user_id: row.try_get_by_index(1)?,
            ended_at: ended_at.try_into().unwrap_or_default(),
        })
    }
}

/// `ended_at` only ever grows.
fn upsert(transaction: &str) -> String {
    format!(
        "INSERT INTO revocations (sid, user_id, revoked_at, xid) VALUES ($1, $2, $3, {transaction}) \
         ON CONFLICT (sid, user_id) DO UPDATE SET revoked_at = excluded.revoked_at, xid = excluded.xid \
         WHERE revocations.revoked_at < excluded.revoked_at"
    )
}

fn seconds(time: u64) -> Value {
    i64::try_from(time).unwrap_or(i64::MAX).into()
}
