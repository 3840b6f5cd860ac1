//! Sessions that end before their tokens do. Better Auth tells us at `POST /auth/backchannel-logout` (`endpoint`); it is
//! kept in the database (`table`) and in memory, where each request is checked; and replicas read what the others have
//! heard (`feed`).

mod endpoint;
mod feed;
mod table;

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use better_auth_jwt::{
    Claims, Logout, LogoutSink, LogoutVerifier, RevokedSessions, SessionCheck, SessionState, Verifier, WithoutSession,
};
use sea_orm::{DatabaseConnection, DbErr};
use tokio::time::interval;
use tracing::warn;

pub(crate) use self::endpoint::endpoint;
use self::table::{Row, Table};
use crate::{cli::Failure, writability::Writability};

/// Which logouts are heard, and what they do.
#[derive(Debug, Clone)]
pub struct LogoutRules {
    /// Whose logout tokens are accepted.
    pub verifier: LogoutVerifier,
    /// How long a logout is remembered: at least the life of the longest-lived token.
    pub keep: Duration,
    /// Where the database can't be read for longer than this, all tokens are answered with 503, for any session may have
    /// ended. `None`: they are accepted as long as it takes.
    pub outage: Option<Duration>,
    /// What becomes of tokens that belong to no session.
    pub without_session: WithoutSession,
}

impl LogoutRules {
    /// What goes without saying for those who accept this verifier's tokens.
    #[must_use]
    pub fn new(verifier: &Verifier) -> Self {
        Self {
            verifier: verifier.into(),
            keep: Duration::from_secs(8 * 24 * 60 * 60),
            outage: Some(Duration::from_secs(60)),
            without_session: WithoutSession::Accept,
        }
    }
}

/// The sessions that have ended. A clone is a handle to the same.
#[derive(Clone)]
pub(crate) struct Logouts {
    pub(crate) rules: LogoutRules,
    table: Table,
    ended: RevokedSessions,
    seen: Arc<Seen>,
}

/// How much of the table is in memory.
struct Seen {
    /// All that was written before it; see [`Table::horizon`].
    horizon: AtomicI64,
    /// The connection broke. Who takes it up again may be another PostgreSQL, which counts another way.
    interrupted: AtomicBool,
    start: Instant,
    /// In milliseconds since the start.
    last_read: AtomicU64,
}

impl Logouts {
    /// Reads them all: from here on none is forgotten.
    pub(crate) async fn load(
        db: DatabaseConnection,
        writability: Writability,
        rules: LogoutRules,
    ) -> Result<Self, Failure> {
        // Were there no room, the end of a session would go unheard. Only whom we trust fills it, and the database has room.
        let ended = RevokedSessions::new(rules.keep).at_most(usize::MAX);
        let seen = Seen {
            horizon: AtomicI64::new(0),
            interrupted: AtomicBool::new(false),
            start: Instant::now(),
            last_read: AtomicU64::new(0),
        };
        let logouts = Self { rules, table: Table { db, writability }, ended, seen: Arc::new(seen) };
        match logouts.read().await {
            Ok(()) => Ok(logouts),
            Err(error) => Err(Failure::new(format!("the logouts cannot be read from the database: {error}."))),
        }
    }

    /// How many are remembered.
    pub(crate) fn count(&self) -> usize {
        self.ended.len()
    }

    /// How long ago the table was read; where nobody else writes to it, that does not matter.
    pub(crate) fn age(&self) -> Option<Duration> {
        let last_read = Duration::from_millis(self.seen.last_read.load(Ordering::Relaxed));
        self.table.is_shared().then(|| self.seen.start.elapsed().saturating_sub(last_read))
    }

    /// Have we not read for too long what the others have heard?
    pub(crate) fn is_blind(&self) -> bool {
        self.rules.outage.is_some_and(|outage| self.age().is_some_and(|age| age > outage))
    }

    /// Deletes what no token can outlive any more, now and then.
    pub(crate) async fn forget_old(self) {
        let mut often_enough =
            interval((self.rules.keep / 8).clamp(Duration::from_millis(250), Duration::from_secs(3600)));
        loop {
            often_enough.tick().await;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            if let Err(error) = self.table.forget(now.saturating_sub(self.rules.keep).as_secs()).await {
                warn!(%error, "old logouts are still there");
            }
        }
    }

    /// Takes over what is new in the table.
    async fn read(&self) -> Result<(), DbErr> {
        let begun = self.seen.start.elapsed();
        let interrupted = self.seen.interrupted.swap(false, Ordering::Relaxed);
        let since = if interrupted { 0 } else { self.seen.horizon.load(Ordering::Relaxed) };
        let (horizon, is_read_only) = self.table.horizon().await?;
        self.table.read(since, |row| self.take_over(row)).await?;
        self.seen.horizon.store(horizon, Ordering::Relaxed);
        self.seen.interrupted.fetch_or(is_read_only, Ordering::Relaxed);
        self.seen.last_read.store(begun.as_millis() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn take_over(&self, row: &Row) -> Result<(), DbErr> {
        let taken = match row.sid.as_str() {
            "" => self.ended.end_sessions_of(&row.user_id, row.ended_at),
            sid => self.ended.end_session_at(sid, row.ended_at),
        };
        taken.map_err(|full| DbErr::Custom(full.to_string()))
    }
}

impl SessionCheck for Logouts {
    fn look_up(&self, claims: &Claims) -> SessionState {
        match self.ended.look_up(claims) {
            SessionState::Live if self.is_blind() => SessionState::Unknown,
            known => known,
        }
    }
}

impl LogoutSink for Logouts {
    type Error = Box<dyn Error + Send + Sync>;

    /// First the database: what the sender is told to be done lasts, and the others hear of it.
    async fn record(&self, logout: Logout) -> Result<(), Self::Error> {
        let (table, ended) = (self.table.clone(), self.ended.clone());
        // Uninterrupted: a sender that disconnects must not leave a logout stored and not applied.
        let recorded = tokio::spawn(async move {
            table.store(logout.ends(), logout.issued_at()).await?;
            Ok(ended.record(&logout)?)
        });
        recorded.await?
    }
}
