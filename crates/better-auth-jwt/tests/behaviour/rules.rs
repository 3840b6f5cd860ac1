//! Path values, scopes and custom rules.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use better_auth_jwt::{
    Authenticated, Claims, Clock, ErrorKind, GrpcRejection, JwtAuthLayer, MissingSession, PathTemplate, PathValue,
    Profile, RevokedSessions, Verifier,
    keys::{JwksResponse, RemoteKeySet},
    test_util::Issuer,
};
use http::{Method, Request, Response, header::AUTHORIZATION};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{bearer, request, send};

fn token_with(issuer: &Issuer, claim: &str, value: Value) -> String {
    let mut claims = issuer.claims("ada");
    claims[claim] = value;
    bearer(&issuer.sign(&claims))
}

async fn kind_of(layer: &JwtAuthLayer, request: Request<String>) -> Option<ErrorKind> {
    send(layer, request).await.extensions().get().copied()
}

fn org_id() -> PathTemplate {
    PathTemplate::new("/orgs/{org_id}/*").unwrap()
}

#[tokio::test]
async fn a_claim_must_be_the_string_in_the_path() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier()).match_claim("org", org_id());
    for (value, path, kind) in [
        (json!("acme"), "/orgs/acme/notes", None),
        (json!("acme"), "/orgs/%61cme/notes", None),
        (json!("acme"), "/orgs/other/notes", Some(ErrorKind::ClaimMismatch)),
        (json!("acme"), "/orgs/ACME/notes", Some(ErrorKind::ClaimMismatch)),
        (json!("1"), "/orgs/1/notes", None),
        (json!(1), "/orgs/1/notes", Some(ErrorKind::ClaimMismatch)),
        (json!(null), "/orgs/null/notes", Some(ErrorKind::ClaimMismatch)),
        (json!(["acme"]), "/orgs/acme/notes", Some(ErrorKind::ClaimMismatch)),
        (json!("acme"), "/orgs", Some(ErrorKind::MissingPathValue)),
        (json!("a/b"), "/orgs/a%2Fb/notes", Some(ErrorKind::InvalidPath)),
    ] {
        let token = token_with(&issuer, "org", value.clone());
        assert_eq!(kind_of(&layer, request(path, &token)).await, kind, "{value} {path}");
    }
    let response = send(&layer, request("/orgs/acme/notes", &bearer(&issuer.token("ada")))).await;
    assert_eq!(response.status(), 403, "a token without the claim");
}

#[tokio::test]
async fn several_path_values_must_all_match() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .match_user(PathTemplate::new("/orgs/*/users/{user_id}").unwrap())
        .match_claim("org", org_id())
        .match_claim("team", PathTemplate::new("/*/*/*/{team}").unwrap());
    let mut claims = issuer.claims("ada");
    (claims["org"], claims["team"]) = (json!("acme"), json!("ada"));
    let token = bearer(&issuer.sign(&claims));
    assert_eq!(kind_of(&layer, request("/orgs/acme/users/ada", &token)).await, None);
    assert_eq!(kind_of(&layer, request("/orgs/acme/users/bob", &token)).await, Some(ErrorKind::UserMismatch));
    assert_eq!(kind_of(&layer, request("/orgs/other/users/ada", &token)).await, Some(ErrorKind::ClaimMismatch));
    claims["team"] = json!("else");
    let token = bearer(&issuer.sign(&claims));
    assert_eq!(kind_of(&layer, request("/orgs/acme/users/ada", &token)).await, Some(ErrorKind::ClaimMismatch));
}

#[tokio::test]
async fn a_rule_can_depend_on_the_method_and_the_path() {
    let issuer = Issuer::new();
    let org = org_id();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .require_request("editor", |claims, parts| parts.method == Method::GET || claims.has_role("editor"))
        .require_request("not the archive", move |_, parts| org.extract(parts).is_ok_and(|org| org != "archive"));
    let with_method = |method: Method, path: &str, token: &str| {
        let mut request = request(path, token);
        *request.method_mut() = method;
        request
    };
    let (reader, editor) = (token_with(&issuer, "role", json!("reader")), token_with(&issuer, "role", json!("editor")));
    for (method, path, token, passes) in [
        (Method::GET, "/orgs/a/x", &reader, true),
        (Method::POST, "/orgs/a/x", &reader, false),
        (Method::POST, "/orgs/a/x", &editor, true),
        (Method::GET, "/orgs/archive/x", &editor, false),
    ] {
        let kind = kind_of(&layer, with_method(method.clone(), path, token)).await;
        assert_eq!(kind, (!passes).then_some(ErrorKind::Forbidden), "{method} {path}");
    }
}

#[tokio::test]
async fn the_error_contains_the_rule_and_the_claim_and_the_response_neither() {
    let issuer = Issuer::new();
    let errors = Arc::new(std::sync::Mutex::new(Vec::new()));
    let on_outcome = |errors: &Arc<std::sync::Mutex<Vec<String>>>| {
        let errors = errors.clone();
        move |outcome: better_auth_jwt::Outcome<'_>| {
            if let better_auth_jwt::Outcome::Rejected(error) = outcome {
                errors.lock().unwrap().push(error.to_string());
            }
        }
    };
    let layer = JwtAuthLayer::new(issuer.verifier()).on_outcome(on_outcome(&errors));
    let token = bearer(&issuer.token("ada"));
    for layer in [
        layer.clone().require("admin", |_| false),
        layer.clone().require_async("member", async |_, _| Ok(false)),
        layer.clone().match_claim("org", org_id()),
    ] {
        let response = send(&layer, request("/orgs/acme/x", &token)).await;
        assert_eq!((response.status().as_u16(), &**response.body()), (403, ""));
        assert_eq!(format!("{:?}", response.headers()).find("admin"), None);
    }
    let errors = errors.lock().unwrap();
    assert!(errors[0].ends_with("(rule `admin`)"), "{}", errors[0]);
    assert!(errors[1].ends_with("(rule `member`)"), "{}", errors[1]);
    assert!(errors[2].ends_with("(claim `org`)"), "{}", errors[2]);
}

#[tokio::test]
async fn an_async_rule_decides_after_everything_else() {
    let issuer = Issuer::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let org = org_id();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .require_async("member", move |claims, mut parts| {
            counted.fetch_add(1, Ordering::Relaxed);
            let org = org.clone();
            async move {
                tokio::task::yield_now().await;
                match &*org.extract(&mut parts)? {
                    "broken" => Err(io::Error::other("no connection to the database").into()),
                    org => Ok(claims.user_id() == "ada" && org == "acme"),
                }
            }
        })
        .require("verified", |claims| claims.get("emailVerified").unwrap_or(false));
    let verified = token_with(&issuer, "emailVerified", json!(true));
    assert_eq!(send(&layer, request("/orgs/acme/x", &verified)).await.body(), "ada");
    assert_eq!(kind_of(&layer, request("/orgs/other/x", &verified)).await, Some(ErrorKind::Forbidden));
    let failed = send(&layer, request("/orgs/broken/x", &verified)).await;
    assert_eq!((failed.status().as_u16(), &failed.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(failed.extensions().get(), Some(&ErrorKind::RuleUnavailable));
    assert_eq!(calls.load(Ordering::Relaxed), 3);

    let unverified = token_with(&issuer, "emailVerified", json!(false));
    assert_eq!(kind_of(&layer, request("/orgs/acme/x", &unverified)).await, Some(ErrorKind::Forbidden));
    assert_eq!(kind_of(&layer, request("/orgs/acme/x", "Bearer x")).await, Some(ErrorKind::Malformed));
    assert_eq!(calls.load(Ordering::Relaxed), 3, "requests that fail another check do not start the async rule");
}

#[tokio::test]
async fn a_path_error_of_an_async_rule_is_rejected_as_one_of_match_user() {
    let issuer = Issuer::new();
    let org = org_id();
    let layer = JwtAuthLayer::new(issuer.verifier()).require_async("member", move |_, mut parts| {
        let org = org.clone();
        async move { Ok(org.extract(&mut parts)? == "acme") }
    });
    for (path, expected) in [
        ("/orgs/acme/x", None),
        ("/orgs/other/x", Some((ErrorKind::Forbidden, "member"))),
        ("/orgs", Some((ErrorKind::MissingPathValue, "member"))),
        ("/orgs/a%2Fb/x", Some((ErrorKind::InvalidPath, "member"))),
    ] {
        let (mut parts, _) = request(path, &bearer(&issuer.token("ada"))).into_parts();
        let error = layer.authorize(&mut parts).await.err();
        assert_eq!(error.as_ref().map(|error| (error.kind(), error.rule().unwrap())), expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn async_rules_share_one_time_limit_and_the_error_names_the_rule_that_was_running() {
    let issuer = Issuer::new();
    let sleep = async |millis| {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok::<_, tower::BoxError>(true)
    };
    for (first, second, expected) in [
        (100, 199, None),
        (200, 200, Some((ErrorKind::RuleUnavailable, "second"))),
        (400, 0, Some((ErrorKind::RuleUnavailable, "first"))),
    ] {
        let layer = JwtAuthLayer::new(issuer.verifier())
            .require_async("first", move |_, _| sleep(first))
            .claims::<Value>()
            .require_async("second", move |_, _| sleep(second))
            .rule_timeout(Duration::from_millis(300));
        let (mut parts, _) = request("/", &bearer(&issuer.token("ada"))).into_parts();
        let start = tokio::time::Instant::now();
        let error = layer.authorize(&mut parts).await.err();
        assert_eq!(error.as_ref().map(|error| (error.kind(), error.rule().unwrap())), expected);
        assert_eq!(start.elapsed(), Duration::from_millis(300.min(first + second)));
    }
}

#[tokio::test]
async fn async_rules_run_one_after_another_and_the_first_that_fails_decides() {
    let issuer = Issuer::new();
    let polled = Arc::new(AtomicUsize::new(0));
    let counted = polled.clone();
    let layer = JwtAuthLayer::new(issuer.verifier()).require_async("first", async |_, _| Ok(false)).require_async(
        "second",
        move |_, _| {
            let polled = counted.clone();
            async move {
                polled.fetch_add(1, Ordering::Relaxed);
                Ok(true)
            }
        },
    );
    assert_eq!(kind_of(&layer, request("/", &bearer(&issuer.token("ada")))).await, Some(ErrorKind::Forbidden));
    assert_eq!(polled.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_request_that_is_dropped_drops_its_async_rule() {
    struct CountDrop(Arc<AtomicUsize>);
    impl Drop for CountDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let issuer = Issuer::new();
    let drops = Arc::new(AtomicUsize::new(0));
    let counted = drops.clone();
    let layer = JwtAuthLayer::new(issuer.verifier()).require_async("slow", move |_, _| {
        let guard = CountDrop(counted.clone());
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    });
    let inner = service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
    let mut response = Box::pin(layer.layer(inner).oneshot(request("/", &bearer(&issuer.token("ada")))));
    assert!(futures_poll(response.as_mut()).is_none());
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    drop(response);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

/// Polls once.
fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_session_that_is_revoked_while_an_async_rule_waits_is_rejected() {
    let issuer = Issuer::new();
    let revoked = RevokedSessions::new(Duration::from_secs(930)).clock(issuer.clock());
    let list = revoked.clone();
    let layer = JwtAuthLayer::new(issuer.verifier()).sessions(revoked, MissingSession::Reject).require_async(
        "slow",
        move |claims: Arc<Claims>, _| {
            let list = list.clone();
            async move {
                list.revoke_session(claims.issuer().unwrap(), "phone")?;
                Ok(true)
            }
        },
    );
    let token = bearer(&issuer.token_with_session("ada", "phone"));
    assert_eq!(kind_of(&layer, request("/", &token)).await, Some(ErrorKind::Revoked));
}

#[tokio::test]
async fn rules_of_both_claims_types_apply_sync_and_async() {
    #[derive(serde::Deserialize)]
    struct Member {
        role: String,
    }
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .require_async("not banned", async |claims: Arc<Claims>, _| Ok(!claims.get::<bool>("banned").unwrap_or(true)))
        .claims::<Member>()
        .require("admin", |member| member.role == "admin")
        .require_async("admin, again", async |member: Arc<Member>, _| Ok(member.role == "admin"));
    for (role, banned, kind) in [
        ("admin", false, None),
        ("admin", true, Some(ErrorKind::Forbidden)),
        ("user", false, Some(ErrorKind::Forbidden)),
    ] {
        let mut claims = issuer.claims("ada");
        (claims["role"], claims["banned"]) = (json!(role), json!(banned));
        let response = send(&layer, request("/", &bearer(&issuer.sign(&claims)))).await;
        assert_eq!(response.extensions().get().copied(), kind, "{role} {banned}");
    }
}

#[tokio::test]
async fn scopes_can_depend_on_the_method_of_a_grpc_service() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .require_scopes_for(|_, parts| match parts.uri.path() {
            "/notes.v1.Notes/Get" => &["notes:read"],
            _ => &["notes:write"],
        })
        .rejection_response(GrpcRejection);
    for (scope, path, status) in [
        ("notes:read", "/notes.v1.Notes/Get", None),
        ("notes:read", "/notes.v1.Notes/Create", Some("7")),
        ("notes:write", "/notes.v1.Notes/Create", None),
        ("notes:write", "/notes.v1.Notes/Get", Some("7")),
    ] {
        let token = token_with(&issuer, "scope", json!(scope));
        let response = send(&layer, request(path, &token)).await;
        let code = response.headers().get("grpc-status").map(|code| code.to_str().unwrap());
        assert_eq!(code, status, "{scope} {path}");
    }
}

#[tokio::test]
async fn scopes_can_be_required_of_access_tokens_only() {
    let issuer = Issuer::new();
    let access = issuer.verifier().profile(Profile::AccessToken);
    let layer = JwtAuthLayer::new(issuer.verifier().or(access))
        .require_scopes_for(|claims, _| if claims.is_access_token() { &["notes:read"] } else { &[] });
    let access_token = |scope: &str| {
        let mut claims = issuer.access_claims("ada", issuer.origin(), scope);
        claims["iss"] = json!(issuer.origin());
        issuer.sign_access(&claims)
    };
    for (token, kind) in [
        (issuer.token("ada"), None),
        (access_token("notes:read"), None),
        (access_token(""), Some(ErrorKind::InsufficientScope)),
    ] {
        let response = send(&layer, request("/", &bearer(&token))).await;
        assert_eq!(response.extensions().get().copied(), kind);
    }
}

#[tokio::test]
async fn the_challenge_contains_all_missing_scopes() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .require_scopes(["a"])
        .unwrap()
        .require_scopes(["b", "c"].map(String::from))
        .unwrap()
        .require_scopes_for(|_, _| &["d"]);
    for (scope, missing) in [("", "a b c d"), ("b", "a c d"), ("d a b", "c"), ("a b c dd", "d")] {
        let token = token_with(&issuer, "scope", json!(scope));
        let response = send(&layer, request("/", &token)).await;
        assert_eq!(response.status(), 403);
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.ends_with(&format!(r#"scope="{missing}""#)), "{challenge}");
    }
    let token = token_with(&issuer, "scope", json!("d c b a"));
    assert_eq!(send(&layer, request("/", &token)).await.status(), 200);
}

#[test]
fn scopes_that_a_challenge_cannot_contain_are_rejected() {
    let issuer = Issuer::new();
    for scope in ["", "a b", "a\"b", "a\\b", "é", "a\n"] {
        assert!(JwtAuthLayer::new(issuer.verifier()).require_scopes([scope]).is_err(), "{scope:?}");
    }
}

#[tokio::test]
async fn authorize_applies_every_check_without_a_service() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .match_user(PathTemplate::new("/jobs/{user_id}").unwrap())
        .require("verified", |claims| claims.get("emailVerified").unwrap_or(false))
        .require_async("even name", async |claims: Arc<Claims>, _| Ok(claims.user_id().len() % 2 == 1));
    let authorize = async |path: &str, token: &str| {
        let request = Request::builder().uri(path).header(AUTHORIZATION, token).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        let result = layer.authorize(&mut parts).await;
        let inserted = parts.extensions.get::<Authenticated<Claims>>().is_some();
        assert_eq!(result.is_ok(), inserted);
        result.map(|claims| claims.unwrap().0.user_id().to_owned()).map_err(|error| error.kind())
    };
    let token = token_with(&issuer, "emailVerified", json!(true));
    assert_eq!(authorize("/jobs/ada", &token).await.as_deref(), Ok("ada"));
    assert_eq!(authorize("/jobs/bob", &token).await, Err(ErrorKind::UserMismatch));
    assert_eq!(authorize("/jobs/ada", &bearer(&issuer.token("ada"))).await, Err(ErrorKind::Forbidden));
    assert_eq!(authorize("/jobs/ada", "Basic x").await, Err(ErrorKind::MissingToken));

    let (mut parts, ()) = Request::new(()).into_parts();
    assert!(JwtAuthLayer::new(issuer.verifier()).optional().authorize(&mut parts).await.unwrap().is_none());
}

#[tokio::test]
async fn authorize_at_checks_the_times_of_the_token_as_of_then_and_everything_else_now() {
    let issuer = Issuer::new();
    let (clock, issued) = (issuer.clock(), issuer.clock().unix_time());
    let jwks = issuer.jwks();
    let keys = RemoteKeySet::with_fetch(move |_| std::future::ready(Ok(JwksResponse::new(jwks.clone()))));
    let verifier = Verifier::builder(keys.build().unwrap()).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
    let revoked = RevokedSessions::new(Duration::from_secs(7200)).clock(clock.clone());
    let layer = JwtAuthLayer::new(verifier.clock(clock.clone()))
        .sessions(revoked.clone(), MissingSession::Reject)
        .require_async("true", async |_, _| Ok(true));
    let token = bearer(&issuer.token_with_session("ada", "phone"));
    let kind = async |at: Option<u64>| {
        let (mut parts, _) = request("/", &token).into_parts();
        let result = match at {
            Some(at) => layer.authorize_at(&mut parts, at).await,
            None => layer.authorize(&mut parts).await,
        };
        result.err().map(|error| error.kind())
    };

    clock.advance(Duration::from_secs(3600));
    assert_eq!(kind(None).await, Some(ErrorKind::Expired));
    // The first of these waits for the keys, the others use the cached token.
    for at in [issued, issued + 929, issued - 30] {
        assert_eq!(kind(Some(at)).await, None);
    }
    assert_eq!(kind(Some(issued + 930)).await, Some(ErrorKind::Expired));
    assert_eq!(kind(Some(issued - 31)).await, Some(ErrorKind::NotYetValid));
    assert_eq!(kind(Some(u64::MAX)).await, Some(ErrorKind::Expired));
    assert_eq!(kind(None).await, Some(ErrorKind::Expired));

    revoked.revoke_session(issuer.origin(), "phone").unwrap();
    assert_eq!(kind(Some(issued)).await, Some(ErrorKind::Revoked));
}

#[tokio::test]
async fn a_request_carries_the_claims_of_the_innermost_layer_only() {
    #[derive(Debug, serde::Deserialize)]
    struct Outer {}
    #[derive(Debug, serde::Deserialize)]
    struct Inner {}
    let issuer = Issuer::new();
    let mut request = request("/", &bearer(&issuer.token("ada")));
    let (mut parts, body) = request.into_parts();
    let outer = JwtAuthLayer::new(issuer.verifier()).claims::<Outer>();
    outer.authorize(&mut parts).await.unwrap();
    assert!(parts.extensions.get::<Authenticated<Outer>>().is_some());
    request = Request::from_parts(parts, body);

    let found = |layer: JwtAuthLayer<Inner>, request: Request<String>| async move {
        let inner = service_fn(async |request: Request<String>| {
            let extensions = request.extensions();
            Ok::<_, Infallible>(Response::new(format!(
                "{} {} {}",
                extensions.get::<Authenticated<Outer>>().is_some(),
                extensions.get::<Authenticated<Inner>>().is_some(),
                extensions.get::<Authenticated<Claims>>().is_some(),
            )))
        });
        layer.layer(inner).oneshot(request).await.unwrap().into_body()
    };
    let layer = JwtAuthLayer::new(issuer.verifier()).claims::<Inner>().optional();
    let mut anonymous = request.clone();
    anonymous.headers_mut().remove(AUTHORIZATION);
    assert_eq!(found(layer.clone(), anonymous).await, "false false false");
    assert_eq!(found(layer, request).await, "false true true");
}

#[tokio::test]
#[should_panic(expected = "polled after completion")]
async fn a_response_future_panics_when_it_is_polled_after_completion() {
    let issuer = Issuer::new();
    let inner = service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
    let mut service = JwtAuthLayer::new(issuer.verifier()).layer(inner);
    let mut response = Box::pin(service.ready().await.unwrap().call(request("/", "")));
    assert!(futures_poll(response.as_mut()).is_some());
    futures_poll(response.as_mut());
}

#[test]
fn the_inner_service_is_accessible() {
    let mut service = JwtAuthLayer::new(Issuer::new().verifier()).layer(1);
    assert_eq!(*service.get_ref(), 1);
    *service.get_mut() = 2;
    assert_eq!(service.into_inner(), 2);
}
