//! The user id in axum's paths, for all positions of the layer.

use axum::{Router, body::Body, extract::Request, routing::get};
use better_auth_jwt::{Authenticated, Claims, ErrorKind, JwtAuthLayer, PathParam, PathUser, test_util::Issuer};
use http::Response;
use tower::{Layer, ServiceExt};

use crate::bearer;

async fn whoami(Authenticated(claims): Authenticated<Claims>) -> String {
    claims.user_id().to_owned()
}

async fn maybe(claims: Option<Authenticated<Claims>>) -> String {
    claims.map_or_else(|| "anonymous".to_owned(), |Authenticated(claims)| claims.user_id().to_owned())
}

async fn get_with(app: &Router, path: &str, authorization: &str) -> Response<Body> {
    let mut request = Request::builder().uri(path);
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// One app for each way to apply the layer to `/api/{user_id}/tasks/{id}`.
fn apps(issuer: &Issuer) -> Vec<(&'static str, Router)> {
    let auth = || JwtAuthLayer::new(issuer.verifier()).match_user(PathParam("user_id"));
    let tasks = || Router::new().route("/{user_id}/tasks/{id}", get(whoami));
    let flat = || Router::new().route("/api/{user_id}/tasks/{id}", get(whoami));
    let below_user = || Router::new().route("/tasks/{id}", get(whoami));
    vec![
        ("route_layer", flat().route_layer(auth())),
        ("layer", flat().layer(auth())),
        ("MethodRouter::layer", Router::new().route("/api/{user_id}/tasks/{id}", get(whoami).layer(auth()))),
        (
            "MethodRouter::route_layer",
            Router::new().route("/api/{user_id}/tasks/{id}", get(whoami).route_layer(auth())),
        ),
        ("merge", Router::new().route("/open", get(maybe)).merge(flat().route_layer(auth()))),
        ("nest, layer inside", Router::new().nest("/api", tasks().route_layer(auth()))),
        ("nest, layer outside", Router::new().nest("/api", tasks()).route_layer(auth())),
        ("nest below the user, inside", Router::new().nest("/api/{user_id}", below_user().layer(auth()))),
        ("nest below the user, outside", Router::new().nest("/api/{user_id}", below_user()).layer(auth())),
        ("nest_service, layer outside", Router::new().nest_service("/api/{user_id}", below_user()).layer(auth())),
        ("nest_service, layer around", Router::new().nest_service("/api/{user_id}", auth().layer(below_user()))),
        ("nest_service, layer inside", Router::new().nest_service("/api", tasks().route_layer(auth()))),
        ("route_service", Router::new().route_service("/api/{user_id}/tasks/{id}", auth().layer(get(whoami)))),
    ]
}

#[tokio::test]
async fn the_user_is_found_wherever_the_layer_is_applied() {
    let issuer = Issuer::new();
    let token = bearer(&issuer.token("ada"));
    for (name, app) in apps(&issuer) {
        for (path, status) in [
            ("/api/ada/tasks/1", 200),
            ("/api/ada/tasks/ada", 200),
            ("/api/%61d%61/tasks/1", 200),
            ("http://bob@other.example/api/ada/tasks/1", 200),
            ("/api/bob/tasks/1", 403),
            ("/api/bob/tasks/ada", 403),
            ("/api/ADA/tasks/1", 403),
            ("/api/ada;v=1/tasks/1", 403),
            ("/api/%2561da/tasks/1", 403),
            ("/api/%EF%BC%A1da/tasks/1", 403),
            ("/api/{user_id}/tasks/1", 403),
            ("/api/ada%20/tasks/1", 403),
            ("/api/ada%2Fx/tasks/1", 400),
            ("/api/ada%5cx/tasks/1", 400),
            ("/api/ada%00/tasks/1", 400),
            ("/api/ada%0d%0a/tasks/1", 400),
            ("/api/ada%7F/tasks/1", 400),
            ("/api/%2e%2e/tasks/1", 400),
            ("/api/../tasks/1", 400),
            ("/api/./tasks/1", 400),
            ("/api/ada%/tasks/1", 400),
            ("/api/ada%zz/tasks/1", 400),
            ("/api/al%ff/tasks/1", 400),
        ] {
            let response = get_with(&app, path, &token).await;
            assert_eq!(response.status(), status, "{name}: {path}");
        }
        assert_eq!(get_with(&app, "/api/ada/tasks/1", "").await.status(), 401, "{name}");
    }
}

#[tokio::test]
async fn users_with_unusual_ids_reach_their_own_paths() {
    for (user, segment) in [
        ("é", "%C3%A9"),
        ("é", "é"),
        ("100%", "100%25"),
        ("%2F", "%252F"),
        ("a b", "a%20b"),
        ("a+b", "a+b"),
        ("\u{85}", "%C2%85"),
        ("\u{feff}x", "%EF%BB%BFx"),
        ("...", "..."),
        ("auth0|42", "auth0%7C42"),
    ] {
        let issuer = Issuer::new();
        let token = bearer(&issuer.token(user));
        for (name, app) in apps(&issuer) {
            let response = get_with(&app, &format!("/api/{segment}/tasks/1"), &token).await;
            assert_eq!(response.status(), 200, "{name}: {user}");
        }
    }
}

#[tokio::test]
async fn unmatched_paths_fail_closed_with_layer_and_are_404_with_route_layer() {
    let issuer = Issuer::new();
    let token = bearer(&issuer.token("ada"));
    let auth = || JwtAuthLayer::new(issuer.verifier()).match_user(PathParam("user_id"));
    let app = Router::new().route("/api/{user_id}/tasks", get(whoami)).layer(auth());
    for path in ["/", "/api/ada", "/api/ada/tasks/", "//api/ada/tasks", "/api/ada/../bob/tasks"] {
        let response = get_with(&app, path, &token).await;
        assert_eq!(response.status(), 403, "{path}");
        assert_eq!(response.extensions().get(), Some(&ErrorKind::MissingPathValue), "{path}");
        assert_eq!(get_with(&app, path, "").await.status(), 401, "{path}");
    }
    let app = Router::new().route("/api/{user_id}/tasks", get(whoami)).route_layer(auth());
    assert_eq!(get_with(&app, "/api/ada", &token).await.status(), 404);
}

#[tokio::test]
async fn unsupported_methods_are_405_with_route_layer_on_a_method_router_and_401_otherwise() {
    let issuer = Issuer::new();
    for (name, app) in apps(&issuer) {
        let request = Request::delete("/api/ada/tasks/1").body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        let expected = if name == "MethodRouter::route_layer" { 405 } else { 401 };
        assert_eq!(response.status(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_route_without_the_parameter_or_with_two_of_them_fails_closed() {
    let issuer = Issuer::new();
    let token = bearer(&issuer.token("ada"));
    let auth = || JwtAuthLayer::new(issuer.verifier()).match_user(PathParam("user_id"));
    for (route, path) in [("/api/{user}/tasks", "/api/ada/tasks"), ("/tasks", "/tasks"), ("/api/{*rest}", "/api/ada")] {
        let app = Router::new().route(route, get(whoami)).route_layer(auth());
        let response = get_with(&app, path, &token).await;
        assert_eq!(response.extensions().get(), Some(&ErrorKind::MissingPathValue), "{route}");
    }
    let inner = Router::new().route("/{user_id}", get(whoami)).route_layer(auth());
    let app = Router::new().nest_service("/{user_id}", inner);
    assert_eq!(get_with(&app, "/ada/bob", &token).await.status(), 403);
    assert_eq!(get_with(&app, "/ada/ada", &token).await.status(), 403);
}

#[tokio::test]
async fn extractors_tell_missing_claims_from_a_missing_layer() {
    let issuer = Issuer::new();
    let token = bearer(&issuer.token("ada"));
    let app = Router::new().route("/", get(maybe)).layer(JwtAuthLayer::new(issuer.verifier()).optional());
    assert_eq!(get_with(&app, "/", "").await.status(), 200);
    assert_eq!(get_with(&app, "/", &token).await.status(), 200);
    let app = Router::new().route("/", get(whoami)).layer(JwtAuthLayer::new(issuer.verifier()).optional());
    assert_eq!(get_with(&app, "/", &token).await.status(), 200);
    assert_eq!(get_with(&app, "/", "").await.status(), 500);
}

async fn path_user(PathUser(user): PathUser) -> String {
    user
}

#[tokio::test]
async fn the_paths_user_can_be_extracted_only_if_the_layer_compared_it() {
    #[derive(serde::Deserialize)]
    struct CustomClaims {}
    let issuer = Issuer::new();
    let token = bearer(&issuer.token("a b"));
    let auth = || JwtAuthLayer::new(issuer.verifier());
    let flat = || Router::new().route("/api/{user_id}/tasks", get(path_user));
    for (name, app, status, body) in [
        ("matched", flat().route_layer(auth().match_user(PathParam("user_id"))), 200, "a b"),
        (
            "custom claims",
            flat().route_layer(auth().claims::<CustomClaims>().match_user(PathParam("user_id"))),
            200,
            "a b",
        ),
        ("not matched", flat().route_layer(auth()), 500, ""),
        ("matched outside only", flat().route_layer(auth()).layer(auth().match_user(PathParam("user_id"))), 500, ""),
        ("no layer", flat(), 500, ""),
    ] {
        let response = get_with(&app, "/api/a%20b/tasks", &token).await;
        assert_eq!(response.status(), status, "{name}");
        let received = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(received, body, "{name}");
    }
    let app = flat().route_layer(auth().match_user(PathParam("user_id")));
    assert_eq!(get_with(&app, "/api/bob/tasks", &token).await.status(), 403);
}

#[tokio::test]
async fn preflights_reach_the_service_only_if_the_layer_allows_them() {
    let issuer = Issuer::new();
    let auth = || JwtAuthLayer::new(issuer.verifier()).match_user(PathParam("user_id"));
    let app = |auth: JwtAuthLayer| {
        let options = async |claims: Option<Authenticated<Claims>>| format!("preflight {}", claims.is_some());
        Router::new().route("/api/{user_id}/tasks", get(whoami).options(options)).route_layer(auth)
    };
    let (closed, open) = (app(auth()), app(auth().allow_cors_preflight()));
    for (method, headers, status) in [
        ("OPTIONS", &["origin", "access-control-request-method"][..], 200),
        ("OPTIONS", &["origin"], 401),
        ("OPTIONS", &["access-control-request-method"], 401),
        ("OPTIONS", &[], 401),
        ("GET", &["origin", "access-control-request-method"], 401),
        ("HEAD", &["origin", "access-control-request-method"], 401),
    ] {
        let request = || {
            let request = Request::builder().method(method).uri("/api/ada/tasks");
            headers.iter().fold(request, |request, name| request.header(*name, "GET")).body(Body::empty()).unwrap()
        };
        assert_eq!(open.clone().oneshot(request()).await.unwrap().status(), status, "{method} {headers:?}");
        assert_eq!(closed.clone().oneshot(request()).await.unwrap().status(), 401, "{method} {headers:?}");
    }
}
