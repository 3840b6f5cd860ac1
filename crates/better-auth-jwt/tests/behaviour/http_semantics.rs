//! Key sets behind CDNs, proxies and strict servers (RFC 9110, RFC 9111).

use std::time::Duration;

use better_auth_jwt::{
    Verifier,
    keys::{FetchError, Readiness, RemoteKeySet},
    test_util::Issuer,
};

use crate::endpoint::{Act, Endpoint, http, ok};

fn respond(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

/// The value of a request's header.
fn value<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn verifier(issuer: &Issuer, keys: RemoteKeySet) -> Verifier {
    Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap().clock(issuer.clock())
}

#[tokio::test]
async fn servers_that_offer_one_json_media_type_only_are_supported() {
    let issuer = Issuer::new();
    let only: [fn(&str, &str) -> String; 3] = [
        |head, jwks| match value(head, "accept") {
            Some(accept) if accept.contains("application/jwk-set+json") => respond("200 OK", "", jwks),
            _ => respond("406 Not Acceptable", "", ""),
        },
        |head, jwks| match value(head, "accept") {
            Some(accept) if accept.contains("application/json") => respond("200 OK", "", jwks),
            _ => respond("406 Not Acceptable", "", ""),
        },
        // Such as object storage that has no type for the file.
        |head, jwks| match value(head, "accept") {
            Some(accept) if accept.contains("*/*") => {
                respond("200 OK", "content-type: application/octet-stream\r\n", jwks)
            }
            _ => respond("406 Not Acceptable", "", ""),
        },
    ];
    for (n, server) in only.into_iter().enumerate() {
        let endpoint = Endpoint::start(Act::Respond(server, issuer.jwks())).await;
        assert_eq!(endpoint.keys().build().unwrap().load().await, Ok(()), "{n}");
    }
}

#[tokio::test]
async fn a_compressed_response_has_its_own_error() {
    let endpoint = Endpoint::start(http("200 OK", "content-encoding: gzip\r\n", "\u{1f}")).await;
    assert_eq!(endpoint.keys().build().unwrap().load().await, Err(FetchError::ContentEncoding));
}

#[tokio::test]
async fn a_new_key_is_found_behind_a_shared_cache_that_has_the_old_set() {
    /// A cache that serves its stored set unless it must revalidate. The set of the origin ends with a line feed.
    fn shared_cache(head: &str, sets: &str) -> String {
        let (stored, origin) = sets.split_once('\n').unwrap();
        let headers = "etag: \"stored\"\r\ncache-control: max-age=86400\r\nage: 600\r\n";
        match (value(head, "cache-control"), value(head, "if-none-match")) {
            // It evaluates conditional requests with its stored response (RFC 9111, section 4.3.2).
            (_, Some("\"stored\"")) => respond("304 Not Modified", headers, ""),
            (Some("no-cache"), _) => respond("200 OK", "", origin),
            _ => respond("200 OK", headers, stored),
        }
    }
    let (issuer, rotated) = (Issuer::new(), Issuer::new().with_key_id("rotated"));
    let both = format!(r#"{{"keys":[{},{}]}}"#, issuer.jwk(), rotated.jwk());
    let endpoint = Endpoint::start(Act::Respond(shared_cache, format!("{}\n{both}", issuer.jwks()))).await;
    let keys = endpoint.keys().clock(issuer.clock()).build().unwrap();
    let verifier = verifier(&issuer, keys.clone());
    assert!(verifier.verify(&issuer.token("ada")).await.is_ok());
    assert!(verifier.verify(&rotated.token("ada")).await.is_ok());
    assert_eq!(endpoint.connections(), 2);
    // The next refresh may get the cache's old set, which does not replace the newer one.
    issuer.clock().advance(Duration::from_secs(590));
    assert!(verifier.verify(&rotated.token("ada")).await.is_ok());
    while keys.status().fetches_ok < 3 {
        tokio::task::yield_now().await;
    }
    assert!(verifier.verify(&rotated.token("ada")).await.is_ok());
    assert_eq!(endpoint.connections(), 3);
}

#[tokio::test]
async fn age_and_every_cache_control_header_are_honoured() {
    for (headers, fresh) in [
        ("cache-control: max-age=3600\r\n", 3600),
        ("cache-control: max-age=3600\r\nage: 3000\r\n", 600),
        ("cache-control: max-age=3600\r\nage: 3590\r\n", 60),
        ("cache-control: public\r\ncache-control: max-age=3600\r\n", 3600),
        ("cache-control: max-age=3600\r\ncache-control: no-cache\r\n", 60),
        ("date: Sat, 21 Nov 2026 02:00:00 GMT\r\nexpires: Sat, 21 Nov 2026 03:00:00 GMT\r\n", 3600),
        ("expires: 0\r\n", 60),
        ("", 600),
    ] {
        let issuer = Issuer::new();
        let endpoint = Endpoint::start(http("200 OK", headers, &issuer.jwks())).await;
        let keys = endpoint.keys().clock(issuer.clock()).build().unwrap();
        keys.load().await.unwrap();
        issuer.clock().advance(Duration::from_secs(fresh - 1));
        assert_eq!(keys.status().readiness, Readiness::Ready, "{headers:?}");
        issuer.clock().advance(Duration::from_secs(1));
        assert_eq!(keys.status().readiness, Readiness::Stale, "{headers:?}");
    }
}

#[tokio::test]
async fn retry_after_as_a_date_is_honoured() {
    let issuer = Issuer::new();
    let headers = "date: Sat, 21 Nov 2026 02:00:00 GMT\r\nretry-after: Sat, 21 Nov 2026 02:01:40 GMT\r\n";
    let endpoint = Endpoint::start(http("503 Service Unavailable", headers, "")).await;
    let keys = endpoint.keys().clock(issuer.clock()).build().unwrap();
    let error = verifier(&issuer, keys).verify(&issuer.token("ada")).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(100)));
}

#[tokio::test]
async fn custom_headers_are_sent() {
    let issuer = Issuer::new();
    let endpoint = Endpoint::start(ok(&issuer.jwks())).await;
    let keys = endpoint.keys().header("X-Gateway-Key", "k7Qm2vX9").header("Accept", "application/json");
    assert!(!format!("{keys:?}").contains("k7Qm2vX9"));
    keys.build().unwrap().load().await.unwrap();
    let request = endpoint.requests.lock().unwrap()[0].to_lowercase();
    assert_eq!(value(&request, "x-gateway-key"), Some("k7qm2vx9"));
    assert_eq!(value(&request, "accept"), Some("application/json"));
}

#[tokio::test]
async fn a_custom_http_client_is_used_but_its_redirects_are_not_followed() {
    let issuer = Issuer::new();
    let endpoint = Endpoint::start(ok(&issuer.jwks())).await;
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().user_agent("custom").build().unwrap();
    let keys = endpoint.keys().client(client.clone()).allow_http().build().unwrap();
    assert_eq!(keys.load().await, Ok(()));
    assert_eq!(value(&endpoint.requests.lock().unwrap()[0], "user-agent"), Some("custom"));

    let redirecting = Endpoint::start(http("302 Found", &format!("location: {}\r\n", endpoint.url), "")).await;
    let keys = redirecting.keys().client(client).allow_http().build().unwrap();
    assert_eq!(keys.load().await, Err(FetchError::Redirect));
}
