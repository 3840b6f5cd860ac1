//! Which requests the layer accepts, and its responses to the others.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use better_auth_jwt::{
    Authenticated, Claims, Error, ErrorKind, GrpcRejection, JwtAuthLayer, PathError, PathTemplate, ProblemRejection,
    TokenSource, keys::Algorithm, test_util::Issuer,
};
use http::{HeaderMap, Request, Response, request::Parts};
use serde_json::json;
use tower::{Layer, Service, ServiceExt};

use crate::{bearer, request, send};

const ALL: [Algorithm; 14] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
    Algorithm::Ed25519,
];

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_valid_token_of_every_algorithm_is_accepted_and_a_forged_one_is_rejected() {
    for algorithm in ALL {
        let (issuer, other) = (Issuer::with_algorithm(algorithm), Issuer::with_algorithm(algorithm));
        let layer = JwtAuthLayer::new(issuer.verifier());
        let response = send(&layer, request("/", &bearer(&issuer.token("ada")))).await;
        assert_eq!((response.status().as_u16(), &**response.body()), (200, "ada"), "{algorithm}");
        let forged = other.sign_with_header(&issuer.header(), &issuer.claims("ada"));
        let response = send(&layer, request("/", &bearer(&forged))).await;
        assert_eq!(response.status(), 401, "{algorithm}");
        assert_eq!(response.extensions().get(), Some(&ErrorKind::InvalidSignature), "{algorithm}");
    }
}

#[tokio::test]
async fn error_responses_follow_rfc_6750() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier()).match_user(PathTemplate::new("/api/{user_id}/*").unwrap());
    let token = bearer(&issuer.token("ada"));
    let mut expired = issuer.claims("ada");
    expired["exp"] = json!(expired["iat"].as_u64().unwrap() - 31);
    let expired = bearer(&issuer.sign(&expired));

    let bare = r#"Bearer realm="api""#;
    let invalid = r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#;
    let too_old = r#"Bearer realm="api", error="invalid_token", error_description="the token expired""#;
    let broken =
        r#"Bearer realm="api", error="invalid_request", error_description="the Authorization header is not valid""#;
    for (path, authorization, status, challenge) in [
        ("/api/ada/tasks", &*token, 200, ""),
        ("/api/ada/tasks", "", 401, bare),
        ("/api/ada/tasks", "Basic YTpi", 401, bare),
        ("/api/ada/tasks", "Bearer", 401, bare),
        ("/api/ada/tasks", "Bearer\tx", 400, broken),
        ("/api/ada/tasks", "Bearer x", 401, invalid),
        ("/api/ada/tasks", &*expired, 401, too_old),
        ("/api/bob/tasks", &*token, 403, ""),
        ("/api/Ada/tasks", &*token, 403, ""),
        ("/healthz", &*token, 403, ""),
        ("/api/a%2Fda/tasks", &*token, 400, ""),
        ("/api/%61da/tasks", &*token, 200, ""),
        // Unauthenticated clients learn nothing about paths.
        ("/api/a%2Fda/tasks", "", 401, bare),
        ("/healthz", "", 401, bare),
    ] {
        let response = send(&layer, request(path, authorization)).await;
        assert_eq!(response.status(), status, "{path} {authorization}");
        assert_eq!(header(response.headers(), "www-authenticate"), challenge, "{path} {authorization}");
        if status != 200 {
            assert_eq!(header(response.headers(), "cache-control"), "no-store");
            assert_eq!(header(response.headers(), "vary"), "Authorization");
            assert_eq!(response.body(), "");
        }
    }
}

#[tokio::test]
async fn a_path_without_a_user_fails_closed() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier()).match_user(PathTemplate::new("/api/{user_id}/*").unwrap());
    let response = send(&layer, request("/other/ada", &bearer(&issuer.token("ada")))).await;
    assert_eq!(response.status(), 403);
    assert_eq!(response.extensions().get(), Some(&ErrorKind::MissingPathValue));
}

#[tokio::test]
async fn a_closure_can_extract_the_user() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier()).match_user(|parts: &Parts| {
        let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).ok_or(PathError::Missing)?;
        Ok(host.split('.').next().unwrap_or_default().to_owned())
    });
    for (host, status) in [("ada.example.com", 200), ("bob.example.com", 403), ("", 403)] {
        let mut request = request("/", &bearer(&issuer.token("ada")));
        request.headers_mut().insert("host", host.parse().unwrap());
        assert_eq!(send(&layer, request).await.status(), status, "{host}");
    }
}

#[tokio::test]
async fn error_responses_echo_nothing_of_the_request() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .match_user(PathTemplate::new("/api/{user_id}/*").unwrap())
        .rejection_response(ProblemRejection);
    let canary = "canary7Qm2vX9";
    let claims = json!({ "sub": canary, "exp": "canary7Qm2vX9", "iss": canary });
    for (path, authorization) in [
        (format!("/api/{canary}%2f/x"), bearer(&issuer.token(canary))),
        (format!("/api/{canary}/x"), bearer(&issuer.token("ada"))),
        ("/api/x/x".to_owned(), bearer(canary)),
        ("/api/x/x".to_owned(), bearer(&issuer.sign(&claims))),
        ("/api/x/x".to_owned(), bearer(&issuer.sign_with_header(&json!({"alg": "EdDSA", "kid": canary}), &claims))),
        ("/api/x/x".to_owned(), format!("{canary} x")),
    ] {
        let response = send(&layer, request(&path, &authorization)).await;
        assert!(response.status().is_client_error());
        assert!(!format!("{:?}{}", response.headers(), response.body()).contains("canary"), "{path} {authorization}");
    }
}

#[tokio::test]
async fn claims_are_deserialised_into_a_custom_type_and_rules_receive_it() {
    #[derive(serde::Deserialize)]
    struct CustomClaims {
        sub: String,
        role: String,
    }
    let issuer = Issuer::new();
    let layer =
        JwtAuthLayer::new(issuer.verifier()).claims::<CustomClaims>().require("rule", |claims| claims.role == "admin");
    let inner = tower::service_fn(async |request: Request<String>| {
        let Authenticated(claims) = request.extensions().get::<Authenticated<CustomClaims>>().unwrap();
        Ok::<_, Infallible>(Response::new(claims.sub.clone()))
    });
    for (role, status, kind) in [
        (json!("admin"), 200, None),
        (json!("user"), 403, Some(ErrorKind::Forbidden)),
        (json!(1), 401, Some(ErrorKind::InvalidClaims)),
        (json!(null), 401, Some(ErrorKind::InvalidClaims)),
    ] {
        let mut claims = issuer.claims("ada");
        claims["role"] = role.clone();
        let response = layer.layer(inner).oneshot(request("/", &bearer(&issuer.sign(&claims)))).await.unwrap();
        assert_eq!(response.status(), status, "{role}");
        assert_eq!(response.extensions().get().copied(), kind, "{role}");
    }
}

#[tokio::test]
async fn rules_set_before_the_claims_type_still_apply() {
    #[derive(serde::Deserialize)]
    struct CustomClaims {}
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .require("rule", |claims| claims.get("banned").is_ok_and(|banned: bool| !banned))
        .require_scopes(["tasks:read"])
        .unwrap()
        .claims::<CustomClaims>();
    for (banned, scope, kind) in [
        (false, "tasks:read", None),
        (true, "tasks:read", Some(ErrorKind::Forbidden)),
        (false, "tasks:write", Some(ErrorKind::InsufficientScope)),
    ] {
        let mut claims = issuer.claims("ada");
        (claims["banned"], claims["scope"]) = (json!(banned), json!(scope));
        let response = send(&layer, request("/", &bearer(&issuer.sign(&claims)))).await;
        assert_eq!(response.extensions().get().copied(), kind, "{banned} {scope}");
    }
}

#[tokio::test]
async fn an_optional_layer_accepts_requests_without_a_token_but_not_with_an_invalid_one() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier()).optional();
    let response = send(&layer, request("/", "")).await;
    assert_eq!((response.status().as_u16(), &**response.body()), (200, "anonymous"));
    let response = send(&layer, request("/", &bearer(&issuer.token("ada")))).await;
    assert_eq!((response.status().as_u16(), &**response.body()), (200, "ada"));
    assert_eq!(send(&layer, request("/", "Bearer x")).await.status(), 401);
    assert_eq!(send(&layer, request("/", "Bearer\tx")).await.status(), 400);
}

#[tokio::test]
async fn an_optional_layer_removes_the_claims_of_an_outer_layer() {
    let (outer, inner) = (Issuer::new(), Issuer::new());
    let mut anonymous = request("/", "");
    let token = request("/", &bearer(&outer.token("ada")));
    let found = JwtAuthLayer::new(outer.verifier())
        .layer(tower::service_fn(async |request: Request<String>| Ok::<_, Infallible>(Response::new(request))))
        .oneshot(token)
        .await
        .unwrap()
        .into_body();
    *anonymous.extensions_mut() = found.extensions().clone();
    assert!(anonymous.extensions().get::<Authenticated<Claims>>().is_some());
    let response = send(&JwtAuthLayer::new(inner.verifier()).optional(), anonymous).await;
    assert_eq!(response.body(), "anonymous");
}

#[tokio::test]
async fn every_outcome_can_be_counted() {
    let issuer = Issuer::new();
    let outcomes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let layer = JwtAuthLayer::new(issuer.verifier()).optional().on_outcome({
        let outcomes = outcomes.clone();
        move |outcome| outcomes.lock().unwrap().push(outcome.as_str())
    });
    for authorization in ["", &bearer(&issuer.token("ada")), "Bearer x"] {
        send(&layer, request("/", authorization)).await;
    }
    let expected = ["anonymous", "verified", "malformed"];
    assert_eq!(*outcomes.lock().unwrap(), expected);
}

#[tokio::test]
async fn error_responses_can_be_customised() {
    let issuer = Issuer::new();
    let custom = |error: &Error| Response::builder().status(418).body(error.description().to_owned()).unwrap();
    let response = send(&JwtAuthLayer::new(issuer.verifier()).rejection_response(custom), request("/", "")).await;
    assert_eq!((response.status().as_u16(), &**response.body()), (418, "a bearer token is required"));
    assert_eq!(response.extensions().get(), Some(&ErrorKind::MissingToken), "outer layers can still count it");
    let response =
        send(&JwtAuthLayer::new(issuer.verifier()).rejection_response(GrpcRejection), request("/", "")).await;
    assert_eq!((response.status().as_u16(), header(response.headers(), "grpc-status")), (200, "16"));
}

#[tokio::test]
async fn realm_and_resource_metadata_come_from_the_configuration() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .realm("tasks")
        .unwrap()
        .resource_metadata("https://api.example.com/meta")
        .unwrap();
    let mut request = request("/", "");
    request.headers_mut().insert("host", "evil.example".parse().unwrap());
    let response = send(&layer, request).await;
    assert_eq!(
        header(response.headers(), "www-authenticate"),
        r#"Bearer realm="tasks", resource_metadata="https://api.example.com/meta""#
    );
}

#[tokio::test]
async fn a_token_expires_after_its_leeway() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier());
    let token = bearer(&issuer.token("ada"));
    issuer.clock().advance(Duration::from_secs(929));
    assert_eq!(send(&layer, request("/", &token)).await.status(), 200);
    issuer.clock().advance(Duration::from_secs(1));
    let response = send(&layer, request("/", &token)).await;
    assert_eq!(response.extensions().get(), Some(&ErrorKind::Expired));
}

/// Panics when it is called without having been polled ready, and counts its clones.
struct RequiresReady {
    ready: bool,
    clones: Arc<AtomicUsize>,
}

impl Clone for RequiresReady {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::Relaxed);
        Self { ready: false, clones: self.clones.clone() }
    }
}

impl Service<Request<String>> for RequiresReady {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        std::future::ready(Ok(Response::new(String::new())))
    }
}

#[tokio::test]
async fn a_request_with_a_known_key_does_not_clone_the_inner_service() {
    let issuer = Issuer::new();
    let clones = Arc::new(AtomicUsize::new(0));
    let mut service =
        JwtAuthLayer::new(issuer.verifier()).layer(RequiresReady { ready: false, clones: clones.clone() });
    for _ in 0..3 {
        let response = service.ready().await.unwrap().call(request("/", &bearer(&issuer.token("ada")))).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(clones.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_instance_that_was_polled_ready_is_the_one_called_after_waiting_for_a_key() {
    let issuer = Issuer::new();
    let jwks = issuer.jwks();
    let keys = better_auth_jwt::keys::RemoteKeySet::with_fetch(move |_| {
        let jwks = jwks.clone();
        async move {
            tokio::task::yield_now().await;
            Ok(better_auth_jwt::keys::JwksResponse::new(jwks))
        }
    })
    .build()
    .unwrap();
    let verifier = better_auth_jwt::Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
    let clones = Arc::new(AtomicUsize::new(0));
    let mut service = JwtAuthLayer::new(verifier).layer(RequiresReady { ready: false, clones: clones.clone() });
    for expected_clones in [1, 1, 1] {
        let response = service.ready().await.unwrap().call(request("/", &bearer(&issuer.token("ada")))).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(clones.load(Ordering::Relaxed), expected_clones, "only the first request had to wait");
    }
}

#[tokio::test]
async fn the_token_is_taken_from_the_configured_token_source() {
    let issuer = Issuer::new();
    let token = issuer.token("ada");
    let layer = JwtAuthLayer::new(issuer.verifier()).token_source(TokenSource::cookie("jwt"));
    let mut with_cookie = request("/", "");
    with_cookie.headers_mut().insert("cookie", format!("theme=dark; jwt={token}").parse().unwrap());
    assert_eq!(send(&layer, with_cookie).await.body(), "ada");
    let response = send(&layer, request("/", &bearer(&token))).await;
    assert_eq!(response.extensions().get(), Some(&ErrorKind::MissingToken), "the header is not a source here");
}

#[tokio::test]
async fn custom_claims_come_together_with_the_standard_claims() {
    #[derive(serde::Deserialize)]
    struct CustomClaims {
        email: String,
    }
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier()).claims::<CustomClaims>();
    let inner = tower::service_fn(async |request: Request<String>| {
        let Authenticated(custom) = request.extensions().get::<Authenticated<CustomClaims>>().unwrap();
        let Authenticated(claims) = request.extensions().get::<Authenticated<Claims>>().unwrap();
        Ok::<_, Infallible>(Response::new(format!("{} {}", claims.user_id(), custom.email)))
    });
    let response = layer.layer(inner).oneshot(request("/", &bearer(&issuer.token("ada")))).await.unwrap();
    assert_eq!(response.body(), "ada ada@example.com");
}
