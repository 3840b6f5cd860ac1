//! The rate limit, timeouts, and the limit of requests in flight.

use std::time::Duration;

use axum::body::Body;
use futures_util::stream;
use serde_json::json;
use tasks_api::RateLimitConfig;
use tokio::task::JoinSet;

use crate::test_app::TestApp;

/// A body that never sends any data.
fn pending_body() -> Body {
    Body::from_stream(stream::pending::<Result<Vec<u8>, std::convert::Infallible>>())
}

pub(crate) fn rate_limit(requests: u32, window: Duration) -> RateLimitConfig {
    RateLimitConfig::new(requests.try_into().unwrap(), window).unwrap()
}

#[tokio::test]
async fn user_over_rate_limit_gets_429_until_retry_after_and_others_are_unaffected() {
    let app = TestApp::with(|config| config.rate_limit = Some(rate_limit(3, Duration::from_secs(3)))).await;
    let (ada, bob) = (app.user("ada"), app.user("bob"));
    for remaining in ["2", "1", "0"] {
        let response = ada.get("tasks").await;
        response.assert_status(200);
        assert_eq!(response.header("ratelimit-policy"), "\"user\";q=3;w=3");
        assert!(response.header("ratelimit").starts_with(&format!("\"user\";r={remaining};t=")), "{response:?}");
    }
    // Requests rejected by authentication do not count; all others do, whatever their status.
    app.client("bob", &[]).get("tasks").await.assert_problem(401, "missing_token");
    bob.get("/api/ada/tasks").await.assert_problem(403, "forbidden");
    let rejected = ada.post("tasks", json!({ "title": "t" })).await;
    rejected.assert_problem(429, "rate_limited");
    assert_eq!((rejected.header("retry-after"), rejected.header("ratelimit")), ("1", "\"user\";r=0;t=3"));
    assert_eq!(bob.get("tasks/none").await.header("ratelimit"), "\"user\";r=2;t=1");

    tokio::time::sleep(Duration::from_secs(1)).await;
    ada.get("tasks").await.assert_status(200);
}

#[tokio::test]
async fn ratelimit_headers_are_absent_without_rate_limit() {
    assert_eq!(TestApp::new().await.user("ada").get("tasks").await.header("ratelimit"), "");
}

#[tokio::test]
async fn body_that_never_ends_gets_408() {
    let app = TestApp::new().await;
    tokio::time::pause();
    app.user("ada").raw("POST", "tasks", pending_body()).await.assert_problem(408, "request_timeout");
}

#[tokio::test]
async fn rate_limit_is_checked_before_body() {
    let app = TestApp::with(|config| config.rate_limit = Some(rate_limit(1, Duration::from_secs(60)))).await;
    let ada = app.user("ada");
    ada.get("tasks").await.assert_status(200);
    ada.raw("POST", "tasks", pending_body()).await.assert_problem(429, "rate_limited");
    ada.raw("POST", "tasks", "x".repeat(70_000)).await.assert_problem(429, "rate_limited");
}

#[tokio::test]
async fn requests_over_max_in_flight_get_503_while_probes_and_metrics_respond() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let mut pending_requests = JoinSet::new();
    for _ in 0..1024 {
        let ada = ada.clone();
        pending_requests.spawn(async move { ada.raw("POST", "tasks", pending_body()).await });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    ada.get("tasks").await.assert_status(200);

    for _ in 0..1024 {
        let ada = ada.clone();
        pending_requests.spawn(async move { ada.raw("POST", "tasks", pending_body()).await });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let rejected = ada.get("tasks").await;
    rejected.assert_problem(503, "unavailable");
    assert_eq!(rejected.header("retry-after"), "2");
    for path in ["/healthz", "/readyz", "/metrics"] {
        app.client("", &[]).get(path).await.assert_status(200);
    }
    // Clients that disconnect release their slots.
    pending_requests.shutdown().await;
    ada.get("tasks").await.assert_status(200);
}
