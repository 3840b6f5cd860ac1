//! Authentication and authorization errors.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::test_app::{SECRET, TestApp, sign, token};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn request_without_valid_token_gets_401_with_challenge() {
    let app = TestApp::new().await;
    let valid = token("ada");
    let (exp, past) = (now() + 900, now() - 900);
    let cases = [
        (String::new(), "missing_token"),
        ("Basic YTpi".into(), "missing_token"),
        ("Bearer ".into(), "missing_token"),
        (format!("Bearer {}", &valid[..valid.len() - 5]), "invalid_token"),
        ("Bearer nonsense".into(), "invalid_token"),
        (format!("Bearer {}", sign(&json!({ "sub": "ada", "exp": past }), SECRET)), "invalid_token"),
        (format!("Bearer {}", sign(&json!({ "sub": "ada" }), SECRET)), "invalid_token"),
        (
            format!("Bearer {}", sign(&json!({ "sub": "ada", "exp": exp }), "another secret that is long enough, too")),
            "invalid_token",
        ),
    ];
    for (authorization, code) in cases {
        let headers: &[(&str, &str)] =
            if authorization.is_empty() { &[] } else { &[("authorization", &authorization)] };
        let client = app.client("ada", headers);
        let task = "tasks/01890a5d-ac96-774b-bcce-b302099a8057";
        for (method, path) in [
            ("GET", "tasks"),
            ("POST", "tasks"),
            ("GET", task),
            ("PUT", task),
            ("DELETE", task),
            ("PATCH", &format!("{task}/complete")),
            ("GET", "/api/bob/tasks"),
            ("GET", "tasks?limit=0"),
        ] {
            // The token is checked before the content type, the JSON and the query.
            let response = client.send(method, path, axum::body::Body::from("{")).await;
            response.assert_problem(401, code);
            let challenge = response.header("www-authenticate");
            assert!(challenge.starts_with("Bearer realm="), "{challenge}");
            assert_eq!(challenge.contains("invalid_token"), code == "invalid_token", "{challenge}");
            assert!(response.header("vary").to_ascii_lowercase().contains("authorization"));
        }
    }
}

#[tokio::test]
async fn user_id_in_path_is_checked_before_body() {
    let app = TestApp::new().await;
    app.user("ada").raw("POST", "/api/bob/tasks", "{").await.assert_problem(403, "forbidden");
    app.user("ada").raw("POST", "/api/a%2Fda/tasks", "{").await.assert_problem(400, "invalid_path");
    // RFC 3986 2.4: the path is percent-decoded once.
    app.user("ada").send("POST", "/api/%61da/tasks", "{".into()).await.assert_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn path_with_invalid_segment_gets_400() {
    let app = TestApp::new().await;
    for path in ["/api/ada%00/tasks", "/api/%FF/tasks", "/api/ada/tasks/%FF", "/api/../tasks"] {
        app.user("ada").get(path).await.assert_problem(400, "invalid_path");
    }
}

#[tokio::test]
async fn multiple_authorization_headers_get_400() {
    let app = TestApp::new().await;
    let bearer = format!("Bearer {}", token("ada"));
    let twice = app.client("ada", &[("authorization", &bearer), ("authorization", &bearer)]);
    twice.get("tasks").await.assert_problem(400, "invalid_request");
}
