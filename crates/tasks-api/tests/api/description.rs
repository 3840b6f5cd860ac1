//! The API's description of itself: true, whole, and to be looked at without any other server.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    logout::{self, logout_token},
    test_app::{TestApp, TestResponse, rate_limit},
};

async fn description(app: &TestApp) -> Value {
    let answer = app.client("", &[]).get("/openapi.json").await;
    answer.assert_status(200);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.body
}

fn operation<'a>(description: &'a Value, method: &str, path: &str) -> &'a Value {
    &description["paths"][path][method.to_lowercase()]
}

/// Asserts that the answer is one that the description knows, and as it says.
#[track_caller]
fn assert_described(description: &Value, method: &str, path: &str, answer: &TestResponse) {
    let response = &operation(description, method, path)["responses"][answer.status.as_str()];
    assert!(response.is_object(), "{method} {path}: {} is not described", answer.status);
    if answer.body.is_null() {
        assert_eq!(response["content"], Value::Null);
        return;
    }
    let content = &response["content"][answer.header("content-type")];
    assert!(content.is_object(), "{method} {path}: {answer:?}");
    if let Some(code) = answer.body["code"].as_str() {
        let example = &content["examples"][code]["value"];
        let own = |body: &Value| {
            let mut body = body.as_object().unwrap().clone();
            body.retain(|name, _| !["instance", "request_id", "detail", "errors"].contains(&name.as_str()));
            body
        };
        assert!(example.is_object(), "{method} {path}: {code} has no example");
        assert_eq!(own(example), own(&answer.body), "{method} {path}");
    }
    for name in response["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
        assert!(answer.headers.contains_key(name) || name == "Link", "{method} {path}: no {name}");
    }
}

#[tokio::test]
async fn what_the_server_answers_is_described_and_the_examples_are_what_it_says() {
    let app = TestApp::with(|config| config.rate_limit = Some(rate_limit(60, Duration::from_secs(600)))).await;
    let description = description(&app).await;
    let (list, one, complete) =
        ("/api/{user_id}/tasks", "/api/{user_id}/tasks/{id}", "/api/{user_id}/tasks/{id}/complete");
    let ada = app.user("ada");
    let (nobody, liar) = (app.client("ada", &[]), app.client("ada", &[("authorization", "Bearer nonsense")]));
    let id = ada.task("t").await;
    let concrete = |path: &str| path.replace("{user_id}", "ada").replace("{id}", &id);
    for (method, path) in
        [("GET", list), ("POST", list), ("GET", one), ("PUT", one), ("PATCH", complete), ("DELETE", one)]
    {
        let (mut seen, here) = (Vec::new(), concrete(path));
        for client in [&nobody, &liar] {
            seen.push(client.send(method, &here, "".into()).await);
        }
        seen.push(ada.send(method, &here.replace("ada", "bob"), "".into()).await);
        seen.push(ada.send(method, &here.replace("ada", "a%00"), "".into()).await);
        seen.push(ada.raw(method, &here, " ".repeat(70_000)).await);
        let stale = if method == "GET" { "if-match" } else { "if-none-match" };
        if path == list {
            seen.push(ada.send("GET", "tasks?limit=0", "".into()).await);
            seen.retain(|answer| method == "GET" || answer.body["code"] != "invalid_query");
        } else {
            seen.push(ada.send(method, &here.replace(&id, "none"), "".into()).await);
            let value = if method == "GET" { "\"0\"" } else { "*" };
            seen.push(
                ada.clone()
                    .header(stale, value)
                    .json(method, &here, json!({ "title": "t", "description": null, "completed": true }))
                    .await,
            );
        }
        if matches!(method, "POST" | "PUT" | "PATCH") {
            seen.push(ada.send(method, &here, "x".into()).await);
            seen.push(ada.raw(method, &here, "{").await);
            seen.push(ada.json(method, &here, json!({ "unknown": 1 })).await);
        }
        let whole = if method == "PATCH" {
            ada.patch(&here).await
        } else {
            let mut body = json!({ "title": "t", "description": null });
            if method == "PUT" {
                body["completed"] = json!(false);
            }
            ada.clone().header("idempotency-key", "k").json(method, &here, body).await
        };
        assert!(whole.status.is_success(), "{whole:?}");
        seen.push(whole);
        for answer in &seen {
            // 412 and 422 of a body that fits another method are described as well.
            assert_described(&description, method, path, answer);
        }
    }
    while ada.get("tasks").await.status != 429 {}
    assert_described(&description, "GET", list, &ada.get("tasks").await);
}

#[tokio::test]
async fn so_are_the_answers_to_logout_tokens() {
    let app = TestApp::new().await;
    let description = description(&app).await;
    let sender = app.client("", &[("content-type", "application/x-www-form-urlencoded")]);
    for (form, status) in [
        (format!("logout_token={}", logout_token("phone")), 200),
        ("logout_token=nonsense".into(), 400),
        ("x".repeat(70_000), 413),
    ] {
        let answer = sender.send("POST", logout::PATH, form.into()).await;
        answer.assert_status(status);
        assert_described(&description, "POST", logout::PATH, &answer);
    }
}

#[tokio::test]
async fn the_description_is_whole_in_itself() {
    let app = TestApp::new().await;
    let description = description(&app).await;
    assert_eq!(description["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()));
            // What is described is there: this is an answer of the route, and not of its absence.
            let concrete = path.replace("{user_id}", "ada").replace("{id}", "x");
            let answer = app.client("", &[]).send(&method.to_uppercase(), &concrete, "".into()).await;
            let expected = match path.split('/').nth(1) {
                Some("api") => 401,
                Some("auth") => 400,
                _ => 200,
            };
            assert_eq!(answer.status, expected, "{method} {path}");
        }
    }
    assert_eq!(ids.len(), 10);
    let text = description.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(description.pointer(reference).is_some(), "{reference}");
    }
    for body in ["NewTask", "TaskReplacement", "Completion"] {
        assert_eq!(description["components"]["schemas"][body]["additionalProperties"], false);
    }
    let required = &description["components"]["schemas"]["Task"]["required"];
    assert_eq!(required.as_array().unwrap().len(), 7, "{required}");
}

#[tokio::test]
async fn the_page_loads_all_it_needs_from_here() {
    let app = TestApp::new().await;
    let nobody = app.client("", &[]);
    let page = nobody.get("/docs").await;
    page.assert_status(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").contains("connect-src 'self'"));
    let html = page.body.as_str().unwrap();
    let parts: Vec<&str> = html.split(['"']).filter(|text| text.starts_with("docs/") || text.contains("://")).collect();
    assert_eq!(parts, ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"]);
    for (part, kind) in parts.iter().zip(["text/css", "text/javascript", "text/javascript"]) {
        let answer = nobody.get(&format!("/{part}")).await;
        answer.assert_status(200);
        assert!(answer.header("content-type").starts_with(kind), "{}", answer.header("content-type"));
    }
    nobody.get("/docs/none").await.assert_problem(404, "not_found");
}
