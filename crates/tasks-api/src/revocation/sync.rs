//! Loading the revocations that other replicas receive: PostgreSQL notifies, and the table is polled besides.

use std::{sync::atomic::Ordering, time::Duration};

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{Revocations, table::CHANNEL};

/// A notification may be lost with its connection, and proxies that pool transactions deliver none.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

const NO_NOTIFICATIONS: &str = "PostgreSQL's notifications of revocations do not arrive; polling every 2 seconds instead \
                                (a proxy that pools transactions delivers none)";

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
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(4));
        let pool =
            pool.connect_lazy_with((*self.table.connection.get_postgres_connection_pool().connect_options()).clone());
        let (mut backoff, max_backoff) = RECONNECT_BACKOFF;
        // Whether the log has said that there are no notifications.
        let mut is_polling = false;
        loop {
            if let Ok(mut listener) = PgListener::connect_with(&pool).await
                && listener.listen(CHANNEL).await.is_ok()
            {
                backoff = RECONNECT_BACKOFF.0;
                // First for what was written while nobody listened, then for each notification.
                self.state.needs_full_sync.store(true, Ordering::Relaxed);
                let is_notified = self.is_notified(&mut listener).await;
                wakeup.notify_one();
                if is_notified && is_polling {
                    info!("notifications of revocations arrive again");
                    is_polling = false;
                } else if !is_notified {
                    self.warn_once(&mut is_polling);
                }
                while matches!(listener.try_recv().await, Ok(Some(_))) {
                    wakeup.notify_one();
                }
                // The database may be unavailable.
                self.table.availability.suspect(&"the connection that listens for notifications was lost");
            } else {
                self.warn_once(&mut is_polling);
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(max_backoff);
        }
    }

    fn warn_once(&self, is_polling: &mut bool) {
        if !*is_polling && !self.table.availability.is_unavailable() {
            warn!("{NO_NOTIFICATIONS}");
            *is_polling = true;
        }
    }

    /// Whether a notification arrives: proxies that pool transactions accept `LISTEN` and deliver none.
    async fn is_notified(&self, listener: &mut PgListener) -> bool {
        self.table.notify().await.is_ok()
            && matches!(timeout(POLL_INTERVAL, listener.try_recv()).await, Ok(Ok(Some(_))))
    }
}
