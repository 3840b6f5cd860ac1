//! A circuit breaker: whether PostgreSQL can be used, as far as requests and probes have found out.
//!
//! Errors and long waits of requests only raise a suspicion. If a new connection cannot be opened either, requests fail at
//! once until one can be. The log has one line when that begins and one when it ends.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnAcquireErr, DbErr};
use sqlx::postgres::PgPool;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use super::{lock_mutex, probe, writability::Writability};
use crate::db_error::Cause;

/// A statement that takes longer raises a suspicion.
const SLOW: Duration = Duration::from_millis(500);

/// A database that does not answer a new connection by then is not available.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Between probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(400);

/// Between warnings of connections that failed while the database responds.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// A clone is a handle to the same.
#[derive(Clone)]
pub(crate) struct Availability(Arc<State>);

struct State {
    /// Requests fail at once.
    is_open: watch::Sender<bool>,
    /// Wakes the probe.
    suspicion: Notify,
    /// The last error that raised a suspicion. `None`: a long wait did.
    error: Mutex<Option<String>>,
    /// Requests that have failed at once.
    rejected: AtomicU64,
    writability: Writability,
}

impl Availability {
    pub(super) fn new() -> Self {
        Self(Arc::new(State {
            is_open: watch::Sender::new(false),
            suspicion: Notify::new(),
            error: Mutex::new(None),
            rejected: AtomicU64::new(0),
            writability: Writability::default(),
        }))
    }

    /// Awaits a statement that commits nothing, unless the database is or becomes unavailable, and notes its error.
    pub(crate) async fn watch<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.note(statement, true).await
    }

    /// The same for a part of a transaction that changes data.
    pub(crate) async fn watch_part<T>(&self, part: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.watch(part).await.inspect_err(|error| self.0.writability.note_error(error))
    }

    /// The same for a statement that commits. Once it is sent its result is awaited.
    pub(crate) async fn watch_commit<T>(&self, commit: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let (result, writability) = (self.note(commit, false).await, &self.0.writability);
        result.inspect(|_| writability.note_success()).inspect_err(|error| writability.note_error(error))
    }

    async fn note<T>(
        &self,
        statement: impl Future<Output = Result<T, DbErr>>,
        may_be_dropped: bool,
    ) -> Result<T, DbErr> {
        let reject = || {
            self.0.rejected.fetch_add(1, Ordering::Relaxed);
            Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
        };
        if self.is_unavailable() {
            return reject();
        }
        let mut statement = pin!(statement);
        let result = match timeout(SLOW, &mut statement).await {
            Ok(result) => result,
            Err(_) => {
                self.0.suspicion.notify_one();
                tokio::select! {
                    result = statement => result,
                    () = self.unavailable(), if may_be_dropped => return reject(),
                }
            }
        };
        result.inspect_err(|error| {
            if matches!(Cause::of(error), Cause::NoConnection | Cause::ConnectionLost) {
                self.suspect(error);
            }
        })
    }

    /// Records that a connection was lost or cannot be opened, and wakes the probe.
    pub(crate) fn suspect(&self, error: &impl ToString) {
        *lock_mutex(&self.0.error) = Some(error.to_string());
        self.0.suspicion.notify_one();
    }

    pub(crate) fn writability(&self) -> &Writability {
        &self.0.writability
    }

    pub(crate) fn is_unavailable(&self) -> bool {
        *self.0.is_open.borrow()
    }

    /// Waits until the database is unavailable.
    pub(crate) async fn unavailable(&self) {
        let _ = self.0.is_open.subscribe().wait_for(|is_open| *is_open).await;
    }

    /// Probes PostgreSQL when there is a suspicion, as long as the program runs.
    pub(super) async fn probe(self, pool: PgPool) {
        let mut last_warning: Option<Instant> = None;
        loop {
            self.0.suspicion.notified().await;
            match probe(&pool).await {
                // A statement is slow, on a connection that there is.
                Err(error) if probe::has_no_connections_left(&error) && lock_mutex(&self.0.error).is_none() => {}
                Err(error) => self.wait_until_available(&pool, &probe::reason(&error)).await,
                Ok(()) if last_warning.is_none_or(|time| time.elapsed() >= WARN_INTERVAL) => {
                    if let Some(error) = lock_mutex(&self.0.error).take() {
                        last_warning = Some(Instant::now());
                        warn!(error, "connections of the pool failed or were not free in time; the database responds");
                    }
                }
                Ok(()) => {}
            }
            sleep(PROBE_INTERVAL).await;
        }
    }

    async fn wait_until_available(&self, pool: &PgPool, cause: &str) {
        let since = Instant::now();
        self.0.is_open.send_replace(true);
        error!(cause, "the database is unavailable; requests fail at once until it responds");
        loop {
            sleep(PROBE_INTERVAL).await;
            if probe(pool).await.is_ok() {
                break;
            }
        }
        *lock_mutex(&self.0.error) = None;
        self.0.is_open.send_replace(false);
        let (duration, rejected) = (since.elapsed(), self.0.rejected.swap(0, Ordering::Relaxed));
        info!(?duration, rejected, "the database is available again");
    }
}

/// Opens a new connection. If PostgreSQL has none left, one of the pool will do.
async fn probe(pool: &PgPool) -> Result<(), sqlx::Error> {
    let opened = probe::probe(&pool.connect_options(), PROBE_TIMEOUT).await;
    if opened.as_ref().is_err_and(probe::has_no_connections_left)
        && let Ok(Ok(_)) = timeout(SLOW, sqlx::raw_sql("SELECT 1").execute(pool)).await
    {
        return Ok(());
    }
    opened
}
