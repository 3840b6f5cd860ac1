use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use better_auth_jwt::{Authenticated, Claims};

use crate::problem::Problem;

/// The headers of draft-ietf-httpapi-ratelimit-headers.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// More users than this at once are not counted: so much memory and no more.
const MOST_USERS: usize = 100_000;

/// A layer behind the verified token: users share nothing but the server, least of all a limit.
pub(crate) async fn apply(
    State(limit): State<Arc<RateLimit>>,
    Authenticated(claims): Authenticated<Claims>,
    request: Request,
    next: Next,
) -> Response {
    let (mut response, left) = match limit.take(claims.user_id(), Instant::now()) {
        Ok(left) => (next.run(request).await, left),
        Err(wait) => (Problem::RateLimited(whole_seconds(wait)).into_response(), 0),
    };
    let (requests, window) = (limit.requests, whole_seconds(limit.window));
    let refilled = whole_seconds(limit.interval() * (requests - left));
    for (name, text) in
        [(POLICY, format!("\"user\";q={requests};w={window}")), (RATE_LIMIT, format!("\"user\";r={left};t={refilled}"))]
    {
        response.headers_mut().insert(name, HeaderValue::from_str(&text).expect("digits are visible ASCII"));
    }
    response
}

/// A bucket of `requests` for each user, which fills again once in each `window`, drop by drop.
pub(crate) struct RateLimit {
    requests: u32,
    window: Duration,
    hasher: RandomState,
    /// When the user's bucket will be full again; who is not here has a full one.
    full_at: Mutex<HashMap<u64, Instant>>,
}

impl RateLimit {
    pub(crate) fn new(requests: NonZeroU32, window: Duration) -> Self {
        Self { requests: requests.get(), window, hasher: RandomState::new(), full_at: Mutex::default() }
    }

    /// Takes one request: how many are left, or how long to wait for the next.
    fn take(&self, user: &str, now: Instant) -> Result<u32, Duration> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let user = self.hasher.hash_one(user);
        if full_at.len() >= MOST_USERS && !full_at.contains_key(&user) {
            full_at.retain(|_, full| *full > now);
            if full_at.len() >= MOST_USERS {
                return Ok(self.requests);
            }
        }
        let full = full_at.entry(user).or_insert(now);
        let missing = full.saturating_duration_since(now) + self.interval();
        if let Some(wait) = missing.checked_sub(self.window).filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        *full = now + missing;
        Ok(((self.window - missing).as_nanos() / self.interval().as_nanos().max(1)) as u32)
    }

    fn interval(&self) -> Duration {
        self.window / self.requests
    }
}

/// A header has whole seconds, and a client that comes a little early is turned away again.
fn whole_seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again_drop_by_drop() {
        let limit = RateLimit::new(NonZeroU32::new(3).unwrap(), Duration::from_secs(30));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!([0, 0, 0].map(|second| limit.take("ada", at(second))), [Ok(2), Ok(1), Ok(0)]);
        assert_eq!(limit.take("ada", at(4)), Err(Duration::from_secs(6)));
        assert_eq!(limit.take("bob", at(4)), Ok(2), "each has a bucket of his own");
        assert_eq!((limit.take("ada", at(10)), limit.take("ada", at(10))), (Ok(0), Err(Duration::from_secs(10))));
        assert_eq!(limit.take("ada", at(100)), Ok(2), "never more than full");
    }

    #[test]
    fn memory_is_bounded_by_those_who_are_not_full_yet() {
        let limit = RateLimit::new(NonZeroU32::new(1).unwrap(), Duration::from_secs(1));
        let start = Instant::now();
        for n in 0..MOST_USERS + 10 {
            assert!(limit.take(&n.to_string(), start).is_ok());
        }
        assert_eq!(limit.full_at.lock().unwrap().len(), MOST_USERS);
        assert!(limit.take("0", start).is_err(), "who is counted stays counted");
        limit.take("late", start + Duration::from_secs(2)).unwrap();
        assert_eq!(limit.full_at.lock().unwrap().len(), 1);
    }
}
