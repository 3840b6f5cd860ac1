//! The OpenAPI document agrees with the routes and the responses, and the page that shows it is self-contained.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::{
    limits::rate_limit,
    logout::{self, logout_token},
    test_app::{TestApp, TestResponse},
};

/// Routes that the document leaves out: its own and the page's.
const UNDOCUMENTED: [&str; 3] = ["/docs", "/docs/{asset}", "/openapi.json"];

async fn description(app: &TestApp) -> Value {
    let answer = app.client("", &[]).get("/openapi.json").await;
    answer.assert_status(200);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.body
}

/// The paths of all routes. axum shows them in the router's `Debug` output only, as `paths: {RouteId(0): "/healthz", …}`.
fn routes(app: &TestApp) -> BTreeSet<String> {
    let debug = format!("{:?}", app.router);
    let (routes, _) = debug.split_once("fallback_router").unwrap();
    let quoted = routes.split("RouteId(").filter_map(|text| text.split_once("): \"")?.1.split_once('"'));
    quoted.map(|(path, _)| path.to_owned()).collect()
}

/// The path of a route with values for its parameters.
fn concrete(path: &str) -> String {
    path.replace("{user_id}", "ada").replace("{id}", "x")
}

fn operation<'a>(description: &'a Value, method: &str, path: &str) -> &'a Value {
    &description["paths"][path][method.to_lowercase()]
}

/// Asserts that the document describes this response: status, headers, content type, and an example with this code.
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
async fn responses_are_documented_and_examples_match_them() {
    let app = TestApp::with(|config| config.rate_limit = Some(rate_limit(60, Duration::from_secs(600)))).await;
    let description = description(&app).await;
    let (list, one, complete) =
        ("/api/{user_id}/tasks", "/api/{user_id}/tasks/{id}", "/api/{user_id}/tasks/{id}/complete");
    let ada = app.user("ada");
    let (without_token, with_invalid_token) =
        (app.client("ada", &[]), app.client("ada", &[("authorization", "Bearer nonsense")]));
    let id = ada.task("t").await;
    for (method, path) in
        [("GET", list), ("POST", list), ("GET", one), ("PUT", one), ("PATCH", complete), ("DELETE", one)]
    {
        let (mut seen, here) = (Vec::new(), path.replace("{user_id}", "ada").replace("{id}", &id));
        for client in [&without_token, &with_invalid_token] {
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
            assert_described(&description, method, path, answer);
        }
    }
    while ada.get("tasks").await.status != 429 {}
    assert_described(&description, "GET", list, &ada.get("tasks").await);
}

#[tokio::test]
async fn responses_to_logout_tokens_are_documented() {
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
async fn documented_paths_are_the_routes() {
    let app = TestApp::new().await;
    let document = description(&app).await;
    let documented: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let mut routes = routes(&app);
    for path in UNDOCUMENTED {
        assert!(routes.remove(path), "{path} is not a route: {routes:?}");
    }
    assert_eq!(documented, routes);
}

#[tokio::test]
async fn documented_methods_are_those_of_the_routes() {
    let app = TestApp::new().await;
    let document = description(&app).await;
    let client = app.client("", &[]);
    for (path, item) in document["paths"].as_object().unwrap() {
        let mut documented: BTreeSet<String> = item.as_object().unwrap().keys().map(|key| key.to_uppercase()).collect();
        if documented.contains("GET") {
            documented.insert("HEAD".into());
        }
        let path = concrete(path);
        let unknown = client.send("UNKNOWN", &path, "".into()).await;
        unknown.assert_problem(405, "method_not_allowed");
        let allowed: BTreeSet<String> = unknown.header("allow").split(',').map(|method| method.trim().into()).collect();
        assert_eq!(documented, allowed, "{path}");

        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"] {
            let answer = client.send(method, &path, "".into()).await;
            assert_ne!(answer.status, 404, "{method} {path}");
            assert_eq!(answer.status != 405, documented.contains(method), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn operations_require_a_token_as_documented() {
    let app = TestApp::new().await;
    let document = description(&app).await;
    assert_eq!(document["security"], json!([{ "token": [] }]));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let answer = app.client("", &[]).send(&method.to_uppercase(), &concrete(path), "".into()).await;
            let requires_token = operation["security"].is_null();
            assert!(requires_token || operation["security"] == json!([]), "{method} {path}");
            assert_eq!(answer.status == 401, requires_token, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn document_is_complete() {
    let app = TestApp::new().await;
    let document = description(&app).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    let mut codes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{path}");
            assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{operation}");
            for response in operation["responses"].as_object().unwrap().values() {
                let examples = &response["content"]["application/problem+json"]["examples"];
                codes.extend(examples.as_object().into_iter().flat_map(|examples| examples.keys().cloned()));
            }
        }
    }
    assert!(ids.len() >= 10, "{ids:?}");
    // The only code that no operation has: it is for other methods.
    codes.insert("method_not_allowed".to_owned());
    let declared = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
    assert_eq!(codes, declared.iter().map(|code| code.as_str().unwrap().to_owned()).collect());

    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    for body in ["NewTask", "TaskReplacement", "Completion"] {
        assert_eq!(document["components"]["schemas"][body]["additionalProperties"], false);
    }
    let completion = &document["paths"]["/api/{user_id}/tasks/{id}/complete"]["patch"]["requestBody"];
    assert_ne!(completion["required"], true, "{completion}");
    let required = &document["components"]["schemas"]["Task"]["required"];
    assert_eq!(required.as_array().unwrap().len(), 7, "{required}");
}

#[tokio::test]
async fn page_loads_everything_from_this_server() {
    let app = TestApp::new().await;
    let client = app.client("", &[]);
    let page = client.get("/docs").await;
    page.assert_status(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").contains("connect-src 'self'"));
    let html = page.body.as_str().unwrap();
    let parts: Vec<&str> = html.split(['"']).filter(|text| text.starts_with("docs/") || text.contains("://")).collect();
    assert_eq!(parts, ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"]);
    for (part, kind) in parts.iter().zip(["text/css", "text/javascript", "text/javascript"]) {
        let answer = client.get(&format!("/{part}")).await;
        answer.assert_status(200);
        assert!(answer.header("content-type").starts_with(kind), "{}", answer.header("content-type"));
    }
    client.get("/docs/none").await.assert_problem(404, "not_found");
}
