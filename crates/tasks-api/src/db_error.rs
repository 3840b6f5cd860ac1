//! What a database error says about its cause, and so about the response: by class, for PostgreSQL and SQLite.

use sea_orm::{DbErr, RuntimeErr};
use sqlx::{
    postgres::{PgDatabaseError, PgSeverity},
    sqlite::SqliteError,
};

/// What an error of the database says about its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No connection in time: nothing was sent.
    NoConnection,
    /// The session ended while a statement was under way. Whether the statement was carried out is unknown.
    ConnectionLost,
    /// The same for a change that commits: whether it was carried out is unknown. See [`outcome_unknown`].
    OutcomeUnknown,
    /// A standby, a primary that was demoted, or a file that must not be written. Nothing was changed.
    ReadOnly,
    /// No disk space, memory or connections, or an I/O error. Nothing was changed.
    NoResources,
    /// A lock, a deadlock, a serialization failure or a timeout: another attempt may succeed. Nothing was changed.
    Contention,
    /// A privilege is missing, as when row-level security was enabled after this server started. Nothing was changed.
    NotPermitted,
    /// The statement itself is wrong, which is our fault.
    Rejected,
}

impl Cause {
    pub(crate) fn of(error: &DbErr) -> Self {
        match error {
            // SeaORM uses these while it acquires a connection.
            DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => Self::NoConnection,
            DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
                Self::of_driver(error)
            }
            DbErr::Exec(RuntimeErr::Internal(_)) => Self::OutcomeUnknown,
            _ => Self::Rejected,
        }
    }

    fn of_driver(error: &sqlx::Error) -> Self {
        use sqlx::Error;
        match error {
            Error::PoolTimedOut | Error::PoolClosed => Self::NoConnection,
            Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => Self::ConnectionLost,
            Error::Database(error) => {
                if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
                    Self::of_postgres(error.severity(), error.code())
                } else if let Some(error) = error.try_downcast_ref::<SqliteError>() {
                    Self::of_sqlite(sqlx::error::DatabaseError::code(error).unwrap_or_default().parse().unwrap_or(0))
                } else {
                    Self::Rejected
                }
            }
            _ => Self::Rejected,
        }
    }

    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    fn of_postgres(severity: PgSeverity, code: &str) -> Self {
        // The session has ended. With any other severity PostgreSQL has rolled the statement back.
        if matches!(severity, PgSeverity::Fatal | PgSeverity::Panic) {
            return Self::ConnectionLost;
        }
        match code {
            "25006" => Self::ReadOnly,
            "42501" => Self::NotPermitted,
            "40001" | "40P01" | "55P03" | "57014" => Self::Contention,
            // 08 connection exception, 53 insufficient resources, 57 operator intervention, 58 system error.
            _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Self::NoResources,
            _ => Self::Rejected,
        }
    }

    /// <https://www.sqlite.org/rescode.html>; the lowest byte of an extended code is its primary code.
    fn of_sqlite(code: u32) -> Self {
        match code & 0xff {
            // BUSY, LOCKED
            5 | 6 => Self::Contention,
            // READONLY
            8 => Self::ReadOnly,
            // NOMEM, IOERR, FULL, CANTOPEN
            7 | 10 | 13 | 14 => Self::NoResources,
            _ => Self::Rejected,
        }
    }

    /// For the log.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::NoConnection => "no connection to the database in time",
            Self::ConnectionLost => "the connection to the database was lost",
            Self::OutcomeUnknown => {
                "the connection to the database was lost; whether a change was committed is unknown"
            }
            Self::ReadOnly => "the database is read-only",
            Self::NoResources => "the database is out of resources",
            Self::Contention => "the database is locked or too slow",
            Self::NotPermitted => {
                "the database does not permit a statement; row-level security was enabled, or a privilege is missing"
            }
            Self::Rejected => "the database rejected a statement",
        }
    }
}

/// The words of the database. `Display` of a driver's error adds lines of the database's own source, and its sources repeat it.
pub(crate) fn message(error: &DbErr) -> String {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
        }
        other => other.to_string(),
    }
}

/// Marks the error of a change that may have been committed before the connection was lost. SeaORM has no such error itself.
pub(crate) fn outcome_unknown(error: DbErr) -> DbErr {
    match Cause::of(&error) {
        Cause::ConnectionLost => DbErr::Exec(RuntimeErr::Internal(error.to_string())),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectOptions, ConnectionTrait, Database};

    use super::*;

    #[tokio::test]
    async fn sqlite_that_is_read_only_or_full_is_told_from_a_wrong_statement() {
        let mut options = ConnectOptions::new("sqlite::memory:");
        options.max_connections(1);
        let db = Database::connect(options).await.unwrap();
        let cause = async |sql: &str| Cause::of(&db.execute_unprepared(sql).await.unwrap_err());
        db.execute_unprepared("CREATE TABLE t (x PRIMARY KEY); INSERT INTO t VALUES (1)").await.unwrap();
        assert_eq!(cause("INSERT INTO t VALUES (1)").await, Cause::Rejected);
        db.execute_unprepared("PRAGMA query_only = ON").await.unwrap();
        assert_eq!(cause("INSERT INTO t VALUES (2)").await, Cause::ReadOnly);
        db.execute_unprepared("PRAGMA query_only = OFF; PRAGMA max_page_count = 1").await.unwrap();
        assert_eq!(cause("INSERT INTO t VALUES (zeroblob(100000))").await, Cause::NoResources);
    }

    #[test]
    fn extended_sqlite_codes_are_those_of_their_primary_code() {
        for (code, cause) in [
            (5, Cause::Contention),
            (5 | 2 << 8, Cause::Contention),
            (8 | 5 << 8, Cause::ReadOnly),
            (10 | 3 << 8, Cause::NoResources),
            (13, Cause::NoResources),
            (19 | 8 << 8, Cause::Rejected),
        ] {
            assert_eq!(Cause::of_sqlite(code), cause, "{code}");
        }
    }

    #[test]
    fn postgres_errors_are_told_apart_by_severity_and_class() {
        for (severity, code, cause) in [
            (PgSeverity::Error, "25006", Cause::ReadOnly),
            (PgSeverity::Error, "42501", Cause::NotPermitted),
            (PgSeverity::Error, "40001", Cause::Contention),
            (PgSeverity::Error, "40P01", Cause::Contention),
            (PgSeverity::Error, "57014", Cause::Contention),
            (PgSeverity::Error, "53100", Cause::NoResources),
            (PgSeverity::Error, "23505", Cause::Rejected),
            (PgSeverity::Fatal, "57P01", Cause::ConnectionLost),
            (PgSeverity::Fatal, "25P03", Cause::ConnectionLost),
        ] {
            assert_eq!(Cause::of_postgres(severity, code), cause, "{code}");
        }
    }
}
