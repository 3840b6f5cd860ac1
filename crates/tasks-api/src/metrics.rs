//! What the server counts.

use std::{sync::Arc, time::Duration};

use axum::http::{Method, StatusCode};
use better_auth_jwt::Outcome;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, core::Collector,
    proto::MetricFamily,
};

/// Each app has its own, so that several in one process do not mix.
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
        let counters = |name: &str, help: &str, label: &str| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), &[label]))
        };
        let labels = &["method", "route", "status"];
        let requests = Opts::new("http_requests_total", "Requests, by status; \"aborted\" if the client disconnected.");
        let durations = HistogramOpts::new("http_request_duration_seconds", "Time to response headers, in seconds.")
            .buckets(vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("no name is used twice");
        Self {
            requests: register(&registry, IntCounterVec::new(requests, labels)),
            durations: register(&registry, HistogramVec::new(durations, labels)),
            in_flight: register(&registry, IntGauge::new("http_requests_in_flight", "Requests in flight.")),
            verified: register(&registry, IntCounter::new("auth_tokens_verified_total", "Tokens verified.")),
            rejected: counters("auth_tokens_rejected_total", "Requests rejected for their token, by kind.", "kind"),
            logouts: {
                let logouts = counters("auth_logout_tokens_total", "Logout tokens received, by result.", "result");
                // From 0, so that a rate sees the first one.
                for result in ["accepted", "rejected", "unavailable"] {
                    logouts.with_label_values(&[result]);
                }
                logouts
            },
            registry,
        }
    }

    /// Counts a request as in flight until the result is dropped.
    pub(crate) fn in_flight(self: &Arc<Self>) -> InFlight {
        self.in_flight.inc();
        InFlight(self.clone())
    }

    pub(crate) fn authenticated(&self, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Rejected(error) => self.rejected.with_label_values(&[error.kind().as_str()]).inc(),
            Outcome::Verified => self.verified.inc(),
            _ => {}
        }
    }

    /// Counts a logout token by the status of its response.
    pub(crate) fn logout(&self, status: StatusCode) {
        let result = match status {
            status if status.is_success() => "accepted",
            status if status.is_client_error() => "rejected",
            _ => "unavailable",
        };
        self.logouts.with_label_values(&[result]).inc();
    }

    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

/// A request in flight.
pub(crate) struct InFlight(Arc<Metrics>);

impl InFlight {
    /// `route` is the route's template: a path would make a time series for every user.
    pub(crate) fn record(&self, method: &Method, route: &str, status: Option<StatusCode>, time: Duration) {
        let status = status.as_ref().map_or("aborted", StatusCode::as_str);
        let labels = [method_label(method), route, status];
        self.0.requests.with_label_values(&labels).inc();
        self.0.durations.with_label_values(&labels).observe(time.as_secs_f64());
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// Adds a metric to a registry.
///
/// # Panics
/// If the name is malformed or used twice, which is an error in the program.
pub(crate) fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("the names are well formed");
    registry.register(Box::new(metric.clone())).expect("no name is used twice");
    metric
}

/// A method is any word that a client sends, and each would be a time series.
fn method_label(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "other",
    }
}
