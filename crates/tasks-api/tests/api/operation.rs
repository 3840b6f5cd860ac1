//! `/readyz`, `/healthz` and `/metrics`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use better_auth_jwt::{
    Verifier,
    keys::{FetchError, JwksResponse, RemoteKeySet},
};
use serde_json::{Value, json};

use crate::test_app::{TestApp, TestResponse};

/// An app whose keys are fetched from an issuer that responds while `is_up` is true.
async fn app_with_issuer(is_up: &Arc<AtomicBool>, fresh: Duration) -> TestApp {
    const KEYS: &str =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let is_up = is_up.clone();
    let keys = RemoteKeySet::with_fetch(move |_| {
        let is_up = is_up.load(Ordering::Relaxed);
        async move { if is_up { Ok(JwksResponse::new(KEYS)) } else { Err(FetchError::Connection("down".into())) } }
    });
    let keys = keys.default_max_age(fresh).max_age_bounds(fresh, fresh).backoff(Duration::ZERO, Duration::ZERO);
    let keys = keys.build().unwrap();
    let verifier = Verifier::builder(keys.clone()).insecure_any_issuer().insecure_any_audience().unwrap();
    TestApp::with_verifier(verifier, |config| config.keys = Some(keys)).await
}

async fn get(app: &TestApp, path: &str) -> TestResponse {
    app.client("", &[]).get(path).await
}

/// Polls `/readyz` until the condition holds, since keys are fetched in the background. Returns the last response.
async fn poll_readiness(app: &TestApp, condition: impl Fn(&TestResponse) -> bool) -> TestResponse {
    for _ in 0..200 {
        let response = get(app, "/readyz").await;
        if condition(&response) {
            return response;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    get(app, "/readyz").await
}

/// The value of this series, which must appear once.
fn metric(text: &str, series: &str) -> f64 {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = values.next().unwrap_or_else(|| panic!("{series} in {text}"));
    assert_eq!(values.next(), None, "{series} appears twice");
    value.parse().unwrap()
}

async fn metrics(app: &TestApp) -> String {
    let response = get(app, "/metrics").await;
    response.assert_status(200);
    assert!(response.header("content-type").starts_with("text/plain; version=0.0.4"));
    let Value::String(text) = response.body else { panic!("{:?}", response.body) };
    text
}

#[tokio::test]
async fn server_with_shared_secret_reports_every_component_ready() {
    let app = TestApp::new().await;
    let ready = get(&app, "/readyz").await;
    ready.assert_status(200);
    let all = json!({ "status": "ready", "database": "ready", "migrations": "ready", "keys": "ready" });
    assert_eq!(ready.body, all);
}

#[tokio::test]
async fn server_without_keys_is_alive_but_not_ready_until_they_are_available() {
    let is_up = Arc::new(AtomicBool::new(false));
    let app = app_with_issuer(&is_up, Duration::from_secs(60)).await;
    let not_ready = get(&app, "/readyz").await;
    not_ready.assert_problem(503, "not_ready");
    let detail = not_ready.body["detail"].as_str().unwrap();
    assert!(detail.contains("keys") && !detail.contains("database"), "{detail}");
    get(&app, "/healthz").await.assert_status(200);

    is_up.store(true, Ordering::Relaxed);
    let ready = poll_readiness(&app, |response| response.status == 200).await;
    assert_eq!(ready.assert_status(200).body["keys"], "ready");
}

#[tokio::test]
async fn server_with_stale_keys_is_ready_and_reports_them_as_stale() {
    let is_up = Arc::new(AtomicBool::new(true));
    let app = app_with_issuer(&is_up, Duration::from_millis(50)).await;
    poll_readiness(&app, |response| response.status == 200).await.assert_status(200);
    is_up.store(false, Ordering::Relaxed);
    let stale = poll_readiness(&app, |response| response.body["keys"] == "stale").await;
    assert_eq!(stale.assert_status(200).body["keys"], "stale");
}

#[tokio::test]
async fn draining_server_is_not_ready_but_serves_requests() {
    let app = TestApp::new().await;
    app.state.drain();
    get(&app, "/readyz").await.assert_problem(503, "not_ready");
    get(&app, "/healthz").await.assert_status(200);
    app.user("ada").task("still possible").await;
}

#[tokio::test]
async fn metrics_count_requests_by_route_template_and_tokens_by_error_kind() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let id = ada.task("t").await;
    ada.get("tasks").await;
    ada.get("tasks?limit=1").await;
    ada.get(&format!("tasks/{id}")).await;
    ada.get("/api/bob/tasks").await;
    ada.send("BREW", "tasks", "".into()).await;
    app.client("ada", &[("authorization", "Bearer nonsense")]).get("tasks").await;
    get(&app, "/no/such/route").await;

    let text = metrics(&app).await;
    for (series, value) in [
        (r#"http_requests_total{method="GET",route="/api/{user_id}/tasks",status="200"}"#, 2.0),
        (r#"http_requests_total{method="GET",route="/api/{user_id}/tasks",status="403"}"#, 1.0),
        (r#"http_requests_total{method="GET",route="/api/{user_id}/tasks",status="401"}"#, 1.0),
        (r#"http_requests_total{method="POST",route="/api/{user_id}/tasks",status="201"}"#, 1.0),
        (r#"http_requests_total{method="GET",route="/api/{user_id}/tasks/{id}",status="200"}"#, 1.0),
        (r#"http_requests_total{method="other",route="/api/{user_id}/tasks",status="405"}"#, 1.0),
        (r#"http_requests_total{method="GET",route="-",status="404"}"#, 1.0),
        (r#"http_request_duration_seconds_count{method="GET",route="/api/{user_id}/tasks",status="200"}"#, 2.0),
        // The request to `/metrics`.
        ("http_requests_in_flight", 1.0),
        ("auth_tokens_verified_total", 4.0),
        (r#"auth_tokens_rejected_total{kind="user_mismatch"}"#, 1.0),
        (r#"auth_tokens_rejected_total{kind="malformed"}"#, 1.0),
    ] {
        assert_eq!(metric(&text, series), value, "{series} in {text}");
    }
    for raw in ["ada", "bob", &id, "/no/such/route", "BREW"] {
        assert!(!text.contains(raw), "{raw} in {text}");
    }
}

#[tokio::test]
async fn metrics_report_key_set_status() {
    let is_up = Arc::new(AtomicBool::new(false));
    let app = app_with_issuer(&is_up, Duration::from_secs(60)).await;
    poll_readiness(&app, |_| false).await;
    let text = metrics(&app).await;
    assert_eq!((metric(&text, "jwks_keys"), metric(&text, r#"jwks_fetches_total{result="ok"}"#)), (0.0, 0.0));
    assert!(metric(&text, r#"jwks_fetches_total{result="connection"}"#) >= 1.0);
    assert!(!text.contains("jwks_age_seconds"), "there is no age without a key set");

    is_up.store(true, Ordering::Relaxed);
    poll_readiness(&app, |response| response.status == 200).await.assert_status(200);
    let text = metrics(&app).await;
    assert_eq!((metric(&text, "jwks_keys"), metric(&text, r#"jwks_fetches_total{result="ok"}"#)), (1.0, 1.0));
    assert_eq!(metric(&text, "jwks_refetches_suppressed_total"), 0.0);
    assert!(metric(&text, "jwks_age_seconds") < 60.0);
}
