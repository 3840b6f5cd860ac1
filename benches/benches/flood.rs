//! The latency of valid requests while 10,000 tokens with random key ids arrive within ten seconds, and
//! while the key endpoint hangs: `cargo bench -p benchmarks --bench flood`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it prints a table, and panics on errors")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use better_auth_jwt::{JwtAuth, JwtAuthLayer, Verifier, keys::RemoteKeySet, test_util::Issuer};
use http::{Request, Response};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tower::{Layer, Service, service_fn, util::ServiceFn};

type Inner = ServiceFn<fn(Request<()>) -> std::future::Ready<Result<Response<()>, Infallible>>>;

#[tokio::main]
async fn main() {
    let issuer = Issuer::new();
    let (fetches, hangs) = <(Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
    let url = endpoint(issuer.jwks(), fetches.clone(), hangs.clone()).await;
    let keys = RemoteKeySet::new(url).unwrap();
    let verifier = Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
    let inner: fn(_) -> _ = |_| std::future::ready(Ok(Response::new(())));
    // Without a cache, every valid request looks its key up.
    let service = JwtAuthLayer::new(verifier).token_cache_size(0).layer(service_fn(inner));
    let valid = issuer.token("ada");
    let claims = issuer.claims("ada");
    let forged: Vec<String> = (0..10_000)
        .map(|n| issuer.sign_with_header(&json!({"alg": "EdDSA", "kid": format!("random-{n}")}), &claims))
        .collect();
    assert_eq!(status(&service, &valid).await, 200);

    println!("| | requests | p50, µs | p99, µs | fetches |\n| --- | --- | --- | --- | --- |");
    print_row("no flood", &latencies(&service, &valid).await, &fetches);

    let flood = tokio::spawn({
        let service = service.clone();
        async move {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            for ten in forged.chunks(10) {
                tick.tick().await;
                for token in ten {
                    assert_ne!(status(&service, token).await, 200);
                }
            }
        }
    });
    print_row("flood of random key ids", &latencies(&service, &valid).await, &fetches);
    flood.await.unwrap();

    hangs.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(21)).await; // until the refetch limit allows a fetch
    let waiting = tokio::spawn({
        let (service, token) = (service.clone(), Issuer::new().token("ada"));
        async move { status(&service, &token).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "its fetch hangs");
    print_row("endpoint hangs", &latencies(&service, &valid).await, &fetches);
    waiting.await.unwrap();
}

async fn status(service: &JwtAuth<Inner>, token: &str) -> u16 {
    let request = Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap();
    service.clone().call(request).await.unwrap().status().as_u16()
}

/// The latencies of one valid request per millisecond, for ten seconds.
async fn latencies(service: &JwtAuth<Inner>, token: &str) -> Vec<Duration> {
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let mut latencies = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        tick.tick().await;
        let sent = Instant::now();
        assert_eq!(status(service, token).await, 200);
        latencies.push(sent.elapsed());
    }
    latencies.sort();
    latencies
}

fn print_row(name: &str, latencies: &[Duration], fetches: &AtomicUsize) {
    let percentile = |n: usize| latencies[latencies.len() * n / 100].as_nanos() as f64 / 1000.0;
    let (p50, p99) = (percentile(50), percentile(99));
    println!("| {name} | {} | {p50:.1} | {p99:.1} | {} |", latencies.len(), fetches.load(Ordering::SeqCst));
}

async fn endpoint(jwks: String, fetches: Arc<AtomicUsize>, hangs: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{jwks}", jwks.len());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            fetches.fetch_add(1, Ordering::SeqCst);
            if hangs.load(Ordering::SeqCst) {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    drop(stream);
                });
                continue;
            }
            let mut request = [0; 2048];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    url
}
