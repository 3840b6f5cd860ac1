//! The future of [`JwtAuth`](crate::JwtAuth).

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, request::Parts};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    claims::FromClaims,
    error::Error,
    gate::{Decision, Gate},
    rejection::RejectionResponse,
};

pin_project! {
    /// The answer of the inner service, or a rejection.
    ///
    /// Usually it is the inner future and nothing else; only a token whose key must be fetched
    /// makes it wait first.
    pub struct ResponseFuture<S, ReqBody, ResBody, C, R>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody, ResBody, C, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqBody, ResBody, C, R>
    where
        S: Service<Request<ReqBody>>,
    {
        Calling { #[pin] future: S::Future },
        Waiting { keys: Pin<Box<dyn Future<Output = ()> + Send>>, held: Option<Box<Held<S, ReqBody, C, R>>> },
        Rejected { response: Option<Response<ResBody>> },
    }
}

/// What a waiting request keeps: itself, and the service that was ready for it. Boxed, since it
/// would make every future as large.
pub(crate) struct Held<S, ReqBody, C, R> {
    pub(crate) gate: Arc<Gate<C>>,
    pub(crate) rejection: R,
    pub(crate) service: S,
    pub(crate) request: Request<ReqBody>,
    /// How many more fetches it may wait for.
    pub(crate) waits_left: u8,
}

impl<S, ReqBody, ResBody, C, R> ResponseFuture<S, ReqBody, ResBody, C, R>
where
    S: Service<Request<ReqBody>>,
{
    pub(crate) fn calling(future: S::Future) -> Self {
        Self { state: State::Calling { future } }
    }

    pub(crate) fn waiting(keys: Pin<Box<dyn Future<Output = ()> + Send>>, held: Held<S, ReqBody, C, R>) -> Self {
        Self { state: State::Waiting { keys, held: Some(Box::new(held)) } }
    }

    pub(crate) fn rejected(response: Response<ResBody>) -> Self {
        Self { state: State::Rejected { response: Some(response) } }
    }
}

impl<S, ReqBody, ResBody, C, R> Future for ResponseFuture<S, ReqBody, ResBody, C, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    C: FromClaims,
    R: RejectionResponse<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut state = self.as_mut().project().state;
            let next = match state.as_mut().project() {
                StateProj::Calling { future } => return future.poll(cx),
                StateProj::Rejected { response } => match response.take() {
                    Some(response) => return Poll::Ready(Ok(response)),
                    None => return Poll::Pending, // polled again after it was ready: nothing more comes
                },
                StateProj::Waiting { keys, held } => {
                    ready!(keys.as_mut().poll(cx));
                    match held.take() {
                        Some(held) => held.go_on(),
                        None => return Poll::Pending,
                    }
                }
            };
            state.set(next);
        }
    }
}

impl<S, ReqBody, C, R> Held<S, ReqBody, C, R> {
    fn go_on<ResBody>(mut self) -> State<S, ReqBody, ResBody, C, R>
    where
        S: Service<Request<ReqBody>>,
        C: FromClaims,
        R: RejectionResponse<ResBody>,
    {
        let (mut parts, body) = self.request.into_parts();
        match self.gate.decide(&mut parts, self.waits_left) {
            Decision::Admit => State::Calling { future: self.service.call(Request::from_parts(parts, body)) },
            Decision::Reject(error) => State::Rejected { response: Some(respond(&self.rejection, &error, &mut parts)) },
            Decision::Wait(keys) => {
                self.request = Request::from_parts(parts, body);
                self.waits_left -= 1;
                State::Waiting { keys, held: Some(Box::new(self)) }
            }
        }
    }
}

/// The answer to a refused request, with the reason where outer layers find it.
pub(crate) fn respond<B>(rejection: &impl RejectionResponse<B>, error: &Error, refused: &mut Parts) -> Response<B> {
    // Cleared, the request's maps have room for the answer's headers and extensions, and nothing is
    // allocated for them.
    let mut blank = Response::new(());
    mem::swap(blank.headers_mut(), &mut refused.headers);
    mem::swap(blank.extensions_mut(), &mut refused.extensions);
    blank.headers_mut().clear();
    blank.extensions_mut().clear();

    let mut response = rejection.response(error, blank);
    response.extensions_mut().insert(error.kind());
    response
}

impl<S, ReqBody, ResBody, C, R> fmt::Debug for ResponseFuture<S, ReqBody, ResBody, C, R>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
