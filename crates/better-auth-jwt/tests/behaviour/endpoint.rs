//! Keys from an HTTP endpoint on loopback that fails in many ways.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use better_auth_jwt::{
    JwtAuthLayer, Verifier,
    keys::{FetchError, Readiness, RemoteKeySet, RemoteKeySetBuilder},
    test_util::Issuer,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{bearer, request, send};

/// The endpoint's behaviour for the next connections.
#[derive(Clone)]
pub(crate) enum Act {
    /// Sends the result of this function of the request's head, and closes.
    Respond(fn(&str, &str) -> String, String),
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Accepts and reads, but never responds.
    Hang,
    /// Sends one byte at a time, forever.
    Drip(Vec<u8>),
    /// Sends an endless body.
    Flood,
    /// Closes immediately.
    Slam,
}

pub(crate) fn http(status: &str, headers: &str, body: &str) -> Act {
    Act::Send(
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
            .into_bytes(),
    )
}

pub(crate) fn ok(body: &str) -> Act {
    http("200 OK", "content-type: application/json\r\n", body)
}

/// A JWKS endpoint with one request per connection.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    act: Arc<Mutex<Act>>,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Endpoint {
    pub(crate) async fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/auth/jwks", listener.local_addr().unwrap());
        let act = Arc::new(Mutex::new(act));
        let (requests, connections) = <(Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>)>::default();
        let (acts, received, count) = (act.clone(), requests.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, acts.clone(), received.clone()));
            }
        });
        Self { url, act, requests, connections }
    }

    pub(crate) fn act(&self, act: Act) {
        *self.act.lock().unwrap() = act;
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn keys(&self) -> RemoteKeySetBuilder {
        RemoteKeySet::builder(&self.url).timeout(Duration::from_millis(500))
    }
}

async fn serve(mut stream: TcpStream, act: Arc<Mutex<Act>>, received: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend_from_slice(&buffer[..count]),
        }
    }
    received.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let act = act.lock().unwrap().clone();
    match act {
        Act::Respond(respond, jwks) => {
            let head = String::from_utf8_lossy(&head).to_lowercase();
            _ = stream.write_all(respond(&head, &jwks).as_bytes()).await;
        }
        Act::Send(bytes) => _ = stream.write_all(&bytes).await,
        Act::Hang => tokio::time::sleep(Duration::from_secs(60)).await,
        Act::Drip(bytes) => {
            for byte in bytes.iter().chain(std::iter::repeat(&b' ')) {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Act::Flood => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
            let mut alive = stream.write_all(head).await.is_ok();
            while alive {
                alive = stream.write_all(&chunk).await.is_ok();
            }
        }
        Act::Slam => {}
    }
}

/// Waits until another task has made this condition true, with a timeout.
async fn until(mut happened: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never happened");
}

#[tokio::test]
async fn keys_arrive_over_http() {
    let issuer = Issuer::new();
    let endpoint = Endpoint::start(ok(&issuer.jwks())).await;
    let keys = endpoint.keys().build().unwrap();
    assert_eq!(keys.load().await, Ok(()));
    assert_eq!(keys.status().key_count, 1);
    let request = endpoint.requests.lock().unwrap()[0].to_lowercase();
    assert!(request.starts_with("get /api/auth/jwks http/1.1\r\n"), "{request}");
    assert!(request.contains("accept: application/jwk-set+json, application/json;q=0.9, */*;q=0.1\r\n"), "{request}");
    assert!(request.contains("accept-encoding: identity\r\n"), "{request}");
}

#[tokio::test]
async fn every_endpoint_failure_has_its_own_error() {
    let issuer = Issuer::new();
    let elsewhere = Endpoint::start(ok(&issuer.jwks())).await;
    let location = format!("location: {}\r\n", elsewhere.url);
    let jwks = issuer.jwks();
    let status = |status: u16| FetchError::Status { status, retry_after: None };
    let rows: Vec<(&str, Act, Result<FetchError, &str>)> = vec![
        ("500", http("500 Oops", "", ""), Ok(status(500))),
        ("502 with a body", http("502 Bad Gateway", "", &jwks), Ok(status(502))),
        ("404", http("404 Not Found", "", "<html>"), Ok(status(404))),
        (
            "429 with Retry-After",
            http("429 Slow Down", "retry-after: 7\r\n", ""),
            Ok(FetchError::Status { status: 429, retry_after: Some(Duration::from_secs(7)) }),
        ),
        (
            "503 with a date",
            http(
                "503 Down",
                "date: Sat, 21 Nov 2026 02:18:16 GMT\r\nretry-after: Sat, 21 Nov 2026 02:18:26 GMT\r\n",
                "",
            ),
            Ok(FetchError::Status { status: 503, retry_after: Some(Duration::from_secs(10)) }),
        ),
        ("204", http("204 No Content", "", ""), Ok(status(204))),
        ("206", http("206 Partial Content", "", &jwks), Ok(status(206))),
        ("304 to a request without a condition", http("304 Not Modified", "", ""), Ok(status(304))),
        ("301", http("301 Moved", &location, ""), Ok(FetchError::Redirect)),
        ("302", http("302 Found", &location, ""), Ok(FetchError::Redirect)),
        ("307", http("307 Temporary Redirect", &location, ""), Ok(FetchError::Redirect)),
        ("308", http("308 Permanent Redirect", &location, ""), Ok(FetchError::Redirect)),
        ("HTML", ok("<!doctype html><title>Sign in</title>"), Err("invalid_key_set")),
        ("nothing", ok(""), Err("invalid_key_set")),
        ("a byte order mark", ok(&format!("\u{feff}{jwks}")), Err("invalid_key_set")),
        ("an empty set", ok(r#"{"keys":[]}"#), Err("invalid_key_set")),
        ("another document", ok(r#"{"issuer":"x"}"#), Err("invalid_key_set")),
        ("a set of secrets", ok(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#), Err("invalid_key_set")),
        ("truncated JSON", ok(&jwks[..jwks.len() - 5]), Err("invalid_key_set")),
        (
            "a wrong length",
            Act::Send(format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{jwks}").into_bytes()),
            Err("connection"),
        ),
        ("a body over the limit", ok(&format!("{jwks}{}", " ".repeat(256 * 1024))), Ok(FetchError::TooLarge)),
        ("10 MB", ok(&" ".repeat(10 * 1024 * 1024)), Ok(FetchError::TooLarge)),
        ("a body without end", Act::Flood, Ok(FetchError::TooLarge)),
        ("no HTTP", Act::Send(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), Err("connection")),
        ("a closed connection", Act::Slam, Err("connection")),
        ("silence", Act::Hang, Ok(FetchError::Timeout)),
        ("a slow drip", Act::Drip(format!("HTTP/1.1 200 OK\r\n\r\n{jwks}").into_bytes()), Ok(FetchError::Timeout)),
    ];
    for (idea, act, expected) in rows {
        let endpoint = Endpoint::start(act).await;
        let keys = endpoint.keys().build().unwrap();
        let error = keys.load().await.expect_err(idea);
        match expected {
            Ok(expected) => assert_eq!(error, expected, "{idea}"),
            Err(name) => assert_eq!(error.as_str(), name, "{idea}: {error}"),
        }
        assert_eq!(endpoint.connections(), 1, "{idea}");
    }
    assert_eq!(elsewhere.connections(), 0, "redirects are never followed");
    // No server listens at the address of a stopped one.
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/jwks", listener.local_addr().unwrap())
    };
    let error = RemoteKeySet::new(gone).unwrap().load().await.unwrap_err();
    assert_eq!(error.as_str(), "connection");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_set_of_exactly_the_allowed_size_is_read() {
    let jwks = Issuer::new().jwks();
    let padded = format!("{jwks}{}", " ".repeat(256 * 1024 - jwks.len()));
    let endpoint = Endpoint::start(ok(&padded)).await;
    assert_eq!(endpoint.keys().build().unwrap().load().await, Ok(()));
}

#[tokio::test]
async fn the_last_valid_key_set_stays_in_use_whatever_the_endpoint_sends_later() {
    let issuer = Issuer::new();
    for act in [
        http("500 Oops", "", ""),
        http("302 Found", "location: http://127.0.0.1:1/\r\n", ""),
        ok("<html>"),
        ok(r#"{"keys":[]}"#),
        ok(&" ".repeat(10 * 1024 * 1024)),
        ok("{\"keys\":[{\"kty\""),
        Act::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        Act::Hang,
        Act::Slam,
    ] {
        let endpoint = Endpoint::start(ok(&issuer.jwks())).await;
        let keys = endpoint.keys().clock(issuer.clock()).build().unwrap();
        let verifier = Verifier::builder(keys.clone())
            .issuer(issuer.origin())
            .audience(issuer.origin())
            .unwrap()
            .clock(issuer.clock());
        let layer = JwtAuthLayer::new(verifier);
        let status = async |token: &str| send(&layer, request("/", &bearer(token))).await.status().as_u16();
        assert_eq!(status(&issuer.token("ada")).await, 200);
        endpoint.act(act);
        issuer.clock().advance(Duration::from_secs(601));
        assert_eq!(status(&issuer.token("ada")).await, 200, "the refresh has started");
        until(|| endpoint.connections() == 2).await;
        assert_eq!(status(&issuer.token("ada")).await, 200, "the refresh is in flight");
        until(|| !keys.status().fetch_errors.is_empty()).await;
        assert_eq!(status(&issuer.token("ada")).await, 200, "the refresh has failed");
        assert_eq!(keys.status().readiness, Readiness::Stale);
        assert_eq!(endpoint.connections(), 2);
    }
}

#[tokio::test]
async fn a_stalled_endpoint_does_not_delay_tokens_of_known_keys() {
    let issuer = Issuer::new();
    let endpoint = Endpoint::start(ok(&issuer.jwks())).await;
    let keys = endpoint.keys().timeout(Duration::from_secs(2)).build().unwrap();
    let layer = JwtAuthLayer::new(Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap());
    assert_eq!(send(&layer, request("/", &bearer(&issuer.token("ada")))).await.status(), 200);
    endpoint.act(Act::Hang);
    let unknown = bearer(&Issuer::new().token("ada"));
    let waiting = {
        let (layer, unknown) = (layer.clone(), unknown.clone());
        tokio::spawn(async move { send(&layer, request("/", &unknown)).await.status() })
    };
    until(|| endpoint.connections() == 2).await;
    for _ in 0..100 {
        assert_eq!(send(&layer, request("/", &bearer(&issuer.token("ada")))).await.status(), 200);
    }
    assert!(!waiting.is_finished(), "the request with an unknown kid waits, and no other");
    assert_eq!(waiting.await.unwrap(), 503, "its key could not be searched for");
}

#[tokio::test]
async fn the_etag_is_sent_and_not_modified_is_accepted() {
    let issuer = Issuer::new();
    let endpoint =
        Endpoint::start(http("200 OK", "etag: \"v1\"\r\ncache-control: max-age=100\r\n", &issuer.jwks())).await;
    let keys = endpoint.keys().clock(issuer.clock()).build().unwrap();
    let verifier = Verifier::builder(keys.clone())
        .issuer(issuer.origin())
        .audience(issuer.origin())
        .unwrap()
        .clock(issuer.clock());
    assert!(verifier.verify(&issuer.token("ada")).await.is_ok());
    endpoint.act(http("304 Not Modified", "cache-control: max-age=100\r\n", ""));
    issuer.clock().advance(Duration::from_secs(99));
    assert!(verifier.verify(&issuer.token("ada")).await.is_ok());
    until(|| keys.status().fetches_ok == 2).await;
    assert_eq!(keys.status().age, Some(Duration::ZERO));
    assert!(verifier.verify(&issuer.token("ada")).await.is_ok());
    let second = endpoint.requests.lock().unwrap()[1].to_lowercase();
    assert!(second.contains("if-none-match: \"v1\"\r\n"), "{second}");
}

#[tokio::test]
async fn concurrent_requests_without_keys_make_one_connection() {
    let issuer = Arc::new(Issuer::new());
    let endpoint = Endpoint::start(ok(&issuer.jwks())).await;
    let keys = endpoint.keys().timeout(Duration::from_secs(10)).build().unwrap();
    let layer = JwtAuthLayer::new(Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap());
    let crowd: Vec<_> = (0..200)
        .map(|n| {
            let (layer, token) = (layer.clone(), bearer(&issuer.token(&format!("user-{n}"))));
            tokio::spawn(async move { send(&layer, request("/", &token)).await.status() })
        })
        .collect();
    for one in crowd {
        assert_eq!(one.await.unwrap(), 200);
    }
    assert_eq!(endpoint.connections(), 1);
}

#[tokio::test]
async fn ten_thousand_random_kids_cause_a_burst_of_fetches() {
    let issuer = Issuer::new();
    let endpoint = Endpoint::start(ok(&issuer.jwks())).await;
    let keys = endpoint.keys().clock(issuer.clock()).timeout(Duration::from_secs(10)).build().unwrap();
    let layer =
        JwtAuthLayer::new(Verifier::builder(keys.clone()).issuer(issuer.origin()).audience(issuer.origin()).unwrap());
    assert_eq!(send(&layer, request("/", &bearer(&issuer.token("ada")))).await.status(), 200);
    let claims = issuer.claims("ada");
    let valid = issuer.token("ada");
    for n in 0..10_000 {
        let forged = issuer.sign_with_header(&json!({"alg": "EdDSA", "kid": format!("random-{n}")}), &claims);
        let status = send(&layer, request("/", &bearer(&forged))).await.status();
        assert!(status == 401 && n < 10 || status == 503, "{n}: {status}");
        if n % 100 == 0 {
            assert_eq!(send(&layer, request("/", &bearer(&valid))).await.status(), 200);
        }
    }
    assert!((4..=8).contains(&endpoint.connections()), "{} fetches", endpoint.connections());
    assert!(keys.status().refetches_suppressed > 9_980);
}
