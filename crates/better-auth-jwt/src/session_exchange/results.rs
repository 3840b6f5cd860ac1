//! The results of recent exchanges.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{ExchangeResult, Refusal, settings::Settings};
use crate::token_cache::TokenCache;

/// The maximum size of the refusals: about a thousand.
const REFUSALS_SIZE: usize = 256 * 1024;

/// How long a JWT that has expired on arrival is kept, so that its session is not exchanged for every request. The
/// verifier rejects it.
const EXPIRED_CACHE_TIME: Duration = Duration::from_secs(1);

/// A keyed hash of a session. The session itself is a credential, so it is not kept.
pub(super) type SessionHash = [u8; 32];

pub(super) struct Results {
    tokens: TokenCache<CachedToken>,
    /// Apart from the tokens, so that made-up sessions do not evict real ones.
    refusals: TokenCache<CachedRefusal>,
    cache_time: Duration,
    rejection_cache_time: Duration,
}

/// The JWT in an issuer's response. It is not verified yet.
pub(super) struct IssuedToken {
    pub(super) token: Arc<str>,
    /// `exp`.
    pub(super) expires_at: u64,
}

#[derive(Clone)]
struct CachedToken {
    token: Arc<str>,
    /// The session must be exchanged again at either of these times.
    outdated_at: Instant,
    expires_at: u64,
}

#[derive(Clone, Copy)]
struct CachedRefusal {
    refusal: Refusal,
    until: Instant,
}

/// The present time, by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) instant: Instant,
    pub(super) unix_time: u64,
}

impl Results {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            tokens: TokenCache::new(settings.cache_size),
            refusals: TokenCache::new(REFUSALS_SIZE),
            cache_time: settings.cache_time,
            rejection_cache_time: settings.rejection_cache_time,
        }
    }

    /// The result of this session's last exchange, if it is recent enough.
    pub(super) fn recent(&self, session: &SessionHash, now: Now) -> Option<ExchangeResult> {
        if let Some(cached) = self.tokens.get(session)
            && now.instant < cached.outdated_at
            && now.unix_time < cached.expires_at
        {
            return Some(Ok(cached.token));
        }
        let cached = self.refusals.get(session)?;
        let left = cached.until.checked_duration_since(now.instant).filter(|left| !left.is_zero())?;
        Some(Err(match cached.refusal {
            Refusal::Rejected => Refusal::Rejected,
            Refusal::Unavailable(_) => Refusal::Unavailable(left),
        }))
    }

    /// Whether the issuer has accepted this session before.
    pub(super) fn is_known(&self, session: &SessionHash) -> bool {
        self.tokens.get(session).is_some()
    }

    pub(super) fn insert_token(&self, session: &SessionHash, issued: &IssuedToken, now: Now) {
        let token = issued.token.clone();
        let cached = if now.unix_time < issued.expires_at {
            CachedToken { token, outdated_at: now.instant + self.cache_time, expires_at: issued.expires_at }
        } else {
            let outdated_at = now.instant + EXPIRED_CACHE_TIME.min(self.cache_time);
            CachedToken { token, outdated_at, expires_at: u64::MAX }
        };
        self.tokens.insert(session, cached, issued.token.len(), now.unix_time);
    }

    pub(super) fn insert_refusal(&self, session: &SessionHash, refusal: Refusal, now: Now) {
        let time = match refusal {
            Refusal::Rejected => self.rejection_cache_time,
            Refusal::Unavailable(retry_after) => retry_after,
        };
        self.refusals.insert(session, CachedRefusal { refusal, until: now.instant + time }, 0, now.unix_time);
    }
}
