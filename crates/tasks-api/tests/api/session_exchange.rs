//! Sessions of Better Auth in place of tokens.

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use better_auth_jwt::SessionExchange;
use serde_json::json;

use crate::test_app::{Client, TestApp, token};

const ORIGIN: &str = "https://app.example.com";
const COOKIE: &str = "better-auth.session_token=ada.c2lnbmF0dXJl";

/// In place of Better Auth's `/token`: the user's name is the session.
async fn exchange(headers: HeaderMap) -> Result<Json<serde_json::Value>, StatusCode> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match (text("authorization"), text("cookie")) {
        ("Bearer ada", _) | (_, COOKIE) => Ok(Json(json!({ "token": token("ada") }))),
        ("Bearer failure", _) => Err(StatusCode::INTERNAL_SERVER_ERROR),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}

async fn app() -> TestApp {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().route("/api/auth/token", get(exchange))).await });
    TestApp::with(|config| {
        config.session_exchange = Some(SessionExchange::builder(url).bearer().cookies([ORIGIN]).build().unwrap());
        config.cors.origins = vec![ORIGIN.parse().unwrap()];
        config.cors.credentials = true;
    })
    .await
}

fn with_session(app: &TestApp, session: &str) -> Client {
    app.client("ada", &[("authorization", &format!("Bearer {session}"))])
}

#[tokio::test]
async fn a_session_token_is_accepted_like_a_token() {
    let app = app().await;
    let id = with_session(&app, "ada").task("Buy milk").await;
    assert_eq!(app.user("ada").get(&format!("tasks/{id}")).await.body["title"], "Buy milk");
    with_session(&app, "ada").get("/api/bob/tasks").await.assert_problem(403, "forbidden");
}

#[tokio::test]
async fn a_cookie_is_accepted_from_pages_of_an_allowed_origin_only() {
    let app = app().await;
    let page = |origin: &str| app.client("ada", &[("cookie", COOKIE), ("origin", origin)]);
    let created = page(ORIGIN).post("tasks", json!({ "title": "Buy milk" })).await;
    created.assert_status(201);
    assert_eq!(created.header("access-control-allow-credentials"), "true");
    assert_eq!(created.header("access-control-allow-origin"), ORIGIN);

    let other = page("https://evil.example").post("tasks", json!({ "title": "Buy milk" })).await;
    other.assert_problem(403, "forbidden");
    assert_eq!(other.body["detail"], "the origin may not use cookies");
    let without = app.client("ada", &[("cookie", COOKIE)]);
    without.post("tasks", json!({ "title": "Buy milk" })).await.assert_problem(403, "forbidden");
    assert_eq!(without.get("tasks").await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn sessions_that_cannot_be_exchanged_are_401_or_503_and_counted() {
    let app = app().await;
    with_session(&app, "ended").get("tasks").await.assert_problem(401, "invalid_token");
    let unavailable = with_session(&app, "failure").get("tasks").await;
    unavailable.assert_problem(503, "unavailable");
    assert_eq!(unavailable.header("retry-after"), "1");
    with_session(&app, "ada").get("tasks").await.assert_status(200);

    let metrics = app.user("ada").get("/metrics").await.body;
    for line in [
        r#"auth_session_exchanges_total{result="ok"} 1"#,
        r#"auth_session_exchanges_total{result="rejected"} 1"#,
        r#"auth_session_exchanges_total{result="failed"} 1"#,
        r#"auth_session_exchanges_total{result="limited"} 0"#,
        r#"auth_tokens_rejected_total{kind="invalid_session"} 1"#,
        r#"auth_tokens_rejected_total{kind="exchange_unavailable"} 1"#,
    ] {
        assert!(metrics.as_str().unwrap().contains(line), "{line} is missing in {metrics}");
    }
}

#[tokio::test]
async fn sessions_are_rejected_unless_they_are_configured() {
    let app = TestApp::new().await;
    with_session(&app, "ada").get("tasks").await.assert_problem(401, "invalid_token");
    app.client("ada", &[("cookie", COOKIE)]).get("tasks").await.assert_problem(401, "missing_token");
}
