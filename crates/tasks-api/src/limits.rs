//! Limits on concurrency, body size and time.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    database::unit_of_work::CommitFlag,
    http::{body, problem::Problem},
};

/// The limits. Requests with a valid token and logouts each have `max_in_flight` slots.
#[derive(Debug, Clone, Copy)]
pub struct LimitsConfig {
    /// Maximum number of requests in flight. More are rejected, since they would only wait for the database.
    pub max_in_flight: usize,
    /// Maximum size of a request body, in bytes.
    pub max_body_size: usize,
    /// Time limit for receiving a request body.
    pub body_timeout: Duration,
    /// Time limit for a response. It must be longer than the database's timeouts together.
    pub request_timeout: Duration,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_in_flight: 2048,
            max_body_size: 64 * 1024,
            body_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_millis(4500),
        }
    }
}

/// The limits of one kind of request.
pub(crate) struct Limits {
    slots: Semaphore,
    config: LimitsConfig,
    /// Whether a request takes its slot before its body has arrived.
    holds_slot: bool,
}

impl Limits {
    /// For requests whose token has been verified. Apply it inside the authentication layer.
    pub(crate) fn authenticated(config: LimitsConfig) -> Arc<Self> {
        Arc::new(Self { slots: Semaphore::new(config.max_in_flight), config, holds_slot: true })
    }

    /// For requests that are authenticated by their body. They take a slot only after the body has arrived, so incomplete
    /// bodies do not block other requests. The body must be smaller and arrive sooner than with a token.
    pub(crate) fn unauthenticated(config: LimitsConfig) -> Arc<Self> {
        const MAX_BODY_SIZE: usize = 16 * 1024;
        const BODY_TIMEOUT: Duration = Duration::from_secs(3);
        let slots = Semaphore::new(config.max_in_flight);
        let max_body_size = config.max_body_size.min(MAX_BODY_SIZE);
        let body_timeout = config.body_timeout.min(BODY_TIMEOUT);
        Arc::new(Self { slots, config: LimitsConfig { max_body_size, body_timeout, ..config }, holds_slot: false })
    }

    /// Reads the whole body into memory.
    async fn buffer_body(&self, request: Request) -> Result<Request, Problem> {
        if request.body().size_hint().lower() > self.config.max_body_size as u64 {
            return Err(Problem::PayloadTooLarge);
        }
        if request.body().is_end_stream() {
            return Ok(request);
        }
        let (parts, body) = request.into_parts();
        let bytes = timeout(self.config.body_timeout, body::read(body, self.config.max_body_size)).await;
        Ok(Request::from_parts(parts, Body::from(bytes.map_err(|_| Problem::RequestTimeout)??)))
    }
}

/// The middleware.
///
/// The body is read here and not by the handler, so that a slow sender does not hold a database connection or use up the
/// request timeout. Tower's `ConcurrencyLimit` would take its permit in `poll_ready`, before the token is checked.
pub(crate) async fn apply(
    State(limits): State<Arc<Limits>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let slot = || limits.slots.try_acquire().map_err(|_| Problem::Unavailable);
    let _slot = if limits.holds_slot {
        let slot = slot()?;
        request = limits.buffer_body(request).await?;
        slot
    } else {
        request = limits.buffer_body(request).await?;
        slot()?
    };
    let commit_flag = CommitFlag::default();
    request.extensions_mut().insert(commit_flag.clone());
    match timeout(limits.config.request_timeout, next.run(request)).await {
        Ok(response) => Ok(response),
        Err(_) if commit_flag.is_set() => Err(Problem::OutcomeUnknown),
        Err(_) => Err(Problem::Unavailable),
    }
}
