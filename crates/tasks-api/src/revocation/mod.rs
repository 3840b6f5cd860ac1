//! Sessions that end before their tokens do.
//!
//! Better Auth sends a logout token (`endpoint`). It is stored in the database (`table`) and in memory, where each request is
//! checked; replicas load what others have received (`sync`).

mod endpoint;
mod sync;
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
    Claims, LogoutHandler, LogoutToken, LogoutVerifier, MissingSession, RevokedSessions, SessionCheck, SessionState,
    Verifier,
};
use sea_orm::DbErr;
use tokio::time::interval;
use tracing::warn;

pub(crate) use self::endpoint::{__path_endpoint, endpoint};
use self::table::{Row, Table};
use crate::database::{Database, failed};

/// Which logout tokens are accepted, and what they do.
#[derive(Debug, Clone)]
pub struct RevocationConfig {
    /// Whose logout tokens are accepted.
    pub verifier: LogoutVerifier,
    /// How long a revocation is kept: at least as long as the longest-lived token is valid.
    pub retention: Duration,
    /// If revocations cannot be read for longer than this, all tokens get 503, since any session may have been revoked.
    /// `None`: they are accepted.
    pub max_staleness: Option<Duration>,
    /// The leeway of the tokens' verifier.
    pub leeway: Duration,
    /// Whether tokens without a session are accepted.
    pub missing_session: MissingSession,
}

impl RevocationConfig {
    pub(crate) const RETENTION: Duration = Duration::from_secs(8 * 24 * 60 * 60);
    pub(crate) const MAX_STALENESS: Duration = Duration::from_secs(60);

    /// The defaults for this verifier's tokens.
    #[must_use]
    pub fn new(verifier: &Verifier) -> Self {
        Self {
            verifier: verifier.into(),
            retention: Self::RETENTION,
            max_staleness: Some(Self::MAX_STALENESS),
            leeway: Duration::from_secs(30),
            missing_session: MissingSession::Allow,
        }
    }
}

/// The revoked sessions. A clone is a handle to the same.
#[derive(Clone)]
pub(crate) struct Revocations {
    pub(crate) config: RevocationConfig,
    table: Table,
    revoked: RevokedSessions,
    state: Arc<SyncState>,
}

/// How much of the table is in memory.
struct SyncState {
    /// Everything that was written before it; see [`Table::watermark`].
    watermark: AtomicI64,
    /// The connection was lost. The next one may lead to another PostgreSQL, whose transactions have other numbers.
    needs_full_sync: AtomicBool,
    start: Instant,
    /// In milliseconds since `start`.
    last_sync: AtomicU64,
}

impl Revocations {
    /// Loads them all.
    pub(crate) async fn load(database: &Database, config: RevocationConfig) -> anyhow::Result<Self> {
        // Without a limit: a revocation for which there is no room would have no effect. Only trusted issuers add entries.
        let revoked = RevokedSessions::new(config.retention).leeway(config.leeway).max_entries(usize::MAX);
        let state = SyncState {
            watermark: AtomicI64::new(0),
            needs_full_sync: AtomicBool::new(false),
            start: Instant::now(),
            last_sync: AtomicU64::new(0),
        };
        let revocations = Self { config, table: Table::new(database), revoked, state: Arc::new(state) };
        revocations.poll().await.map_err(failed("cannot load the revocations"))?;
        Ok(revocations)
    }

    /// How many are in memory.
    pub(crate) fn count(&self) -> usize {
        self.revoked.len()
    }

    /// The time since the table was last read. `None` if no other server writes to it.
    pub(crate) fn staleness(&self) -> Option<Duration> {
        let last_sync = Duration::from_millis(self.state.last_sync.load(Ordering::Relaxed));
        self.table.is_shared().then(|| self.state.start.elapsed().saturating_sub(last_sync))
    }

    /// Whether the revocations of other replicas have not been read for too long.
    pub(crate) fn is_stale(&self) -> bool {
        let max_staleness = self.config.max_staleness;
        max_staleness.is_some_and(|max| self.staleness().is_some_and(|staleness| staleness > max))
    }

    /// Deletes revocations that no token outlives, periodically.
    pub(crate) async fn purge_expired(self) {
        let period = (self.config.retention / 8).clamp(Duration::from_millis(250), Duration::from_secs(3600));
        let mut interval = interval(period);
        loop {
            interval.tick().await;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            if let Err(error) = self.table.purge(now.saturating_sub(self.config.retention).as_secs()).await {
                warn!(%error, "failed to purge revocations");
            }
        }
    }

    /// Loads what is new in the table.
    async fn poll(&self) -> Result<(), DbErr> {
        let begun = self.state.start.elapsed();
        let needs_full_sync = self.state.needs_full_sync.swap(false, Ordering::Relaxed);
        let since = if needs_full_sync { 0 } else { self.state.watermark.load(Ordering::Relaxed) };
        let (watermark, is_read_only) = self.table.watermark().await?;
        self.table.read(since, |row| self.apply(row)).await?;
        self.state.watermark.store(watermark, Ordering::Relaxed);
        self.state.needs_full_sync.fetch_or(is_read_only, Ordering::Relaxed);
        self.state.last_sync.store(begun.as_millis() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn apply(&self, row: &Row) -> Result<(), DbErr> {
        let applied = match row.sid.as_str() {
            "" => self.revoked.revoke_user_at(&row.issuer, &row.user_id, row.revoked_at()),
            sid => self.revoked.revoke_session_at(&row.issuer, sid, row.revoked_at()),
        };
        applied.map_err(|full| DbErr::Custom(full.to_string()))
    }
}

impl SessionCheck for Revocations {
    fn check(&self, claims: &Claims) -> SessionState {
        match self.revoked.check(claims) {
            SessionState::Active if self.is_stale() => SessionState::Unknown,
            state => state,
        }
    }
}

impl LogoutHandler for Revocations {
    type Error = Box<dyn Error + Send + Sync>;

    /// Stores the revocation first: once the sender has a response, it is durable and other replicas are notified.
    async fn handle(&self, logout: LogoutToken) -> Result<(), Self::Error> {
        let (table, revoked) = (self.table.clone(), self.revoked.clone());
        // In a task of its own: a sender that disconnects must not leave a revocation stored and not applied.
        let recorded = tokio::spawn(async move {
            table.store(&logout).await?;
            Ok(revoked.apply(&logout)?)
        });
        recorded.await?
    }
}
