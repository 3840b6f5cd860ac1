//! Unknown routes, wrong methods, response headers, request ids, CORS.

use axum::http::HeaderValue;

use crate::test_app::TestApp;

#[tokio::test]
async fn unknown_routes_are_404_with_or_without_a_token() {
    let app = TestApp::new().await;
    for client in [app.user("ada"), app.client("ada", &[])] {
        for path in [
            "/",
            "/api",
            "/api/ada",
            "/api/ada/tasks/",
            "/api/ada/tasks/1/complete/x",
            "/api/ada/notes",
            "/API/ada/tasks",
            "/healthz/",
        ] {
            client.get(path).await.assert_problem(404, "not_found");
            client.send("OPTIONS", path, "".into()).await.assert_problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn wrong_methods_are_405_with_allow_with_or_without_a_token() {
    let app = TestApp::new().await;
    for client in [app.user("ada"), app.client("ada", &[])] {
        for (path, method, allow) in [
            ("tasks", "PUT", "GET,HEAD,POST"),
            ("tasks", "OPTIONS", "GET,HEAD,POST"),
            ("tasks/x", "POST", "DELETE,GET,HEAD,PUT"),
            ("tasks/x", "PATCH", "DELETE,GET,HEAD,PUT"),
            ("tasks/x/complete", "GET", "PATCH"),
            ("tasks/x/complete", "BREW", "PATCH"),
            ("/healthz", "POST", "GET,HEAD"),
        ] {
            let answer = client.send(method, path, "".into()).await;
            answer.assert_problem(405, "method_not_allowed");
            let mut methods: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
            methods.sort_unstable();
            assert_eq!(methods.join(","), allow, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn health_needs_no_token() {
    TestApp::new().await.client("", &[]).get("/healthz").await.assert_status(200);
}

#[tokio::test]
async fn every_response_has_security_headers() {
    let app = TestApp::new().await;
    for path in ["tasks", "tasks/none", "/api/bob/tasks", "/healthz", "/readyz", "/none"] {
        let answer = app.user("ada").get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
    }
}

#[tokio::test]
async fn head_has_the_status_of_get() {
    let app = TestApp::new().await;
    app.user("ada").send("HEAD", "tasks", "".into()).await.assert_status(200);
}

#[tokio::test]
async fn valid_request_id_is_kept_and_an_invalid_one_replaced() {
    let app = TestApp::new().await;
    let client = app.user("ada");
    for kept in ["abc-1._Z", &"x".repeat(64)] {
        assert_eq!(client.clone().header("x-request-id", kept).get("tasks").await.header("x-request-id"), kept);
    }
    for replaced in ["", "a b", "a\"b", "{}", &"x".repeat(65)] {
        let answer = client.clone().header("x-request-id", replaced).get("tasks/none").await;
        assert_ne!(answer.assert_problem(404, "not_found").header("x-request-id"), replaced);
    }
}

#[tokio::test]
async fn cors_allows_the_configured_origins_only() {
    let app =
        TestApp::with(|config| config.cors.origins = vec![HeaderValue::from_static("https://app.example.com")]).await;
    let preflight = |origin: &str| {
        app.client(
            "ada",
            &[
                ("origin", origin),
                ("access-control-request-method", "PUT"),
                ("access-control-request-headers", "authorization"),
            ],
        )
    };
    let allowed = preflight("https://app.example.com").send("OPTIONS", "tasks/x", "".into()).await;
    allowed.assert_status(200);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://app.example.com");
    assert!(allowed.header("access-control-allow-headers").contains("authorization"));
    assert_eq!(
        preflight("https://evil.example")
            .send("OPTIONS", "tasks/x", "".into())
            .await
            .header("access-control-allow-origin"),
        ""
    );

    // Pages can read error responses, too.
    let rejected = app.client("ada", &[("origin", "https://app.example.com")]).get("tasks").await;
    rejected.assert_problem(401, "missing_token");
    assert_eq!(rejected.header("access-control-allow-origin"), "https://app.example.com");
    assert!(rejected.header("access-control-expose-headers").contains("www-authenticate"));
}
