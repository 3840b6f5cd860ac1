use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{Method, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use better_auth_jwt::{Outcome, keys::KeyStatus};
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TEXT_FORMAT, TextEncoder,
    core::Collector,
};

use crate::{logout::Logouts, router::AppState};

/// `GET /metrics`: what was counted, in Prometheus' text format.
pub(crate) async fn metrics(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    let keys = state.keys.as_ref().map(|keys| keys.status());
    ([(CONTENT_TYPE, TEXT_FORMAT)], state.metrics.text(keys.as_ref(), &state.logouts))
}

/// What the server counts. Each app has its own, so that several in one process do not mix.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    in_flight: IntGauge,
    verified: IntCounter,
    rejected: IntCounterVec,
    logouts: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let labels = &["method", "route", "status"];
        let durations = HistogramOpts::new("http_request_duration_seconds", "Time until a request's answer began.")
            .buckets(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        Self {
            requests: add(
                &registry,
                IntCounterVec::new(Opts::new("http_requests_total", "Requests answered."), labels),
            ),
            durations: add(&registry, HistogramVec::new(durations, labels)),
            in_flight: add(&registry, IntGauge::new("http_requests_in_flight", "Requests in hand.")),
            verified: add(&registry, IntCounter::new("auth_tokens_verified_total", "Tokens verified.")),
            rejected: add(
                &registry,
                IntCounterVec::new(
                    Opts::new("auth_tokens_rejected_total", "Requests refused for their token, by reason."),
                    &["kind"],
                ),
            ),
            logouts: add(
                &registry,
                IntCounterVec::new(
                    Opts::new("auth_logout_tokens_total", "Logout tokens received, by result."),
                    &["result"],
                ),
            ),
            registry,
        }
    }

    /// Counts a request as in hand until what is returned is dropped, even if its client goes away.
    pub(crate) fn in_hand(self: &Arc<Self>) -> InHand {
        self.in_flight.inc();
        InHand(self.clone())
    }

    /// `route` is the route's template: a path would make a time series for every user.
    pub(crate) fn answered(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let labels = [method_label(method), route, status.as_str()];
        self.requests.with_label_values(&labels).inc();
        self.durations.with_label_values(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn authenticated(&self, outcome: Outcome) {
        match outcome {
            Outcome::Rejected(kind) => self.rejected.with_label_values(&[snake_case(&format!("{kind:?}"))]).inc(),
            Outcome::Verified => self.verified.inc(),
            _ => {}
        }
    }

    /// A logout token was answered with this status.
    pub(crate) fn logout(&self, status: StatusCode) {
        let result = match status {
            status if status.is_success() => "accepted",
            status if status.is_client_error() => "refused",
            _ => "unavailable",
        };
        self.logouts.with_label_values(&[result]).inc();
    }

    fn text(&self, keys: Option<&KeyStatus>, logouts: &Logouts) -> String {
        let mut families = self.registry.gather();
        families.extend(keys.map(key_metrics).unwrap_or_default().gather());
        families.extend(logout_metrics(logouts).gather());
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

/// A request in hand.
pub(crate) struct InHand(Arc<Metrics>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// The key set counts for itself; its figures are copied when they are asked for.
fn key_metrics(status: &KeyStatus) -> Registry {
    let registry = Registry::new();
    let fetches =
        IntCounterVec::new(Opts::new("jwks_fetches_total", "Fetches of the key set, by result."), &["result"]);
    let fetches = add(&registry, fetches);
    fetches.with_label_values(&["ok"]).inc_by(status.fetches_ok);
    for (reason, count) in &status.fetch_errors {
        fetches.with_label_values(&[reason]).inc_by(*count);
    }
    add(&registry, IntCounter::new("jwks_refetches_suppressed_total", "Unknown kids that caused no fetch."))
        .inc_by(status.refetches_suppressed);
    add(&registry, IntGauge::new("jwks_keys", "Keys that can verify.")).set(status.key_count as i64);
    if let Some(age) = status.age {
        add(&registry, Gauge::new("jwks_age_seconds", "Time since the key set was last fetched."))
            .set(age.as_secs_f64());
    }
    registry
}

/// So are those of the logouts.
fn logout_metrics(logouts: &Logouts) -> Registry {
    let registry = Registry::new();
    add(&registry, IntGauge::new("auth_logouts_held", "Ended sessions that are remembered."))
        .set(logouts.count() as i64);
    if let Some(age) = logouts.age() {
        add(&registry, Gauge::new("auth_logouts_age_seconds", "Time since those of other replicas were last read."))
            .set(age.as_secs_f64());
    }
    registry
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("the names are well formed");
    registry.register(Box::new(metric.clone())).expect("no name is used twice");
    metric
}

/// A method is any word the client likes, and each would be a time series.
fn method_label(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "other",
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
