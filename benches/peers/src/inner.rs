//! The inner service of every layer. It does nothing, and records that it was called.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    marker::PhantomData,
    task::{Context, Poll},
};

use better_auth_jwt::ErrorKind;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CACHE_CONTROL, VARY, WWW_AUTHENTICATE},
};
use tower::Service;

/// Responds to every request with 200 and an empty body.
pub(crate) struct Inner<B> {
    polled_ready: bool,
    body: PhantomData<fn() -> B>,
}

/// How the service was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// `None` if that is unknown, because the peer is an extractor.
    pub(crate) was_ready: Option<bool>,
}

thread_local! {
    static LAST_CALL: Cell<Option<Call>> = const { Cell::new(None) };
}

/// The last call since the previous `take_call`, if there was one.
pub(crate) fn take_call() -> Option<Call> {
    LAST_CALL.take()
}

/// For handlers, which take the place of the service.
pub(crate) fn called_as_handler() {
    LAST_CALL.set(Some(Call { was_ready: None }));
}

impl<B> Inner<B> {
    pub(crate) fn new() -> Self {
        Self { polled_ready: false, body: PhantomData }
    }
}

impl<B> Clone for Inner<B> {
    // Only the original was polled ready; a clone may not be ready.
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<R, B: Default> Service<Request<R>> for Inner<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.polled_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<R>) -> Self::Future {
        LAST_CALL.set(Some(Call { was_ready: Some(std::mem::take(&mut self.polled_ready)) }));
        ready(Ok(Response::new(B::default())))
    }
}

/// Rejects every request without a layer. The response is the one of `JwtAuthLayer` to a request without a token.
#[derive(Clone, Copy)]
pub(crate) struct MinimalRejection;

impl Service<Request<()>> for MinimalRejection {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<()>) -> Self::Future {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        // Reuses the request's maps, so that none has to be allocated.
        std::mem::swap(response.headers_mut(), request.headers_mut());
        std::mem::swap(response.extensions_mut(), request.extensions_mut());
        response.headers_mut().clear();
        response.extensions_mut().clear();
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="api""#));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().insert(VARY, HeaderValue::from_static("Authorization"));
        response.extensions_mut().insert(ErrorKind::MissingToken);
        ready(Ok(response))
    }
}
