//! What other replicas have heard. PostgreSQL calls when there is something new, and beside that we look ourselves.

use std::{sync::atomic::Ordering, time::Duration};

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::warn;

use super::{Logouts, table::CHANNEL};

/// Nobody may call: a connection broke and does not know yet, or a proxy in between lets no calls through.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Calls that come together are answered together.
const GATHER: Duration = Duration::from_millis(20);

/// For all pages of a table that can be read.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between attempts to be called, ever longer.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

impl Logouts {
    /// Reads what others write, as long as the server runs.
    pub(crate) async fn follow(self) {
        // SQLite has no others.
        if self.table.is_shared() {
            let news = Notify::new();
            tokio::join!(self.listen(&news), self.read_on(&news));
        }
    }

    async fn read_on(&self, news: &Notify) {
        loop {
            let _ = timeout(LOOK_EVERY, news.notified()).await;
            let failure = match timeout(PATIENCE, self.read()).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {} seconds", PATIENCE.as_secs())),
            };
            if let Some(error) = failure {
                self.seen.interrupted.store(true, Ordering::Relaxed);
                warn!(error, "the logouts cannot be read");
            }
            sleep(GATHER).await;
        }
    }

    async fn listen(&self, news: &Notify) {
        // A connection of its own: those of the pool are for requests.
        let line = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(4));
        let line = line.connect_lazy_with((*self.table.db.get_postgres_connection_pool().connect_options()).clone());
        let (mut pause, longest) = PAUSES;
        loop {
            if let Ok(mut listener) = PgListener::connect_with(&line).await
                && listener.listen(CHANNEL).await.is_ok()
            {
                pause = PAUSES.0;
                // First for what was said while nobody listened, and then for each call.
                self.seen.interrupted.store(true, Ordering::Relaxed);
                loop {
                    news.notify_one();
                    if !matches!(listener.try_recv().await, Ok(Some(_))) {
                        break;
                    }
                }
            }
            warn!("PostgreSQL does not call us when a session ends; we look every {} seconds", LOOK_EVERY.as_secs());
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}
