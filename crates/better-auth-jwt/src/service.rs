//! The Tower service.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use crate::{
    claims::{Claims, FromClaims},
    future::{Held, ResponseFuture, respond},
    gate::{Decision, Gate},
    rejection::{BearerRejection, RejectionResponse},
};

/// Lets requests with a good token through to the inner service, and answers all others itself.
///
/// Made by [`JwtAuthLayer`](crate::JwtAuthLayer).
pub struct JwtAuth<S, C = Claims, R = BearerRejection> {
    inner: S,
    gate: Arc<Gate<C>>,
    rejection: R,
}

impl<S, C, R> JwtAuth<S, C, R> {
    pub(crate) fn new(inner: S, gate: Arc<Gate<C>>, rejection: R) -> Self {
        Self { inner, gate, rejection }
    }
}

impl<S, C, R, ReqBody, ResBody> Service<Request<ReqBody>> for JwtAuth<S, C, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    C: FromClaims,
    R: RejectionResponse<ResBody> + Clone,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, ResBody, C, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        match self.gate.decide(&mut parts, self.gate.verifier.max_key_fetches()) {
            Decision::Admit => ResponseFuture::calling(self.inner.call(Request::from_parts(parts, body))),
            Decision::Reject(error) => {
                // What being ready has reserved behind this service, such as a place in a queue, goes
                // back: this instance may not be called for long.
                self.inner = self.inner.clone();
                ResponseFuture::rejected(respond(&self.rejection, &error, &mut parts))
            }
            Decision::Wait(keys) => {
                // The instance that was polled ready is the one to call; the clone was not.
                // https://docs.rs/tower-service/latest/tower_service/trait.Service.html#be-careful-when-cloning-inner-services
                let clone = self.inner.clone();
                let service = mem::replace(&mut self.inner, clone);
                let held = Held {
                    gate: self.gate.clone(),
                    rejection: self.rejection.clone(),
                    service,
                    request: Request::from_parts(parts, body),
                    waits_left: self.gate.verifier.max_key_fetches() - 1,
                };
                ResponseFuture::waiting(keys, held)
            }
        }
    }
}

impl<S: Clone, C, R: Clone> Clone for JwtAuth<S, C, R> {
    // Derived, it would ask for `C: Clone`.
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), gate: self.gate.clone(), rejection: self.rejection.clone() }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for JwtAuth<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuth").field("inner", &self.inner).finish_non_exhaustive()
    }
}
