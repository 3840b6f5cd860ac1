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

use crate::{body, effect::Effect, problem::Problem};

/// More are turned away at once, for they would only wait for the database.
const MOST_IN_HAND: usize = 2048;

/// For a body to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// For the answer. Longer than the database's own times, and short enough to answer within five seconds when it says nothing at all.
pub(crate) const PATIENCE: Duration = Duration::from_millis(4500);

/// What a request may ask of the server before anybody looks at it: a place, so much room, so much time.
///
/// One layer and not one for each purpose, for each costs every request something.
#[derive(Clone)]
pub(crate) struct LimitsLayer {
    places: Arc<Semaphore>,
}

impl LimitsLayer {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST_IN_HAND)) }
    }
}

impl<S> Layer<S> for LimitsLayer {
    type Service = Limits<S>;

    fn layer(&self, inner: S) -> Limits<S> {
        Limits { inner, places: self.places.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct Limits<S> {
    inner: S,
    places: Arc<Semaphore>,
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
        let places = self.places.clone();
        Box::pin(async move {
            let Ok(_place) = places.try_acquire() else { return Ok(Problem::Unavailable.into_response()) };
            let mut request = match arrived(request).await {
                Ok(request) => request,
                Err(problem) => return Ok(problem.into_response()),
            };
            let effect = Effect::default();
            request.extensions_mut().insert(effect.clone());
            match timeout(PATIENCE, inner.call(request)).await {
                Ok(answer) => answer.map(IntoResponse::into_response),
                Err(_) => Ok(effect.timed_out().into_response()),
            }
        })
    }
}

/// The request with all of its body. A body that is too large is refused before its token is looked at; and it is read
/// here and not later, so that a slow sender keeps nobody waiting: no connection to the database, no time of the answer's.
async fn arrived(request: Request) -> Result<Request, Problem> {
    if request.body().size_hint().lower() > body::LIMIT as u64 {
        return Err(Problem::PayloadTooLarge);
    }
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = timeout(BODY_PATIENCE, body::bytes_of(body)).await.map_err(|_| Problem::TooSlow)??;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}
