//! Per-user rate limit (`TASKS_API_RATE_LIMIT`).

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use better_auth_jwt::{Authenticated, Claims};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};
use tokio::time::interval;

use crate::http::problem::Problem;

/// The headers of draft-ietf-httpapi-ratelimit-headers.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Each user may send a burst of `requests`; the quota is replenished evenly over `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitConfig {
    requests: NonZeroU32,
    window: Duration,
    quota: Quota,
}

impl RateLimitConfig {
    /// # Errors
    /// The window is shorter than a nanosecond for each request.
    pub fn new(requests: NonZeroU32, window: Duration) -> anyhow::Result<Self> {
        let quota =
            Quota::with_period(window / requests.get()).context("the time is too short for so many requests")?;
        Ok(Self { requests, window, quota: quota.allow_burst(requests) })
    }
}

/// The rate limiter and its state for each user.
pub(crate) struct RateLimit {
    config: RateLimitConfig,
    users: RateLimiter<String, HashMapStateStore<String>, DefaultClock, StateInformationMiddleware>,
}

impl RateLimit {
    pub(crate) fn new(config: RateLimitConfig) -> Self {
        Self { config, users: RateLimiter::hashmap(config.quota).with_middleware() }
    }

    /// Removes the state of users whose quota is full again, once a minute.
    pub(crate) async fn purge(self: Arc<Self>) {
        let mut each_minute = interval(Duration::from_secs(60));
        loop {
            each_minute.tick().await;
            self.users.retain_recent();
            self.users.shrink_to_fit();
        }
    }
}

/// The middleware. Apply it inside the authentication layer.
pub(crate) async fn apply(
    State(limit): State<Arc<RateLimit>>,
    Authenticated(claims): Authenticated<Claims>,
    request: Request,
    next: Next,
) -> Response {
    let (mut response, remaining) = match limit.users.check_key(&claims.user_id().to_owned()) {
        Ok(state) => (next.run(request).await, state.remaining_burst_capacity()),
        Err(rejected) => {
            let wait = rejected.wait_time_from(DefaultClock::default().now());
            (Problem::RateLimited(whole_seconds(wait)).into_response(), 0)
        }
    };
    let RateLimitConfig { requests, window, quota } = limit.config;
    let reset = whole_seconds(quota.replenish_interval() * (requests.get() - remaining));
    let policy = format!("\"user\";q={requests};w={}", whole_seconds(window));
    for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, format!("\"user\";r={remaining};t={reset}"))] {
        response.headers_mut().insert(name, HeaderValue::from_str(&text).expect("digits are visible ASCII"));
    }
    response
}

/// Rounds up: a client that retries too early would be rejected again.
fn whole_seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).max(1) as u64
}
