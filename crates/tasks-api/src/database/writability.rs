use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use super::probe::IS_READ_ONLY;
use crate::db_error::Cause;

/// Whether the database accepts changes, as far as its errors tell.
#[derive(Clone)]
pub(crate) struct Writability(Arc<State>);

struct State {
    start: Instant,
    /// Until then connections are examined before they are used again. In milliseconds since `start`.
    suspect_until: AtomicU64,
    /// The last change failed because of the database.
    failing: AtomicBool,
}

impl Writability {
    pub(crate) fn new() -> Self {
        Self(Arc::new(State {
            start: Instant::now(),
            suspect_until: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        }))
    }

    /// Awaits a change and notes its error.
    pub(crate) async fn watch<T>(&self, change: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        change.await.inspect_err(|error| match Cause::of(error) {
            Cause::ReadOnly => self.note_read_only(),
            Cause::NoResources => self.0.failing.store(true, Ordering::Relaxed),
            _ => {}
        })
    }

    /// Should a connection of this age be examined? A primary that was demoted keeps its sessions, and so does one that is not
    /// yet promoted; a new connection may lead to the primary of today.
    pub(crate) fn is_suspect(&self, age: Duration) -> bool {
        let until = self.0.suspect_until.load(Ordering::Relaxed);
        // Young ones are left alone: if the database stays read-only, each request would need a new connection.
        until > 0 && age >= YOUNG && millis(self.0.start.elapsed()) < until
    }

    /// Does the database accept changes now?
    pub(crate) async fn check(&self, db: &DatabaseConnection) -> Result<bool, DbErr> {
        if db.get_database_backend() == DbBackend::Postgres {
            // A standby says so, too.
            let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, IS_READ_ONLY)).await?;
            let is_read_only = row.map_or(Ok(false), |row| row.try_get_by_index(0))?;
            if is_read_only {
                self.note_read_only();
            }
            return Ok(!is_read_only);
        }
        if !self.0.failing.load(Ordering::Relaxed) {
            return Ok(true);
        }
        // A small change that alters nothing: SQLite writes the header of its file, through its log.
        let version = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, "PRAGMA user_version")).await?;
        let version: i32 = version.map_or(Ok(0), |row| row.try_get_by_index(0))?;
        match db.execute_unprepared(&format!("PRAGMA user_version = {version}")).await {
            Ok(_) => self.0.failing.store(false, Ordering::Relaxed),
            Err(error) if matches!(Cause::of(&error), Cause::ReadOnly | Cause::NoResources) => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    pub(crate) fn note_read_only(&self) {
        self.0.failing.store(true, Ordering::Relaxed);
        self.0.suspect_until.store(millis(self.0.start.elapsed() + SUSPECT), Ordering::Relaxed);
    }
}

/// For so long after the last sign of a read-only database, connections are examined.
const SUSPECT: Duration = Duration::from_secs(60);

/// Shorter than the time after which clients are told to try again.
const YOUNG: Duration = Duration::from_secs(1);

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
