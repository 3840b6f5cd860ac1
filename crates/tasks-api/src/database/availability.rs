//! A circuit breaker: whether the database can be used, as far as requests and probes have found out.
//!
//! Errors and long waits of requests only raise a suspicion. If a new connection cannot be opened either, requests fail at
//! once until one can be. The log has one line when that begins and one when it ends.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use sqlx::postgres::PgPool;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tracing::{error, info, warn};

use super::probe::{self, IS_READ_ONLY};
use crate::db_error::Cause;

/// A statement that takes longer raises a suspicion.
const SLOW: Duration = Duration::from_millis(500);

/// A database that does not answer a new connection by then is not available.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Between probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(400);

/// Changes succeed again if none has failed for this time.
const STABLE: Duration = Duration::from_millis(500);

/// Between warnings of connections that failed while the database responds.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// For so long after the last sign of a read-only database, connections are examined before they are used again.
const SUSPECT: Duration = Duration::from_secs(60);

/// Shorter than the time after which clients are told to try again.
const YOUNG: Duration = Duration::from_secs(1);

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
    /// Changes fail, while reads may succeed.
    failing_changes: Mutex<Option<FailingChanges>>,
    /// Requests that failed at once, or changes that failed, since it began.
    failed: AtomicU64,
    start: Instant,
    /// In milliseconds since `start`.
    suspect_until: AtomicU64,
}

struct FailingChanges {
    cause: Cause,
    first: Instant,
    last: Instant,
}

impl Availability {
    pub(super) fn new() -> Self {
        Self(Arc::new(State {
            is_open: watch::Sender::new(false),
            suspicion: Notify::new(),
            error: Mutex::new(None),
            failing_changes: Mutex::new(None),
            failed: AtomicU64::new(0),
            start: Instant::now(),
            suspect_until: AtomicU64::new(0),
        }))
    }

    /// Awaits a statement that commits nothing, unless the database is or becomes unavailable, and notes its error.
    pub(crate) async fn watch<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.note(statement, true).await
    }

    /// The same for a part of a transaction that changes data.
    pub(crate) async fn watch_part<T>(&self, part: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        self.watch(part).await.inspect_err(|error| self.note_failed_change(error))
    }

    /// The same for a statement that commits. Once it is sent its result is awaited.
    pub(crate) async fn watch_commit<T>(&self, commit: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let result = self.note(commit, false).await;
        result.inspect(|_| self.note_success()).inspect_err(|error| self.note_failed_change(error))
    }

    async fn note<T>(
        &self,
        statement: impl Future<Output = Result<T, DbErr>>,
        may_be_dropped: bool,
    ) -> Result<T, DbErr> {
        let reject = || {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
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

    /// A connection was lost, or cannot be had: a probe finds out why.
    pub(crate) fn suspect(&self, error: &impl ToString) {
        *lock(&self.0.error) = Some(error.to_string());
        self.0.suspicion.notify_one();
    }

    pub(crate) fn is_unavailable(&self) -> bool {
        *self.0.is_open.borrow()
    }

    /// Waits until the database is unavailable.
    pub(crate) async fn unavailable(&self) {
        let _ = self.0.is_open.subscribe().wait_for(|is_open| *is_open).await;
    }

    /// Should a connection of this age be examined? A primary that was demoted keeps its sessions, and so does one that is not
    /// yet promoted; a new connection may lead to the primary of today.
    pub(super) fn is_suspect(&self, age: Duration) -> bool {
        let until = self.0.suspect_until.load(Ordering::Relaxed);
        // Young ones are left alone: if the database stays read-only, each request would need a new connection.
        until > 0 && age >= YOUNG && millis(self.0.start.elapsed()) < until
    }

    /// Does the database accept changes now?
    pub(crate) async fn accepts_changes(&self, db: &DatabaseConnection) -> Result<bool, DbErr> {
        if db.get_database_backend() == DbBackend::Postgres {
            let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, IS_READ_ONLY)).await?;
            let is_read_only = row.map_or(Ok(false), |row| row.try_get_by_index(0))?;
            match is_read_only {
                true => self.note_failing(Cause::ReadOnly),
                false if self.fails_because(Cause::ReadOnly) => self.note_success(),
                false => {}
            }
            return Ok(!is_read_only);
        }
        if lock(&self.0.failing_changes).is_none() {
            return Ok(true);
        }
        // A small change that alters nothing: SQLite writes the header of its file, through its log.
        let version = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, "PRAGMA user_version")).await?;
        let version: i32 = version.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        match db.execute_unprepared(&format!("PRAGMA user_version = {version}")).await {
            Ok(_) => self.note_success(),
            Err(error) if matches!(Cause::of(&error), Cause::ReadOnly | Cause::NoResources) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    pub(crate) fn note_failing(&self, cause: Cause) {
        let now = Instant::now();
        if cause == Cause::ReadOnly {
            self.0.suspect_until.store(millis(self.0.start.elapsed() + SUSPECT), Ordering::Relaxed);
        }
        let mut failing = lock(&self.0.failing_changes);
        match &mut *failing {
            Some(failing) => failing.last = now,
            None => {
                *failing = Some(FailingChanges { cause, first: now, last: now });
                self.0.failed.store(0, Ordering::Relaxed);
                error!("{}; changes fail", cause.describe());
            }
        }
    }

    fn note_failed_change(&self, error: &DbErr) {
        let cause = Cause::of(error);
        if matches!(cause, Cause::ReadOnly | Cause::NoResources) {
            self.note_failing(cause);
            self.0.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note_success(&self) {
        let mut failing = lock(&self.0.failing_changes);
        // On a full disk some changes still succeed between others.
        if let Some(FailingChanges { first, .. }) = failing.take_if(|failing| failing.last.elapsed() >= STABLE) {
            let (duration, failed) = (first.elapsed(), self.0.failed.load(Ordering::Relaxed));
            info!(?duration, failed, "the database accepts changes again");
        }
    }

    fn fails_because(&self, cause: Cause) -> bool {
        lock(&self.0.failing_changes).as_ref().is_some_and(|failing| failing.cause == cause)
    }

    /// Probes PostgreSQL when there is a suspicion, as long as the program runs.
    pub(super) async fn probe(self, pool: PgPool) {
        let mut last_warning: Option<Instant> = None;
        loop {
            self.0.suspicion.notified().await;
            match probe(&pool).await {
                // A statement is slow, on a connection that there is.
                Err(error) if probe::has_no_connections_left(&error) && lock(&self.0.error).is_none() => {}
                Err(error) => self.wait_until_available(&pool, &probe::reason(&error)).await,
                Ok(()) if last_warning.is_none_or(|time| time.elapsed() >= WARN_INTERVAL) => {
                    if let Some(error) = lock(&self.0.error).take() {
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
        self.0.failed.store(0, Ordering::Relaxed);
        self.0.is_open.send_replace(true);
        error!(cause, "the database is unavailable; requests fail at once until it responds");
        loop {
            sleep(PROBE_INTERVAL).await;
            if probe(pool).await.is_ok() {
                break;
            }
        }
        *lock(&self.0.error) = None;
        self.0.is_open.send_replace(false);
        let (duration, rejected) = (since.elapsed(), self.0.failed.load(Ordering::Relaxed));
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
