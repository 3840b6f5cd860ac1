//! A new connection to PostgreSQL, to find out whether there can be one.

use std::{io, time::Duration};

use sqlx::{Connection, Executor, PgConnection, Row, postgres::PgConnectOptions};
use tokio::time::timeout;

/// A standby says so, too.
pub(super) const IS_READ_ONLY: &str = "SELECT current_setting('transaction_read_only')::boolean";

/// Opens a connection and closes it again.
///
/// # Errors
/// The driver's own error, which a pool hides behind "pool timed out".
pub(super) async fn probe(options: &PgConnectOptions, limit: Duration) -> Result<(), sqlx::Error> {
    let probe = async {
        let mut connection = PgConnection::connect_with(options).await?;
        // Not prepared: a proxy that pools transactions would keep the statement. A proxy may also accept a connection for
        // a database that is away, so connecting alone proves nothing.
        let row = connection.fetch_one(sqlx::raw_sql(IS_READ_ONLY)).await?;
        row.try_get::<bool, _>(0)?;
        connection.close().await
    };
    timeout(limit, probe).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// What keeps a connection from being opened, in the words of PostgreSQL or the operating system. Contains no password.
pub(super) fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => "the connection was closed".into(),
        // The name of the host cannot be resolved: the operating system's words are in the source.
        sqlx::Error::Io(error) => match std::error::Error::source(error) {
            Some(source) => source.to_string(),
            None => error.to_string(),
        },
        other => other.to_string(),
    }
}

/// Whether another attempt may succeed: the database is starting, or not reachable yet.
pub(super) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => {
            use io::ErrorKind::{InvalidData, InvalidInput, NotFound, PermissionDenied};
            // A name that cannot be resolved yet has no kind of its own.
            !matches!(error.kind(), NotFound | PermissionDenied | InvalidInput | InvalidData)
        }
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            // 08 connection exception, 53 insufficient resources, 57 operator intervention: starting or shutting down.
            ["08", "53", "57"].iter().any(|class| code.starts_with(class))
        }
        _ => false,
    }
}

/// PostgreSQL responds, but allows no more connections.
pub(super) fn has_no_connections_left(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("53300"))
}
