//! `GET /metrics`.

use std::sync::Arc;

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};
use better_auth_jwt::{ExchangeStatus, keys::KeyStatus};
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TEXT_FORMAT, TextEncoder};

use crate::{log, metrics::register, state::AppState};

/// Metrics
///
/// In Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operation",
    security(),
    responses((status = 200, description = "The metrics", body = String)),
)]
pub(crate) async fn text(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    let mut families = state.metrics.gather();
    families.extend(current(&state).gather());
    ([(CONTENT_TYPE, TEXT_FORMAT)], TextEncoder::new().encode_to_string(&families).unwrap_or_default())
}

/// What others count, or what is only known now.
fn current(state: &AppState) -> Registry {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, value: usize| register(&registry, IntGauge::new(name, help)).set(value as i64);
    if let Some(keys) = &state.keys {
        add_keys(&registry, &keys.status());
    }
    if let Some(exchange) = &state.session_exchange {
        add_session_exchange(&registry, exchange.status());
    }
    gauge("auth_revoked_sessions", "Revoked sessions and users in memory.", state.revocations.count());
    if let Some(staleness) = state.revocations.staleness() {
        let help = "Seconds since revocations were last synced.";
        register(&registry, Gauge::new("auth_revocations_staleness_seconds", help)).set(staleness.as_secs_f64());
    }
    let is_available = !state.database.availability.is_unavailable();
    gauge("db_available", "0 while requests fail at once because the database is unavailable.", is_available.into());
    let pool = state.database.pool_status();
    gauge("db_pool_connections", "Open connections of the pool.", pool.open);
    gauge("db_pool_idle_connections", "Open connections that no request uses.", pool.idle);
    gauge("db_pool_max_connections", "Connections that the pool may open.", pool.max);
    let max_in_flight = state.limits.max_in_flight;
    gauge("http_requests_in_flight_max", "Requests at once above which requests are rejected.", max_in_flight);
    let dropped = "Log lines that were dropped because standard error was not read in time.";
    register(&registry, IntCounter::new("log_lines_dropped_total", dropped)).inc_by(log::dropped_lines() as u64);
    let build = Opts::new("tasks_api_build_info", "1, with the version as a label.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    register(&registry, IntGauge::with_opts(build)).set(1);
    registry
}

fn add_session_exchange(registry: &Registry, status: ExchangeStatus) {
    let exchanges = Opts::new("auth_session_exchanges_total", "Exchanges of sessions for tokens, by result.");
    let exchanges = register(registry, IntCounterVec::new(exchanges, &["result"]));
    let results = [
        ("ok", status.exchanged),
        ("rejected", status.rejected),
        ("failed", status.failed),
        ("limited", status.limited),
    ];
    for (result, count) in results {
        exchanges.with_label_values(&[result]).inc_by(count);
    }
}

fn add_keys(registry: &Registry, status: &KeyStatus) {
    let fetches = Opts::new("jwks_fetches_total", "Fetches of the key set, by result.");
    let fetches = register(registry, IntCounterVec::new(fetches, &["result"]));
    fetches.with_label_values(&["ok"]).inc_by(status.fetches_ok);
    for (reason, count) in &status.fetch_errors {
        fetches.with_label_values(&[reason]).inc_by(*count);
    }
    register(
        registry,
        IntCounter::new("jwks_refetches_suppressed_total", "Tokens with an unknown kid that caused no fetch."),
    )
    .inc_by(status.refetches_suppressed);
    register(registry, IntGauge::new("jwks_keys", "Keys that can verify.")).set(status.key_count as i64);
    if let Some(age) = status.age {
        register(registry, Gauge::new("jwks_age_seconds", "Seconds since the key set was last fetched."))
            .set(age.as_secs_f64());
    }
}
