//! Who may come in, and what the others hear.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::test_app::{SECRET, TestApp, signed, token};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn without_a_good_token_every_endpoint_is_401_with_a_challenge() {
    let app = TestApp::new().await;
    let whole = token("ada");
    let (exp, past) = (now() + 900, now() - 900);
    let cases = [
        (String::new(), "missing_token"),
        ("Basic YTpi".into(), "missing_token"),
        ("Bearer ".into(), "missing_token"),
        (format!("Bearer {}", &whole[..whole.len() - 5]), "invalid_token"),
        ("Bearer nonsense".into(), "invalid_token"),
        (format!("Bearer {}", signed(&json!({ "sub": "ada", "exp": past }), SECRET)), "invalid_token"),
        (format!("Bearer {}", signed(&json!({ "sub": "ada" }), SECRET)), "invalid_token"),
        (
            format!(
                "Bearer {}",
                signed(&json!({ "sub": "ada", "exp": exp }), "another secret that is long enough, too")
            ),
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
            // Neither content type nor JSON nor query are looked at before the token.
            let answer = client.send(method, path, axum::body::Body::from("{")).await;
            answer.assert_problem(401, code);
            let challenge = answer.header("www-authenticate");
            assert!(challenge.starts_with("Bearer realm="), "{challenge}");
            assert_eq!(challenge.contains("invalid_token"), code == "invalid_token", "{challenge}");
            assert!(answer.header("vary").to_ascii_lowercase().contains("authorization"));
        }
    }
}

#[tokio::test]
async fn the_path_is_compared_before_the_body_is_looked_at() {
    let app = TestApp::new().await;
    app.user("ada").raw("POST", "/api/bob/tasks", "{").await.assert_problem(403, "forbidden");
    app.user("ada").raw("POST", "/api/a%2Fda/tasks", "{").await.assert_problem(400, "invalid_path");
    // One decoding, as RFC 3986 has it.
    app.user("ada").send("POST", "/api/%61da/tasks", "{".into()).await.assert_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_path_that_is_no_text_is_400() {
    let app = TestApp::new().await;
    for path in ["/api/ada%00/tasks", "/api/%FF/tasks", "/api/ada/tasks/%FF", "/api/../tasks"] {
        app.user("ada").get(path).await.assert_problem(400, "invalid_path");
    }
}

#[tokio::test]
async fn two_authorization_headers_are_400() {
    let app = TestApp::new().await;
    let bearer = format!("Bearer {}", token("ada"));
    let twice = app.client("ada", &[("authorization", &bearer), ("authorization", &bearer)]);
    twice.get("tasks").await.assert_problem(400, "invalid_request");
}
