//! Where the server says: enough.

use std::time::Duration;

use axum::body::Body;
use futures_util::stream;
use serde_json::json;
use tokio::task::JoinSet;

use crate::test_app::{TestApp, rate_limit};

/// A body whose sender has fallen asleep.
fn stuck() -> Body {
    Body::from_stream(stream::pending::<Result<Vec<u8>, std::convert::Infallible>>())
}

#[tokio::test]
async fn a_user_beyond_the_rate_is_429_until_the_announced_time_and_others_are_not() {
    let app = TestApp::with(|config| config.rate_limit = Some(rate_limit(3, Duration::from_secs(3)))).await;
    let (ada, bob) = (app.user("ada"), app.user("bob"));
    for left in ["2", "1", "0"] {
        let answer = ada.get("tasks").await;
        answer.assert_status(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"user\";q=3;w=3");
        assert!(answer.header("ratelimit").starts_with(&format!("\"user\";r={left};t=")), "{answer:?}");
    }
    // What is refused in front of the limit counts for nobody, and what is behind it counts whatever it is.
    app.client("bob", &[]).get("tasks").await.assert_problem(401, "missing_token");
    bob.get("/api/ada/tasks").await.assert_problem(403, "forbidden");
    let refused = ada.post("tasks", json!({ "title": "t" })).await;
    refused.assert_problem(429, "rate_limited");
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), ("1", "\"user\";r=0;t=3"));
    assert_eq!(bob.get("tasks/none").await.header("ratelimit"), "\"user\";r=2;t=1");

    tokio::time::sleep(Duration::from_secs(1)).await;
    ada.get("tasks").await.assert_status(200);
}

#[tokio::test]
async fn without_a_limit_there_are_no_headers_of_one() {
    assert_eq!(TestApp::new().await.user("ada").get("tasks").await.header("ratelimit"), "");
}

#[tokio::test]
async fn a_body_that_never_ends_is_408_in_the_end() {
    let app = TestApp::new().await;
    tokio::time::pause();
    app.user("ada").raw("POST", "tasks", stuck()).await.assert_problem(408, "request_timeout");
}

#[tokio::test]
async fn the_rate_limit_comes_before_the_body() {
    let app = TestApp::with(|config| config.rate_limit = Some(rate_limit(1, Duration::from_secs(60)))).await;
    let ada = app.user("ada");
    ada.get("tasks").await.assert_status(200);
    ada.raw("POST", "tasks", stuck()).await.assert_problem(429, "rate_limited");
    ada.raw("POST", "tasks", "x".repeat(70_000)).await.assert_problem(429, "rate_limited");
}

#[tokio::test]
async fn beyond_what_can_be_held_requests_are_turned_away_and_health_is_still_told() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let mut stuck_ones = JoinSet::new();
    for _ in 0..1024 {
        let ada = ada.clone();
        stuck_ones.spawn(async move { ada.raw("POST", "tasks", stuck()).await });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    ada.get("tasks").await.assert_status(200);

    for _ in 0..1024 {
        let ada = ada.clone();
        stuck_ones.spawn(async move { ada.raw("POST", "tasks", stuck()).await });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let refused = ada.get("tasks").await;
    refused.assert_problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "2");
    for path in ["/healthz", "/readyz", "/metrics"] {
        app.client("", &[]).get(path).await.assert_status(200);
    }
    // Clients that go away make room.
    stuck_ones.shutdown().await;
    ada.get("tasks").await.assert_status(200);
}
