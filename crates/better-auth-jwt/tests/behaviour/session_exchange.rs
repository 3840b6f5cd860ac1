//! Sessions that are exchanged for tokens at an issuer on loopback.

use std::{sync::Arc, time::Duration};

use better_auth_jwt::{
    ErrorKind, ExchangeStatus, JwtAuthLayer, MissingSession, PathTemplate, RevokedSessions, SessionExchange,
    SessionExchangeBuilder, Verifier,
    keys::RemoteKeySet,
    test_util::{Issuer, TestClock},
};
use http::{Request, Response};
use serde_json::json;

use crate::{
    bearer,
    endpoint::{Act, Endpoint, http, ok},
    request, send,
};

const SESSION: &str = "wMcd1ig8y6sUoB2Z3vRt7xKpQ9LnEaFh";
const SIGNED_SESSION: &str = "wMcd1ig8y6sUoB2Z3vRt7xKpQ9LnEaFh.7xKpQ9LnEaFhwMcd1ig8y6sUoB2Z3vRt7xKpQ9LnEaF=";
const COOKIE: &str = "better-auth.session_token=wMcd1ig8y6sUoB2Z3vRt7xKpQ9LnEaFh.7xKpQ9LnEaFhwMcd1ig8y6sUoB2Z3vRt%3D";
const ORIGIN: &str = "https://app.example.com";
const SECOND: Duration = Duration::from_secs(1);

/// A Better Auth server, and a layer that exchanges sessions there.
struct World {
    issuer: Issuer,
    endpoint: Endpoint,
    clock: Arc<TestClock>,
    exchange: SessionExchange,
    layer: JwtAuthLayer,
}

impl World {
    async fn new() -> Self {
        Self::with(|exchange| exchange).await
    }

    async fn with(configure: impl FnOnce(SessionExchangeBuilder) -> SessionExchangeBuilder) -> Self {
        let issuer = Issuer::new();
        let clock = issuer.clock();
        let endpoint = Endpoint::start(token(&issuer.token_with_session("ada", "session-1"))).await;
        let exchange = SessionExchange::builder(endpoint.url.replace("/api/auth/jwks", ""))
            .bearer()
            .cookies([ORIGIN, "http://localhost:3000"])
            .timeout(Duration::from_millis(500))
            .clock(clock.clone());
        let exchange = configure(exchange).build().unwrap();
        let layer = JwtAuthLayer::new(issuer.verifier()).exchange_sessions(exchange.clone());
        Self { issuer, endpoint, clock, exchange, layer }
    }

    async fn send(&self, request: Request<String>) -> Response<String> {
        send(&self.layer, request).await
    }

    async fn send_session(&self, session: &str) -> Response<String> {
        self.send(request("/", &bearer(session))).await
    }

    /// The heads of the requests that the issuer has received.
    fn requests(&self) -> Vec<String> {
        self.endpoint.requests.lock().unwrap().iter().map(|head| head.to_lowercase()).collect()
    }

    fn status(&self) -> ExchangeStatus {
        self.exchange.status()
    }
}

/// The response of Better Auth's `/token`.
fn token(token: &str) -> Act {
    ok(&json!({ "token": token }).to_string())
}

fn unauthorized() -> Act {
    http(
        "401 Unauthorized",
        "content-type: application/json\r\n",
        r#"{"message":"Unauthorized","code":"UNAUTHORIZED"}"#,
    )
}

fn with_cookie(method: &str, cookie: &str, headers: &[(&str, &str)]) -> Request<String> {
    let mut request = Request::builder().method(method).uri("/").header("cookie", cookie);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(String::new()).unwrap()
}

fn kind(response: &Response<String>) -> Option<ErrorKind> {
    response.extensions().get().copied()
}

#[tokio::test]
async fn a_session_token_is_exchanged_once_for_the_claims_of_its_user() {
    for session in [SESSION, SIGNED_SESSION] {
        let world = World::new().await;
        for _ in 0..3 {
            let response = world.send_session(session).await;
            assert_eq!((response.status().as_u16(), &**response.body()), (200, "ada"));
        }
        let requests = world.requests();
        assert_eq!(requests.len(), 1);
        assert!(requests[0].starts_with("get /api/auth/token http/1.1\r\n"), "{requests:?}");
        let authorization = format!("authorization: bearer {}\r\n", session.to_lowercase());
        assert!(requests[0].contains(&authorization), "{requests:?}");
        assert!(!requests[0].contains("cookie:"), "{requests:?}");
        assert!(requests[0].contains("cache-control: no-cache, no-store\r\n"), "{requests:?}");
        assert_eq!(world.status().exchanged, 1);
    }
}

#[tokio::test]
async fn of_all_cookies_the_issuer_receives_only_the_session_and_does_not_extend_it() {
    for name in ["better-auth.session_token", "__Secure-better-auth.session_token"] {
        let world = World::new().await;
        let cookies = format!("theme=dark; {name}=abc.def%3D; better-auth.session_data=cached; other=1");
        let response = world.send(with_cookie("POST", &cookies, &[("origin", ORIGIN)])).await;
        assert_eq!((response.status().as_u16(), &**response.body()), (200, "ada"));
        let requests = world.requests();
        assert!(requests[0].starts_with("get /api/auth/token?disablerefresh=true http/1.1\r\n"), "{requests:?}");
        let cookie = format!("\r\ncookie: {}=abc.def%3d\r\n", name.to_lowercase());
        assert!(requests[0].contains(&cookie) && !requests[0].contains("authorization:"), "{requests:?}");
    }
}

#[tokio::test]
async fn cookies_need_an_allowed_origin() {
    let world = World::new().await;
    for (method, headers, status) in [
        ("POST", vec![("origin", ORIGIN)], 200),
        ("GET", vec![("origin", "http://localhost:3000")], 200),
        ("DELETE", vec![("origin", ORIGIN), ("sec-fetch-site", "same-site")], 200),
        // Requests of the same origin, and those that are not from a browser.
        ("GET", vec![], 200),
        ("HEAD", vec![], 200),
        ("GET", vec![("sec-fetch-site", "same-origin")], 200),
        ("GET", vec![("sec-fetch-site", "none")], 200),
        ("GET", vec![("sec-fetch-site", "cross-site")], 403),
        ("POST", vec![], 403),
        ("PATCH", vec![("sec-fetch-site", "same-origin")], 403),
        ("OPTIONS", vec![], 403),
        ("POST", vec![("origin", "https://evil.example.net")], 403),
        ("GET", vec![("origin", "https://evil.example.net")], 403),
        ("GET", vec![("origin", "null")], 403),
        ("POST", vec![("origin", "https://app.example.com.evil.example.net")], 403),
        ("POST", vec![("origin", "http://app.example.com")], 403),
        ("POST", vec![("origin", "https://app.example.com:8443")], 403),
        ("POST", vec![("origin", "https://app.example.com/")], 403),
        ("POST", vec![("origin", ORIGIN), ("origin", ORIGIN)], 403),
        ("POST", vec![("referer", "https://app.example.com/")], 403),
    ] {
        let response = world.send(with_cookie(method, COOKIE, &headers)).await;
        assert_eq!(response.status(), status, "{method} {headers:?}");
        let expected = (status == 403).then_some(ErrorKind::ForbiddenOrigin);
        assert_eq!(kind(&response), expected, "{method} {headers:?}");
    }
    assert_eq!(world.requests().len(), 1);
}

#[tokio::test]
async fn a_jwt_is_not_exchanged_and_takes_precedence_over_a_cookie() {
    let world = World::new().await;
    let mut request = with_cookie("POST", COOKIE, &[("origin", "https://evil.example.net")]);
    let authorization = bearer(&world.issuer.token("bob"));
    request.headers_mut().insert("authorization", authorization.parse().unwrap());
    let response = world.send(request).await;
    assert_eq!((response.status().as_u16(), &**response.body()), (200, "bob"));
    let response = world.send(request_with_expired_jwt(&world)).await;
    assert_eq!(kind(&response), Some(ErrorKind::Expired));
    assert!(world.requests().is_empty());
}

fn request_with_expired_jwt(world: &World) -> Request<String> {
    let mut claims = world.issuer.claims("ada");
    claims["exp"] = json!(1_700_000_000);
    let mut request = with_cookie("GET", COOKIE, &[]);
    request.headers_mut().insert("authorization", bearer(&world.issuer.sign(&claims)).parse().unwrap());
    request
}

#[tokio::test]
async fn what_cannot_be_a_session_is_not_sent_to_the_issuer() {
    let world = World::new().await;
    for (token, expected) in [
        ("a.b.c", ErrorKind::Malformed),
        ("a.b.c.d", ErrorKind::Malformed),
        ("session token", ErrorKind::Malformed),
        ("<script>", ErrorKind::Malformed),
        (&"x".repeat(513), ErrorKind::Malformed),
    ] {
        assert_eq!(kind(&world.send_session(token).await), Some(expected), "{token}");
    }
    let long = format!("better-auth.session_token={}", "x".repeat(513));
    assert_eq!(kind(&world.send(with_cookie("GET", &long, &[])).await), Some(ErrorKind::InvalidSession));
    let two = "better-auth.session_token=a.b; better-auth.session_token=c.d";
    assert_eq!(kind(&world.send(with_cookie("GET", two, &[])).await), Some(ErrorKind::InvalidRequest));
    let other = with_cookie("GET", "session=abc; better-auth.session_data=x", &[]);
    assert_eq!(kind(&world.send(other).await), Some(ErrorKind::MissingToken));
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn only_the_configured_forms_are_exchanged() {
    let endpoint = Endpoint::start(token(&Issuer::new().token("ada"))).await;
    let builder = || SessionExchange::builder(&endpoint.url[..endpoint.url.len() - "/api/auth/jwks".len()]);
    let layer = |exchange| JwtAuthLayer::new(Issuer::new().verifier()).exchange_sessions(exchange);

    let cookies_only = layer(builder().cookies([ORIGIN]).build().unwrap());
    let response = send(&cookies_only, request("/", &bearer(SESSION))).await;
    assert_eq!(kind(&response), Some(ErrorKind::OpaqueToken));
    let bearer_only = layer(builder().bearer().build().unwrap());
    let response = send(&bearer_only, with_cookie("GET", COOKIE, &[("origin", ORIGIN)])).await;
    assert_eq!(kind(&response), Some(ErrorKind::MissingToken));
    assert_eq!(endpoint.connections(), 0);
}

#[tokio::test]
async fn a_custom_cookie_name_and_token_url_are_used() {
    let world = World::new().await;
    let exchange = SessionExchange::builder("https://app.example.com")
        .token_url(world.endpoint.url.replace("/api/auth/jwks", "/internal/token?tenant=1"))
        .cookie_name("shop.session_token")
        .cookies([ORIGIN])
        .header("x-gateway-key", "open")
        .build()
        .unwrap();
    let layer = JwtAuthLayer::new(world.issuer.verifier()).exchange_sessions(exchange);
    let cookies = format!("{COOKIE}; __Secure-shop.session_token=abc.def");
    let response = send(&layer, with_cookie("GET", &cookies, &[])).await;
    assert_eq!(&**response.body(), "ada");
    let head = &world.requests()[0];
    assert!(head.starts_with("get /internal/token?tenant=1&disablerefresh=true http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncookie: __secure-shop.session_token=abc.def\r\n"), "{head}");
    assert!(head.contains("\r\nx-gateway-key: open\r\n"), "{head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_1000_concurrent_first_requests_of_a_session_one_reaches_the_issuer() {
    let world = Arc::new(World::new().await);
    let requests: Vec<_> = (0..1000)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.send_session(SESSION).await.status() })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!(world.endpoint.connections(), 1);
    assert_eq!(world.status().exchanged, 1);
}

#[tokio::test]
async fn a_session_that_the_issuer_rejects_is_401_and_asked_about_again_after_five_seconds() {
    let world = World::new().await;
    world.endpoint.act(unauthorized());
    for _ in 0..3 {
        let response = world.send_session(SESSION).await;
        assert_eq!(kind(&response), Some(ErrorKind::InvalidSession));
        assert!(response.headers()["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    }
    assert_eq!(world.requests().len(), 1);
    world.endpoint.act(token(&world.issuer.token("ada")));
    world.clock.advance(4 * SECOND);
    assert_eq!(world.send_session(SESSION).await.status(), 401);
    world.clock.advance(2 * SECOND);
    assert_eq!(world.send_session(SESSION).await.status(), 200);
    let ExchangeStatus { exchanged, rejected, failed, limited, .. } = world.status();
    assert_eq!((exchanged, rejected, failed, limited), (1, 1, 0, 0));
}

#[tokio::test]
async fn a_403_of_the_issuer_is_a_rejection_too() {
    let world = World::new().await;
    world.endpoint.act(http("403 Forbidden", "", ""));
    assert_eq!(kind(&world.send_session(SESSION).await), Some(ErrorKind::InvalidSession));
}

#[tokio::test]
async fn a_session_is_exchanged_again_after_60_seconds() {
    let world = World::new().await;
    assert_eq!(world.send_session(SESSION).await.status(), 200);
    // It ends in the meantime.
    world.endpoint.act(unauthorized());
    world.clock.advance(59 * SECOND);
    assert_eq!(world.send_session(SESSION).await.status(), 200);
    world.clock.advance(SECOND);
    assert_eq!(kind(&world.send_session(SESSION).await), Some(ErrorKind::InvalidSession));
    assert_eq!(world.requests().len(), 2);
}

#[tokio::test]
async fn a_jwt_is_not_used_beyond_its_expiration() {
    let world = World::new().await;
    let mut claims = world.issuer.claims("ada");
    claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 10);
    world.endpoint.act(token(&world.issuer.sign(&claims)));
    for (advance, requests) in [(0, 1), (9, 1), (1, 2)] {
        world.clock.advance(advance * SECOND);
        // The verifier's leeway would accept the first JWT for longer.
        assert_eq!(world.send_session(SESSION).await.status(), 200);
        assert_eq!(world.requests().len(), requests);
    }
}

#[tokio::test]
async fn a_jwt_that_expires_within_a_second_is_not_used_beyond_its_expiration_either() {
    let world = World::new().await;
    let mut claims = world.issuer.claims("ada");
    claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 1);
    world.endpoint.act(token(&world.issuer.sign(&claims)));
    for requests in [1, 2] {
        world.clock.advance(SECOND / 2);
        assert_eq!(world.send_session(SESSION).await.status(), 200);
        assert_eq!(world.requests().len(), requests);
    }
}

#[tokio::test]
async fn an_expired_jwt_does_not_cause_an_exchange_for_every_request() {
    let world = World::new().await;
    let mut claims = world.issuer.claims("ada");
    claims["exp"] = json!(1_700_000_000);
    world.endpoint.act(token(&world.issuer.sign(&claims)));
    for _ in 0..5 {
        assert_eq!(kind(&world.send_session(SESSION).await), Some(ErrorKind::Expired));
    }
    assert_eq!(world.requests().len(), 1);
    world.clock.advance(SECOND);
    assert_eq!(kind(&world.send_session(SESSION).await), Some(ErrorKind::Expired));
    assert_eq!(world.requests().len(), 2);
}

#[tokio::test]
async fn a_revoked_session_is_rejected_while_its_jwt_is_cached() {
    let mut world = World::new().await;
    let revoked = RevokedSessions::new(900 * SECOND);
    world.layer = world.layer.sessions(revoked.clone(), MissingSession::Reject);
    assert_eq!(world.send_session(SESSION).await.status(), 200);
    revoked.revoke_session(world.issuer.origin(), "session-1").unwrap();
    assert_eq!(kind(&world.send_session(SESSION).await), Some(ErrorKind::Revoked));
    assert_eq!(world.requests().len(), 1);
}

#[tokio::test]
async fn the_jwt_is_verified_like_any_other() {
    let mut world = World::new().await;
    world.layer = world.layer.match_user(PathTemplate::new("/{user_id}").unwrap());
    let response = world.send(request("/bob", &bearer(SESSION))).await;
    assert_eq!(kind(&response), Some(ErrorKind::UserMismatch));
    assert_eq!(world.send(request("/ada", &bearer(SESSION))).await.status(), 200);

    let forged = Issuer::new().with_key_id("another").token("ada");
    world.endpoint.act(token(&forged));
    let response = world.send(request("/ada", &bearer(SIGNED_SESSION))).await;
    assert_eq!(kind(&response), Some(ErrorKind::UnknownKey));
}

#[tokio::test]
async fn an_exchange_and_a_fetch_of_keys_can_follow_each_other() {
    let issuer = Issuer::new().serve_jwks();
    let endpoint = Endpoint::start(token(&issuer.token("ada"))).await;
    let keys = RemoteKeySet::new(format!("{}/api/auth/jwks", issuer.origin())).unwrap();
    let verifier =
        Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap().clock(issuer.clock());
    let exchange = SessionExchange::builder(endpoint.url.replace("/api/auth/jwks", "")).bearer().build().unwrap();
    let layer = JwtAuthLayer::new(verifier).exchange_sessions(exchange);
    let response = send(&layer, request("/", &bearer(SESSION))).await;
    assert_eq!((response.status().as_u16(), &**response.body()), (200, "ada"));
    assert_eq!((endpoint.connections(), issuer.jwks_requests()), (1, 1));
}

#[tokio::test]
async fn an_issuer_that_fails_is_503_and_asked_again_after_a_second() {
    let world = World::new().await;
    let jwt = world.issuer.token("ada");
    let large = format!(r#"{{"token":"{jwt}","padding":"{}"}}"#, "x".repeat(64 * 1024));
    for (number, (name, act)) in [
        ("500", http("500 Internal Server Error", "", "")),
        ("503", http("503 Service Unavailable", "retry-after: 1\r\n", "")),
        ("404", http("404 Not Found", "", "")),
        ("redirect", http("302 Found", &format!("location: {}\r\n", world.endpoint.url), "")),
        ("closed", Act::Slam),
        ("hangs", Act::Hang),
        ("endless", Act::Flood),
        ("slow", Act::Drip(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_vec())),
        ("not HTTP", Act::Send(b"hello".to_vec())),
        ("not JSON", ok("<html>")),
        ("null", ok("null")),
        ("another type", ok(r#"{"token":1}"#)),
        ("no JWT", token("wMcd1ig8y6sUoB2Z")),
        ("no claims", token("e30.WyJhIl0.c2ln")),
        ("too large", ok(&large)),
    ]
    .into_iter()
    .enumerate()
    {
        world.endpoint.act(act);
        let failed = world.status().failed;
        let session = format!("session-{number}");
        for _ in 0..2 {
            let response = world.send_session(&session).await;
            assert_eq!(kind(&response), Some(ErrorKind::ExchangeUnavailable), "{name}");
            assert_eq!(response.headers()["retry-after"], "1", "{name}");
        }
        assert_eq!(world.status().failed, failed + 1, "{name}");
        world.endpoint.act(token(&jwt));
        world.clock.advance(SECOND);
        assert_eq!(world.send_session(&session).await.status(), 200, "{name}");
    }
}

#[tokio::test]
async fn while_the_issuer_hangs_a_bounded_number_of_requests_waits_and_half_of_it_is_for_known_sessions() {
    let world = Arc::new(World::with(|exchange| exchange.max_concurrent(20)).await);
    assert_eq!(world.send_session(SESSION).await.status(), 200);
    world.clock.advance(60 * SECOND);
    world.endpoint.act(Act::Hang);
    let send = |session: String| {
        let world = world.clone();
        tokio::spawn(async move { world.send_session(&session).await })
    };
    let reached = async |count| {
        while world.requests().len() < count {
            tokio::task::yield_now().await;
        }
    };
    let mut waiting: Vec<_> = (0..10).map(|number| send(format!("session-{number}"))).collect();
    reached(1 + 10).await;
    // Others do not wait, and the issuer does not receive them.
    for number in 10..50 {
        let response = world.send_session(&format!("session-{number}")).await;
        assert_eq!(kind(&response), Some(ErrorKind::ExchangeUnavailable));
    }
    waiting.push(send(SESSION.to_owned()));
    reached(1 + 10 + 1).await;
    assert!(waiting.iter().all(|request| !request.is_finished()));
    for request in waiting {
        assert_eq!(kind(&request.await.unwrap()), Some(ErrorKind::ExchangeUnavailable));
    }
    assert_eq!(world.endpoint.connections(), 1 + 10 + 1);
    let ExchangeStatus { failed, limited, .. } = world.status();
    assert_eq!((failed, limited), (11, 40));
}

#[tokio::test]
async fn made_up_sessions_reach_the_issuer_at_a_bounded_rate_and_do_not_affect_others() {
    let world = World::with(|exchange| exchange.new_session_limit(20, 100 * Duration::from_millis(1))).await;
    assert_eq!(world.send_session(SESSION).await.status(), 200);
    world.endpoint.act(unauthorized());
    let mut statuses = [0; 2];
    for number in 0..10_000 {
        let response = world.send_session(&format!("made-up-{number}")).await;
        statuses[usize::from(response.status() == 503)] += 1;
    }
    // One use of the limit was that of the real session.
    assert_eq!(statuses, [19, 9981]);
    world.clock.advance(10 * SECOND);
    for number in 0..10_000 {
        world.send_session(&format!("made-up-again-{number}")).await;
    }
    assert_eq!(world.requests().len(), 1 + 19 + 20);

    // The limit is reached, but the real session is exchanged again when its JWT is outdated.
    world.endpoint.act(token(&world.issuer.token("ada")));
    assert_eq!(world.send_session(SESSION).await.status(), 200);
    world.clock.advance(50 * SECOND);
    for number in 0..100 {
        world.send_session(&format!("made-up-{number}")).await;
    }
    assert_eq!(kind(&world.send_session("made-up-101").await), Some(ErrorKind::ExchangeUnavailable));
    let exchanged = world.status().exchanged;
    assert_eq!(world.send_session(SESSION).await.status(), 200);
    assert_eq!(world.status().exchanged, exchanged + 1);
}

#[tokio::test]
async fn by_default_100_new_sessions_are_exchanged_in_a_row_and_32_at_the_same_time() {
    let world = World::new().await;
    world.endpoint.act(unauthorized());
    for number in 0..200 {
        world.send_session(&format!("made-up-{number}")).await;
    }
    assert_eq!((world.status().rejected, world.status().limited), (100, 100));

    world.clock.advance(3 * SECOND);
    world.endpoint.act(Act::Hang);
    let requests: Vec<_> = (0..100).map(|number| format!("session-{number}")).collect();
    let requests = requests.iter().map(|session| world.send_session(session));
    let responses = futures_util::future::join_all(requests).await;
    assert!(responses.iter().all(|response| response.status() == 503));
    assert_eq!((world.status().failed, world.status().limited), (32, 168));
}

#[tokio::test(start_paused = true)]
async fn by_default_a_request_waits_for_an_issuer_that_hangs_for_five_seconds() {
    let endpoint = Endpoint::start(Act::Hang).await;
    let exchange = SessionExchange::builder(endpoint.url.replace("/api/auth/jwks", "")).bearer().build().unwrap();
    let layer = JwtAuthLayer::new(Issuer::new().verifier()).exchange_sessions(exchange);
    let start = tokio::time::Instant::now();
    let response = send(&layer, request("/", &bearer(SESSION))).await;
    assert_eq!(kind(&response), Some(ErrorKind::ExchangeUnavailable));
    let waited = start.elapsed();
    assert!((5 * SECOND..6 * SECOND).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn the_issuers_rate_limit_is_respected() {
    for (header, seconds) in [
        ("x-retry-after: 7\r\n", 7),
        ("retry-after: 7\r\n", 7),
        ("", 1),
        ("retry-after: soon\r\n", 1),
        ("retry-after: 86400\r\n", 60),
    ] {
        let world = World::new().await;
        world.endpoint.act(http("429 Too Many Requests", header, ""));
        for number in 0..5 {
            let response = world.send_session(&format!("session-{number}")).await;
            assert_eq!(kind(&response), Some(ErrorKind::ExchangeUnavailable));
            assert_eq!(response.headers()["retry-after"], seconds.to_string());
        }
        world.endpoint.act(token(&world.issuer.token("ada")));
        world.clock.advance((seconds - 1) * SECOND);
        assert_eq!(world.send_session("session-0").await.headers()["retry-after"], "1");
        world.clock.advance(SECOND);
        assert_eq!(world.send_session("session-0").await.status(), 200);
        assert_eq!(world.requests().len(), 2);
    }
}

#[tokio::test]
async fn an_exchange_continues_if_the_request_that_started_it_is_cancelled() {
    let world = World::new().await;
    // The first request starts the exchange when it is polled once.
    tokio::select! {
        biased;
        response = world.send_session(SESSION) => panic!("{response:?}"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(world.send_session(SESSION).await.status(), 200);
    assert_eq!(world.requests().len(), 1);
}

#[test]
fn a_runtime_that_shuts_down_during_an_exchange_leaves_no_session_waiting() {
    let start = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let issuer_runtime = tokio::runtime::Runtime::new().unwrap();
    let world = issuer_runtime.block_on(World::new());
    world.endpoint.act(Act::Hang);
    let first = start();
    first.block_on(async {
        let request = world.send_session(SESSION);
        assert!(tokio::time::timeout(Duration::from_millis(50), request).await.is_err());
    });
    drop(first);
    world.endpoint.act(token(&world.issuer.token("ada")));
    world.clock.advance(SECOND);
    assert_eq!(start().block_on(world.send_session(SESSION)).status(), 200);
}

#[test]
fn outside_a_runtime_only_sessions_that_have_been_exchanged_are_accepted() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(async {
        let world = World::new().await;
        assert_eq!(world.send_session(SESSION).await.status(), 200);
        world
    });
    let outside = |session| futures_util::future::FutureExt::now_or_never(world.send_session(session)).unwrap();
    assert_eq!(outside(SESSION).status(), 200);
    assert_eq!(kind(&outside(SIGNED_SESSION)), Some(ErrorKind::ExchangeUnavailable));
}

#[tokio::test]
async fn an_optional_layer_does_not_let_an_invalid_session_through_as_anonymous() {
    let mut world = World::new().await;
    world.layer = world.layer.optional();
    assert_eq!(&**world.send(request("/", "")).await.body(), "anonymous");
    assert_eq!(&**world.send_session(SESSION).await.body(), "ada");
    world.endpoint.act(unauthorized());
    assert_eq!(kind(&world.send_session("ended").await), Some(ErrorKind::InvalidSession));
}

#[test]
fn invalid_configurations_are_rejected() {
    let builder = || SessionExchange::builder("https://app.example.com");
    for (exchange, says) in [
        (builder(), "neither session tokens nor cookies"),
        (builder().cookies::<String>([]), "origins"),
        (builder().cookies(["app.example.com"]), "is not an origin"),
        (builder().cookies(["https://app.example.com/"]), "is not an origin"),
        (builder().cookies(["https://app.example.com/path"]), "is not an origin"),
        (builder().cookies(["https://app.example.com:443"]), "is not an origin"),
        (builder().cookies(["https://*.example.com"]), "is not an origin"),
        (builder().cookies(["null"]), "is not an origin"),
        (builder().bearer().header("Cookie", "a=b"), "reserved for the session"),
        (builder().bearer().header("authorization", "x"), "reserved for the session"),
        (builder().bearer().header("x", "\n"), "token URL"),
        (builder().bearer().timeout(Duration::ZERO), "timeout is zero"),
        (builder().bearer().max_concurrent(0), "is zero"),
        (builder().bearer().new_session_limit(0, SECOND), "is zero"),
        (builder().bearer().token_url("http://auth.internal/api/auth/token"), "must use https"),
        (builder().bearer().token_url("/token"), "token URL is invalid"),
        (SessionExchange::builder("app.example.com").bearer(), "https://"),
    ] {
        let error = exchange.build().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let in_a_container = builder().bearer().token_url("http://web:3000/api/auth/token").allow_http();
    assert!(in_a_container.build().is_ok());
}

#[tokio::test]
async fn sessions_are_not_in_debug_output() {
    let world = World::new().await;
    world.send_session(SESSION).await;
    let text = format!("{:?} {:?}", world.exchange, world.layer);
    assert!(!text.contains(&SESSION[..8]), "{text}");
    assert!(text.contains("exchanged: 1"), "{text}");
}
