//! Whether the database accepts changes: a standby, a demoted primary and a full disk accept none, while reads succeed.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use tracing::{error, info};

use super::{lock_mutex, probe::IS_READ_ONLY};
use crate::db_error::Cause;

/// Changes succeed again if none has failed for this time. On a full disk some still succeed between others.
const STABLE: Duration = Duration::from_millis(500);

/// For so long after the last sign of a read-only database, connections are examined before they are used again.
const SUSPECT: Duration = Duration::from_secs(60);

/// Shorter than the time after which clients are told to try again.
const YOUNG: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Writability {
    /// Since changes fail.
    failing: Mutex<Option<Failing>>,
    /// How many have failed.
    failed: AtomicU64,
    last_read_only: Mutex<Option<Instant>>,
}

struct Failing {
    cause: Cause,
    first: Instant,
    last: Instant,
}

impl Writability {
    /// Does the database accept changes now?
    pub(crate) async fn check(&self, db: &DatabaseConnection) -> Result<bool, DbErr> {
        let failing = lock_mutex(&self.failing).as_ref().map(|failing| failing.cause);
        if db.get_database_backend() == DbBackend::Postgres {
            let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, IS_READ_ONLY)).await?;
            let is_read_only = row.map_or(Ok(false), |row| row.try_get_by_index(0))?;
            match is_read_only {
                true => self.note_failing(Cause::ReadOnly),
                false if failing == Some(Cause::ReadOnly) => self.note_success(),
                false => {}
            }
            return Ok(!is_read_only);
        }
        if failing.is_none() {
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

    /// Should a connection of this age be examined? A primary that was demoted keeps its sessions, and so does one that is not
    /// yet promoted; a new connection may lead to the primary of today.
    pub(super) fn is_suspect(&self, age: Duration) -> bool {
        // Young ones are left alone: if the database stays read-only, each request would need a new connection.
        age >= YOUNG && lock_mutex(&self.last_read_only).is_some_and(|time| time.elapsed() < SUSPECT)
    }

    pub(super) fn note_error(&self, error: &DbErr) {
        let cause = Cause::of(error);
        if matches!(cause, Cause::ReadOnly | Cause::NoResources) {
            self.note_failing(cause);
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn note_success(&self) {
        let mut failing = lock_mutex(&self.failing);
        if let Some(Failing { first, .. }) = failing.take_if(|failing| failing.last.elapsed() >= STABLE) {
            let (duration, failed) = (first.elapsed(), self.failed.swap(0, Ordering::Relaxed));
            info!(?duration, failed, "the database accepts changes again");
        }
    }

    /// Without a request that failed.
    pub(crate) fn note_failing(&self, cause: Cause) {
        let now = Instant::now();
        if cause == Cause::ReadOnly {
            *lock_mutex(&self.last_read_only) = Some(now);
        }
        let mut failing = lock_mutex(&self.failing);
        match &mut *failing {
            Some(failing) => failing.last = now,
            None => {
                error!("{}; changes fail", cause.describe());
                *failing = Some(Failing { cause, first: now, last: now });
            }
        }
    }
}
