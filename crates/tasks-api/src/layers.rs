//! The layers around all routes: request ids, spans, request log, metrics, error bodies and response headers.

use std::{any::Any, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{self, CONNECTION, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::{
    cors::CorsLayer,
    request_id::{MakeRequestId, RequestId},
};
use tracing::{Span, debug, info, info_span};
use uuid::Uuid;

use crate::{
    http::problem::{self, Problem},
    metrics::InFlight,
    rate_limit,
    state::{AppState, CorsConfig},
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Removes a client's request id unless it is valid: 1 to 64 of the characters `A-Z a-z 0-9 . _ -`. A valid one is kept, so
/// that logs can be correlated. It appears in the log and the response.
pub(crate) fn remove_invalid_request_id<B>(mut request: axum::http::Request<B>) -> axum::http::Request<B> {
    let is_valid = |id: &HeaderValue| {
        (1..=64).contains(&id.len()) && id.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
    };
    if !request.headers().get(X_REQUEST_ID).is_some_and(is_valid) {
        request.headers_mut().remove(X_REQUEST_ID);
    }
    request
}

/// UUIDv7, so that ids sort by time.
#[derive(Clone, Copy)]
pub(crate) struct UuidRequestId;

impl MakeRequestId for UuidRequestId {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&Uuid::now_v7().to_string()).ok().map(RequestId::new)
    }
}

/// The span of a request. It contains the route template and not the path, since paths contain user ids.
pub(crate) fn span<B>(request: &axum::http::Request<B>) -> Span {
    info_span!("request", method = %request.method(), route = %route(request), request_id = %request_id(request))
}

/// Counts and logs each request, including those whose client disconnects before the response.
pub(crate) async fn record(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let mut record = Record {
        start: Instant::now(),
        span: Span::current(),
        method: request.method().clone(),
        route: request.extensions().get().cloned(),
        status: None,
        in_flight: state.metrics.in_flight(),
    };
    let response = next.run(request).await;
    record.status = Some(response.status());
    response
}

/// Counts and logs a request when dropped, with or without a response.
struct Record {
    start: Instant,
    span: Span,
    method: Method,
    route: Option<MatchedPath>,
    status: Option<StatusCode>,
    in_flight: InFlight,
}

impl Drop for Record {
    fn drop(&mut self) {
        let time = self.start.elapsed();
        let route = self.route.as_ref().map_or("-", MatchedPath::as_str);
        self.in_flight.record(&self.method, route, self.status, time);
        let latency_us = time.as_micros() as u64;
        self.span.in_scope(|| match self.status {
            // Probes are frequent.
            Some(StatusCode::OK) if PROBES.contains(&route) => debug!(status = 200, latency_us, "response"),
            Some(status) => info!(status = status.as_u16(), latency_us, "response"),
            None => info!(latency_us, "the connection ended before the response"),
        });
    }
}

/// Their successes are logged at debug level.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Writes the body of an error response, and adds the headers that all responses have.
pub(crate) async fn finish_response(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let id = request_id(&request).to_owned();
    let mut response = problem::render(next.run(request).await, &path, &id);
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(value);
    }
    if state.is_draining() {
        // Tells clients not to reuse the connection, which would end in a reset.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Responses are data: browsers must not sniff their type, frame them, run scripts in them, or send their URL as a referrer.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// Responds with 500 to a request whose handler panicked. The connection stays open. The panic hook logs the panic itself.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::Internal.into_response()
}

/// Returns `None` if no origins are configured. OPTIONS is then routed like other methods.
pub(crate) fn cors(config: &CorsConfig) -> Option<CorsLayer> {
    const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
    /// Browser SDKs add these to requests for distributed tracing.
    const TRACE_CONTEXT: [HeaderName; 4] = [
        HeaderName::from_static("traceparent"),
        HeaderName::from_static("tracestate"),
        HeaderName::from_static("baggage"),
        HeaderName::from_static("sentry-trace"),
    ];
    let api_headers = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        IDEMPOTENCY_KEY,
        X_REQUEST_ID,
    ];
    let allowed = api_headers.into_iter().chain(TRACE_CONTEXT).chain(config.extra_headers.iter().cloned());
    let exposed = [
        header::ETAG,
        header::LINK,
        header::LOCATION,
        header::RETRY_AFTER,
        header::WWW_AUTHENTICATE,
        rate_limit::RATE_LIMIT,
        rate_limit::RATE_LIMIT_POLICY,
        X_REQUEST_ID,
    ];
    let cors = CorsLayer::new()
        .allow_origin(config.origins.clone())
        .allow_credentials(config.credentials)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(allowed.collect::<Vec<_>>())
        .expose_headers(exposed)
        .max_age(std::time::Duration::from_secs(600));
    (!config.origins.is_empty()).then_some(cors)
}

fn route<B>(request: &axum::http::Request<B>) -> &str {
    request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str)
}

fn request_id<B>(request: &axum::http::Request<B>) -> &str {
    let id = request.extensions().get::<RequestId>();
    id.and_then(|id| id.header_value().to_str().ok()).unwrap_or_default()
}
