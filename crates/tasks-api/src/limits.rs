use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    response::{IntoResponse, Response},
};
use tokio::{sync::Semaphore, time::timeout};
use tower::{Layer, Service};

use crate::{body, problem::Problem, unit_of_work::CommitFlag};

/// Requests in flight; more are rejected, for they would only wait for the database.
const MAX_IN_FLIGHT: usize = 2048;

/// For the response. Longer than the database's own timeouts, and short enough to respond within five seconds when the
/// database does not answer at all.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_millis(4500);

/// Concurrency, body size and time limits, in one layer because each layer costs every request something.
///
/// The body is read here and not by the handler, so that a slow sender holds no database connection and uses up none of
/// the response's time.
#[derive(Clone)]
pub(crate) struct LimitsLayer {
    slots: Arc<Semaphore>,
    body: BodyLimits,
}

#[derive(Clone, Copy)]
struct BodyLimits {
    size: usize,
    time: Duration,
    /// Whether a request takes its slot before its body has arrived.
    holds_slot: bool,
}

impl LimitsLayer {
    /// For requests whose token has been verified: this layer belongs inside the authentication.
    pub(crate) fn authenticated() -> Self {
        Self::new(BodyLimits { size: body::LIMIT, time: Duration::from_secs(10), holds_slot: true })
    }

    /// For requests that are authenticated by their body. They take no slot while it arrives, so half-sent bodies block no
    /// other request. Each connection is bounded by a smaller body and a shorter time.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(BodyLimits { size: body::LOGOUT_LIMIT, time: Duration::from_secs(3), holds_slot: false })
    }

    fn new(body: BodyLimits) -> Self {
        Self { slots: Arc::new(Semaphore::new(MAX_IN_FLIGHT)), body }
    }
}

impl<S> Layer<S> for LimitsLayer {
    type Service = Limits<S>;

    fn layer(&self, inner: S) -> Limits<S> {
        Limits { inner, limits: self.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct Limits<S> {
    inner: S,
    limits: LimitsLayer,
}

impl<S> Service<Request> for Limits<S>
where
    S: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The instance that was polled ready is the one to call; the clone was not.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let LimitsLayer { slots, body } = self.limits.clone();
        Box::pin(async move {
            let request_with_slot = async {
                let slot = || slots.try_acquire().map_err(|_| Problem::Unavailable);
                if body.holds_slot {
                    let slot = slot()?;
                    Ok((buffer_body(request, body).await?, slot))
                } else {
                    let request = buffer_body(request, body).await?;
                    Ok((request, slot()?))
                }
            };
            let (mut request, _slot) = match request_with_slot.await {
                Ok(admitted) => admitted,
                Err(problem) => return Ok(Problem::into_response(problem)),
            };
            let commit_flag = CommitFlag::default();
            request.extensions_mut().insert(commit_flag.clone());
            match timeout(REQUEST_TIMEOUT, inner.call(request)).await {
                Ok(response) => response.map(IntoResponse::into_response),
                Err(_) if commit_flag.is_set() => Ok(Problem::OutcomeUnknown.into_response()),
                Err(_) => Ok(Problem::Unavailable.into_response()),
            }
        })
    }
}

/// The request with all of its body in memory.
async fn buffer_body(request: Request, limits: BodyLimits) -> Result<Request, Problem> {
    if request.body().size_hint().lower() > limits.size as u64 {
        return Err(Problem::PayloadTooLarge);
    }
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = timeout(limits.time, body::read(body, limits.size)).await.map_err(|_| Problem::TooSlow)??;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}
