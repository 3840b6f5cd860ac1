//! Validation of request bodies: size, content type, JSON, fields, in this order.

use axum::body::Body;
use serde_json::{Value, json};

use crate::test_app::{Client, TestApp, TestResponse};

const UNKNOWN: &str = "tasks/01890a5d-ac96-774b-bcce-b302099a8057";

async fn post(client: &Client, body: &str) -> TestResponse {
    client.raw("POST", "tasks", body.to_owned()).await
}

#[tokio::test]
async fn body_larger_than_64_kib_gets_413_after_token_and_path_are_checked() {
    let app = TestApp::new().await;
    let (ada, anonymous) = (app.user("ada"), app.client("ada", &[]));
    let task = r#"{"title":"t"}"#;
    let full = format!("{task}{}", " ".repeat(64 * 1024 - task.len()));
    post(&ada, &full).await.assert_status(201);
    let too_large = format!("{full} ");
    for too_large in [|text: &str| Body::from(text.to_owned()), in_chunks].map(|body| body(&too_large)) {
        ada.clone()
            .header("content-type", "text/plain")
            .raw("POST", "tasks", too_large)
            .await
            .assert_problem(413, "payload_too_large");
    }
    ada.raw("PUT", UNKNOWN, too_large.clone()).await.assert_problem(413, "payload_too_large");
    for too_large in
        [|text: &str| Body::from(text.to_owned()), in_chunks].map(|body| (body(&too_large), body(&too_large)))
    {
        anonymous.raw("POST", "tasks", too_large.0).await.assert_problem(401, "missing_token");
        ada.raw("POST", "/api/bob/tasks", too_large.1).await.assert_problem(403, "forbidden");
    }
    ada.raw("POST", "tasks", in_chunks(&full)).await.assert_status(201);
}

#[tokio::test]
async fn content_type_other_than_json_gets_415() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/problem+json", "", "json"]
    {
        let ada = ada.clone().header("content-type", content_type);
        ada.raw("POST", "tasks", "{").await.assert_problem(415, "unsupported_media_type");
        ada.raw("PUT", UNKNOWN, "{").await.assert_problem(415, "unsupported_media_type");
        ada.raw("PATCH", &format!("{UNKNOWN}/complete"), "{").await.assert_problem(415, "unsupported_media_type");
    }
    ada.send("POST", "tasks", Body::from("{}")).await.assert_problem(415, "unsupported_media_type");
    let complete = format!("tasks/{}/complete", ada.task("t").await);
    ada.send("PATCH", &complete, Body::from(r#"{"completed":true}"#))
        .await
        .assert_problem(415, "unsupported_media_type");
    for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=UTF-8"] {
        ada.clone()
            .header("content-type", content_type)
            .raw("POST", "tasks", r#"{"title":"t"}"#)
            .await
            .assert_status(201);
    }
}

#[tokio::test]
async fn encoded_body_is_415() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    for encoding in ["gzip", "br", "gzip, identity", "x"] {
        let ada = ada.clone().header("content-encoding", encoding);
        for (method, path) in
            [("POST", "tasks".to_owned()), ("PUT", UNKNOWN.to_owned()), ("PATCH", format!("{UNKNOWN}/complete"))]
        {
            let answer = ada.raw(method, &path, "\u{1f}\u{8b}").await;
            answer.assert_problem(415, "unsupported_media_type");
        }
    }
    for encoding in ["identity", "Identity", ""] {
        let ada = ada.clone().header("content-encoding", encoding);
        ada.raw("POST", "tasks", r#"{"title":"t"}"#).await.assert_status(201);
    }
}

#[tokio::test]
async fn malformed_json_gets_400() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    for malformed in [
        "",
        " ",
        "{",
        "}",
        "{\"title\":\"t\"} x",
        "{'title':'t'}",
        "{\"title\":\"t\",}",
        "{\"title\":NaN}",
        "\u{feff}{\"title\":\"t\"}",
        r#"{"title":"\ud800"}"#,
        "{\"title\":\"a\nb\"}",
        // The syntax is checked before the fields.
        "{\"title\":1",
        "{\"unknown\":1,}",
    ] {
        post(&ada, malformed).await.assert_problem(400, "invalid_json");
        ada.raw("PUT", UNKNOWN, malformed.to_owned()).await.assert_problem(400, "invalid_json");
    }
    ada.raw("POST", "tasks", b"{\"title\":\"\xff\"}".to_vec()).await.assert_problem(400, "invalid_json");
}

#[tokio::test]
async fn duplicate_field_gets_422() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    for body in [r#"{"title":"a","title":"b"}"#, r#"{"title":"a","title":"a"}"#, r#"{"title":"a","titl\u0065":"b"}"#] {
        post(&ada, body).await.assert_problem(422, "validation_failed");
    }
}

#[tokio::test]
async fn all_validation_errors_are_reported_with_json_pointers() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    for (body, pointers) in [
        (json!({ "title": "" }), vec!["/title"]),
        (json!({ "title": " \u{2003}\n" }), vec!["/title"]),
        (json!({ "title": "a\0b", "description": "\0" }), vec!["/description", "/title"]),
        (json!({ "title": "", "description": "x".repeat(2001) }), vec!["/description", "/title"]),
    ] {
        assert_eq!(ada.post("tasks", body.clone()).await.pointers(), pointers, "{body}");
    }
    let body = json!({ "title": "", "description": "\0", "completed": true });
    // Validation comes before the lookup of the task.
    assert_eq!(ada.put(UNKNOWN, body).await.pointers(), ["/description", "/title"]);
}

#[tokio::test]
async fn field_of_wrong_type_missing_or_unknown_gets_422_with_json_pointer() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    for (body, pointer) in [
        (json!({}), ""),
        (json!({ "title": 1 }), "/title"),
        (json!({ "title": null }), "/title"),
        (json!({ "title": "t", "description": ["x"] }), "/description"),
        (json!({ "title": "t", "id": 1 }), "/id"),
        (json!({ "title": "t", "Title": "T" }), "/Title"),
        (json!({ "title": "t", "a/b~c": 1 }), "/a~1b~0c"),
        (json!({ "title": "t", "completed": true }), "/completed"),
        (json!({ "title": "t", "": 1 }), "/"),
        (json!([]), ""),
        (json!(["title", "description"]), ""),
        (json!("title"), ""),
        (Value::Null, ""),
    ] {
        assert_eq!(ada.post("tasks", body.clone()).await.pointers(), [pointer], "{body}");
    }
    for (body, pointer) in [
        (json!({}), ""),
        (json!({ "title": "t", "completed": true }), ""),
        (json!({ "title": "t", "description": null }), ""),
        (json!({ "title": "t", "description": null, "completed": "true" }), "/completed"),
        (json!({ "title": "t", "description": null, "completed": 1 }), "/completed"),
        (json!({ "title": "t", "description": null, "completed": true, "x": 1 }), "/x"),
    ] {
        assert_eq!(ada.put(UNKNOWN, body.clone()).await.pointers(), [pointer], "{body}");
    }
    let path = format!("{UNKNOWN}/complete");
    for (body, pointer) in [
        (json!({}), ""),
        (json!({ "completed": null }), "/completed"),
        (json!({ "completed": true, "title": "t" }), "/title"),
        (json!([true]), ""),
        (json!(true), ""),
    ] {
        assert_eq!(ada.json("PATCH", &path, body.clone()).await.pointers(), [pointer], "{body}");
    }
    let deep = "[".repeat(20_000) + &"]".repeat(20_000);
    post(&ada, &deep).await.assert_problem(422, "validation_failed");
}

#[tokio::test]
async fn lengths_are_counted_in_characters_after_trimming() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    for (title, description, pointers) in [
        ("ü".repeat(200), "😀".repeat(2000), vec![]),
        (format!("  {}\t", "x".repeat(200)), String::new(), vec![]),
        ("x".repeat(201), "x".repeat(2001), vec!["/description", "/title"]),
        ("x".into(), format!(" {}", "x".repeat(2000)), vec!["/description"]),
    ] {
        let response = ada.post("tasks", json!({ "title": title, "description": description })).await;
        if pointers.is_empty() {
            response.assert_status(201);
            assert_eq!(
                (&response.body["title"], &response.body["description"]),
                (&json!(title.trim()), &json!(description))
            );
        } else {
            assert_eq!(response.pointers(), pointers);
        }
    }
}

/// A body without `Content-Length`.
fn in_chunks(text: &str) -> Body {
    let chunks: Vec<_> =
        text.as_bytes().chunks(1000).map(|chunk| Ok::<_, std::convert::Infallible>(chunk.to_vec())).collect();
    Body::from_stream(futures_util::stream::iter(chunks))
}
