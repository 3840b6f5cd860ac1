//! The Tower service.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use crate::{
    authorizer::{Authorizer, Decision},
    claims::{Claims, FromClaims},
    future::{PendingRequest, ResponseFuture, State, reject},
    rejection::{BearerRejection, RejectionResponse},
};

/// Passes requests with a valid token to the inner service, and responds to all others itself.
///
/// Made by [`JwtAuthLayer`](crate::JwtAuthLayer).
#[must_use = "services do nothing unless called"]
pub struct JwtAuth<S, C = Claims, R = BearerRejection> {
    inner: S,
    authorizer: Arc<Authorizer<C>>,
    rejection: R,
}

impl<S, C, R> JwtAuth<S, C, R> {
    pub(crate) fn new(inner: S, authorizer: Arc<Authorizer<C>>, rejection: R) -> Self {
        Self { inner, authorizer, rejection }
    }

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
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
        let state = match self.authorizer.decide(&mut parts, None) {
            Decision::Allow => State::Called { future: self.inner.call(Request::from_parts(parts, body)) },
            Decision::Deny(error) => {
                // Releases what the inner service reserved when it became ready, such as a permit: this
                // instance may not be called again for a long time.
                self.inner = self.inner.clone();
                State::Rejected { response: Some(reject(&self.rejection, &error)) }
            }
            Decision::Pending(decision) => {
                // The instance that was polled ready is the one to call; the clone is not ready.
                // https://docs.rs/tower-service/latest/tower_service/trait.Service.html#be-careful-when-cloning-inner-services
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                let pending = PendingRequest {
                    authorizer: self.authorizer.clone(),
                    rejection: self.rejection.clone(),
                    inner,
                    request: Request::from_parts(parts, body),
                };
                State::Pending { decision, request: Some(Box::new(pending)) }
            }
        };
        ResponseFuture { state }
    }
}

impl<S: Clone, C, R: Clone> Clone for JwtAuth<S, C, R> {
    // A derived impl would require `C: Clone`.
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), authorizer: self.authorizer.clone(), rejection: self.rejection.clone() }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for JwtAuth<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuth").field("inner", &self.inner).finish_non_exhaustive()
    }
}
