//! The future of [`JwtAuth`](crate::JwtAuth).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    authorizer::{Authorizer, Decision, Resume},
    claims::FromClaims,
    error::Error,
    rejection::RejectionResponse,
};

pin_project! {
    /// Response future of [`JwtAuth`](crate::JwtAuth).
    ///
    /// # Panics
    ///
    /// Panics if it is polled after it has returned a rejection.
    pub struct ResponseFuture<S, ReqBody, ResBody, C, R>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        pub(crate) state: State<S, ReqBody, ResBody, C, R>,
    }
}

pin_project! {
    #[project = StateProj]
    pub(crate) enum State<S, ReqBody, ResBody, C, R>
    where
        S: Service<Request<ReqBody>>,
    {
        Called { #[pin] future: S::Future },
        Pending { decision: PendingDecision<C>, request: Option<Box<PendingRequest<S, ReqBody, C, R>>> },
        Rejected { response: Option<Response<ResBody>> },
    }
}

type PendingDecision<C> = Pin<Box<dyn Future<Output = Resume<C>> + Send>>;

/// A request that waits for a decision, with the service that was ready for it. Boxed to keep
/// [`ResponseFuture`] small.
pub(crate) struct PendingRequest<S, ReqBody, C, R> {
    pub(crate) authorizer: Arc<Authorizer<C>>,
    pub(crate) rejection: R,
    pub(crate) inner: S,
    pub(crate) request: Request<ReqBody>,
}

impl<S, ReqBody, ResBody, C, R> Future for ResponseFuture<S, ReqBody, ResBody, C, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    C: FromClaims,
    R: RejectionResponse<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const COMPLETED: &str = "future polled after completion";
        loop {
            let mut state = self.as_mut().project().state;
            let next = match state.as_mut().project() {
                StateProj::Called { future } => return future.poll(cx),
                StateProj::Rejected { response } => return Poll::Ready(Ok(response.take().expect(COMPLETED))),
                StateProj::Pending { decision, request } => {
                    let resume = ready!(decision.as_mut().poll(cx));
                    request.take().expect(COMPLETED).resume(resume)
                }
            };
            state.set(next);
        }
    }
}

impl<S, ReqBody, C, R> PendingRequest<S, ReqBody, C, R> {
    fn resume<ResBody>(mut self, resume: Resume<C>) -> State<S, ReqBody, ResBody, C, R>
    where
        S: Service<Request<ReqBody>>,
        C: FromClaims,
        R: RejectionResponse<ResBody>,
    {
        let (mut parts, body) = self.request.into_parts();
        match self.authorizer.resume(&mut parts, None, resume) {
            Decision::Allow => State::Called { future: self.inner.call(Request::from_parts(parts, body)) },
            Decision::Deny(error) => State::Rejected { response: Some(reject(&self.rejection, &error)) },
            Decision::Pending(decision) => {
                self.request = Request::from_parts(parts, body);
                State::Pending { decision, request: Some(Box::new(self)) }
            }
        }
    }
}

/// The response to a rejected request. Outer layers find the reason in its extensions.
pub(crate) fn reject<B>(rejection: &impl RejectionResponse<B>, error: &Error) -> Response<B> {
    let mut response = rejection.response(error);
    response.extensions_mut().insert(error.kind());
    response
}

impl<S, ReqBody, ResBody, C, R> fmt::Debug for ResponseFuture<S, ReqBody, ResBody, C, R>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
