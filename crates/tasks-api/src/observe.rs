use std::{
    any::Any,
    convert::Infallible,
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{CONNECTION, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tower::{Layer, Service, layer::layer_fn};
use tracing::{error, info};
use uuid::Uuid;

use crate::{
    log::REQUEST_ID,
    problem::{self, Problem},
    router::AppState,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An answer is data: no browser should guess its type, frame it, run anything in it, or tell others where it was.
const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// The outermost layer: gives the request an id, writes the body of a failed answer, counts it, and logs one line.
pub(crate) fn layer<S>(state: Arc<AppState>) -> impl Layer<S, Service = Observe<S>> + Clone {
    layer_fn(move |inner| Observe { inner, state: state.clone() })
}

#[derive(Clone)]
pub(crate) struct Observe<S> {
    inner: S,
    state: Arc<AppState>,
}

impl<S> Service<Request> for Observe<S>
where
    S: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let start = Instant::now();
        let state = self.state.clone();
        let in_hand = state.metrics.in_hand();
        let id = RequestId::of(request.headers());
        let method = request.method().clone();
        let uri = request.uri().clone();
        // The template, never the path: a log is no place for user ids.
        let route = request.extensions().get::<MatchedPath>().cloned();
        // A handler that panics fails one request and not its connection.
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();

        Box::pin(REQUEST_ID.scope(id.clone(), async move {
            let answer = match answer.await {
                Ok(Ok(answer)) => answer.into_response(),
                Err(panic) => panicked(&*panic).into_response(),
            };
            let mut response = problem::render(answer, uri.path(), id.as_str());
            let took = start.elapsed();
            let route = route.as_ref().map_or("-", MatchedPath::as_str);
            let status = response.status();
            state.metrics.answered(&method, route, status, took);
            drop(in_hand);
            let (method, status, latency_us) = (method.as_str(), status.as_u16(), took.as_micros() as u64);
            info!(method, route, status, latency_us, "request");

            let headers = response.headers_mut();
            headers.insert(X_REQUEST_ID, id.0);
            for (name, value) in SECURITY {
                headers.entry(name).or_insert(value);
            }
            if state.is_draining() {
                // Clients that keep connections open learn here, and not from a reset, that this one is over.
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }))
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    error!(panic = text.unwrap_or_default(), "a handler panicked");
    Problem::Internal
}

/// The name by which log and client know a request; visible ASCII.
#[derive(Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The client's own id where it is harmless, so that logs can be joined; otherwise a new one.
    fn of(headers: &HeaderMap) -> Self {
        let harmless = |id: &&HeaderValue| {
            (1..=64).contains(&id.len())
                && id.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
        };
        if let Some(id) = headers.get(X_REQUEST_ID).filter(harmless) {
            return Self(id.clone());
        }
        let id = Uuid::now_v7();
        let mut text = [0; 36];
        Self(HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)).expect("hexadecimal digits are ASCII"))
    }

    #[cfg(test)]
    pub(crate) fn test(id: &'static str) -> Self {
        Self(HeaderValue::from_static(id))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("it is visible ASCII")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use better_auth_jwt::{Verifier, keys::SharedSecret};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::logout::LogoutRules;

    #[tokio::test]
    async fn a_handler_that_panics_is_an_answer_like_any_other() {
        let verifier = Verifier::builder(SharedSecret::new("0123456789abcdef0123456789abcdef").unwrap());
        let verifier = verifier.insecure_any_issuer().insecure_any_audience().unwrap();
        let rules = LogoutRules::new(&verifier);
        let state = Arc::new(AppState::connect("sqlite::memory:", verifier, rules).await.unwrap());
        let broken = service_fn(async |_: Request| -> Result<Response, Infallible> { panic!("broken") });
        let answer = layer(state.clone()).layer(broken).oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(answer.status(), 500);
        assert!(answer.headers().contains_key(X_REQUEST_ID) && answer.headers().contains_key(X_FRAME_OPTIONS));
        let body = axum::body::to_bytes(answer.into_body(), 1024).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "internal");
    }
}
