//! Loading the revocations that other replicas receive: PostgreSQL notifies, and the table is polled besides.

use std::{sync::atomic::Ordering, time::Duration};

use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{Revocations, table::CHANNEL};

/// A notification may be lost with its connection, and proxies that pool transactions deliver none.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Notifications within this time cause one poll.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// For all pages of a table.
const POLL_TIMEOUT: Duration = Duration::from_secs(30);

/// Between attempts to listen: the first and the longest.
const RECONNECT_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

impl Revocations {
    /// Loads what other replicas write, as long as the server runs.
    pub(crate) async fn sync(self) {
        // No other server writes to a SQLite file.
        if self.table.is_shared() {
            let wakeup = Notify::new();
            tokio::join!(self.listen(&wakeup), self.poll_repeatedly(&wakeup));
        }
    }

    async fn poll_repeatedly(&self, wakeup: &Notify) {
        let mut is_failing = false;
        loop {
            let _ = timeout(POLL_INTERVAL, wakeup.notified()).await;
            let error = match timeout(POLL_TIMEOUT, self.poll()).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no response within {POLL_TIMEOUT:?}")),
            };
            match &error {
                Some(error) => {
                    self.state.needs_full_sync.store(true, Ordering::Relaxed);
                    if !is_failing && !self.table.availability.is_unavailable() {
                        warn!(error, "failed to load revocations; trying again every {POLL_INTERVAL:?}");
                    }
                }
                None if is_failing => info!("revocations are loaded again"),
                None => {}
            }
            is_failing = error.is_some();
            sleep(DEBOUNCE).await;
        }
    }

    async fn listen(&self, wakeup: &Notify) {
        // A connection of its own: those of the pool are for requests.
        let requests = self.table.connection.get_postgres_connection_pool();
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(4));
        let pool = pool.connect_lazy_with((*requests.connect_options()).clone());
        let (mut backoff, max_backoff) = RECONNECT_BACKOFF;
        let mut is_listening = true;
        loop {
            if let Ok(mut listener) = PgListener::connect_with(&pool).await {
                if shares_session(&mut listener, requests).await {
                    warn!("a proxy pools transactions, so PostgreSQL cannot notify; polling every {POLL_INTERVAL:?}");
                    return;
                }
                if listener.listen(CHANNEL).await.is_ok() {
                    if !is_listening {
                        info!("LISTEN connection established");
                    }
                    is_listening = true;
                    backoff = RECONNECT_BACKOFF.0;
                    // One poll for what was written before this connection listened, then one for each notification.
                    self.state.needs_full_sync.store(true, Ordering::Relaxed);
                    loop {
                        wakeup.notify_one();
                        if !matches!(listener.try_recv().await, Ok(Some(_))) {
                            break;
                        }
                    }
                    // The first sign of an outage, before a request meets it.
                    self.table.availability.suspect(&"LISTEN connection lost");
                    sleep(backoff).await;
                    continue;
                }
            }
            if is_listening && !self.table.availability.is_unavailable() {
                warn!("no LISTEN connection, polling every {POLL_INTERVAL:?}");
                is_listening = false;
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(max_backoff);
        }
    }
}

/// Whether a proxy gives the session of `listener` to requests, too.
///
/// Such a proxy delivers no notifications, and a session that listens would disturb the requests that it is given to.
async fn shares_session(listener: &mut PgListener, requests: &PgPool) -> bool {
    const SESSION: &str = "SELECT pg_backend_pid()";
    // Other requests may get the session between the two queries, but not each time.
    for _ in 0..20 {
        let session: Result<i32, _> = sqlx::query_scalar(SESSION).fetch_one(&mut *listener).await;
        let other: Result<i32, _> = sqlx::query_scalar(SESSION).fetch_one(requests).await;
        match (session, other) {
            (Ok(session), Ok(other)) if session != other => {}
            (Ok(_), Ok(_)) => return true,
            _ => return false,
        }
    }
    false
}
