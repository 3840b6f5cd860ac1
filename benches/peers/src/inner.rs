//! The service behind every layer. It does nothing, and remembers that it was called.

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

/// Answers every request with 200 and an empty body.
pub(crate) struct Inner<B> {
    polled_ready: bool,
    body: PhantomData<fn() -> B>,
}

/// How the service was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// `None` where no layer could tell: the peer is an extractor.
    pub(crate) was_ready: Option<bool>,
}

thread_local! {
    static LAST_CALL: Cell<Option<Call>> = const { Cell::new(None) };
}

/// The call since this was last asked, if there was one.
pub(crate) fn take_call() -> Option<Call> {
    LAST_CALL.take()
}

/// For handlers that stand in for the service.
pub(crate) fn called_as_handler() {
    LAST_CALL.set(Some(Call { was_ready: None }));
}

impl<B> Inner<B> {
    pub(crate) fn new() -> Self {
        Self { polled_ready: false, body: PhantomData }
    }
}

impl<B> Clone for Inner<B> {
    // What was polled ready is the original: its clone may have to wait.
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

/// Refuses every request by hand, with what our layer's contract puts into the answer to one without a token.
#[derive(Clone, Copy)]
pub(crate) struct Refusal;

impl Service<Request<()>> for Refusal {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<()>) -> Self::Future {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        // The request's maps have room, so that none needs to be made.
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
