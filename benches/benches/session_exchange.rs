//! Sessions in place of tokens: `cargo bench -p benchmarks --bench session_exchange`.
//!
//! First, the time for a request with a session that was exchanged before, relative to one with its JWT, which is cached
//! too. Then the latency of that session's requests, with an exchange every 100 ms instead of every minute: while 10,000
//! made-up sessions arrive within ten seconds, and while the issuer hangs.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it prints tables, and panics on errors")]

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use better_auth_jwt::{JwtAuth, JwtAuthLayer, SessionExchange, SessionExchangeBuilder, test_util::Issuer};
use http::{Request, Response};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, Service, service_fn, util::ServiceFn};

type Inner = ServiceFn<fn(Request<()>) -> std::future::Ready<Result<Response<()>, Infallible>>>;

const SESSION: &str = "wMcd1ig8y6sUoB2Z3vRt7xKpQ9LnEaFh";

/// How long a JWT is used in the second part.
const CACHE_TIME: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() {
    let issuer = Issuer::new();
    let jwt = issuer.token("ada");
    let hangs = Arc::<AtomicBool>::default();
    let url = token_endpoint(&jwt, hangs.clone()).await;
    let exchange = |configure: fn(SessionExchangeBuilder) -> SessionExchangeBuilder| {
        configure(SessionExchange::builder(&url).bearer()).build().unwrap()
    };
    let service = |exchange: &SessionExchange| {
        let inner: fn(_) -> _ = |_| std::future::ready(Ok(Response::new(())));
        JwtAuthLayer::new(issuer.verifier()).exchange_sessions(exchange.clone()).layer(service_fn(inner))
    };

    let cached = service(&exchange(|exchange| exchange));
    assert_eq!(status(&cached, SESSION).await, 200);
    println!(
        "An exchanged session takes {:.2} times the time of its JWT, both cached.\n",
        ratio(&cached, SESSION, &jwt)
    );

    let exchange = exchange(|exchange| exchange.cache_time(CACHE_TIME));
    let service = service(&exchange);
    println!("| | requests | 200 | p50, µs | p99, µs | exchanges |\n| --- | --- | --- | --- | --- | --- |");
    print_row("no flood", &service, &exchange).await;
    let flood = tokio::spawn({
        let service = service.clone();
        async move {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            for ten in 0..1000 {
                tick.tick().await;
                for number in 0..10 {
                    assert_ne!(status(&service, &format!("made-up-{ten}-{number}")).await, 200);
                }
            }
        }
    });
    print_row("flood of made-up sessions", &service, &exchange).await;
    flood.await.unwrap();
    hangs.store(true, Ordering::SeqCst);
    print_row("the issuer hangs", &service, &exchange).await;
}

/// The time of a request with `token`, relative to one with `other`: the median of interleaved rounds.
fn ratio(service: &JwtAuth<Inner>, token: &str, other: &str) -> f64 {
    let mut service = service.clone();
    let mut time = |token: &str| {
        let request = Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap();
        let start = Instant::now();
        (0..1000).for_each(|_| assert_eq!(ready(service.call(request.clone())).unwrap().status(), 200));
        start.elapsed().as_secs_f64()
    };
    let mut ratios: Vec<f64> = (0..401).map(|_| time(token) / time(other)).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// Sends one request of the session per millisecond, for ten seconds.
async fn print_row(name: &str, service: &JwtAuth<Inner>, exchange: &SessionExchange) {
    let exchanges = || {
        let status = exchange.status();
        status.exchanged + status.rejected + status.failed
    };
    let (before, start) = (exchanges(), Instant::now());
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let (mut latencies, mut accepted) = (Vec::new(), 0);
    while start.elapsed() < Duration::from_secs(10) {
        tick.tick().await;
        let sent = Instant::now();
        accepted += usize::from(status(service, SESSION).await == 200);
        latencies.push(sent.elapsed());
    }
    latencies.sort();
    let percentile = |n: usize| latencies[latencies.len() * n / 100].as_nanos() as f64 / 1000.0;
    let (requests, exchanges, p50, p99) = (latencies.len(), exchanges() - before, percentile(50), percentile(99));
    println!("| {name} | {requests} | {accepted} | {p50:.1} | {p99:.1} | {exchanges} |");
}

async fn status(service: &JwtAuth<Inner>, token: &str) -> u16 {
    let request = Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap();
    service.clone().call(request).await.unwrap().status().as_u16()
}

/// In place of Better Auth's `/token`. It accepts one session.
async fn token_endpoint(jwt: &str, hangs: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = json!({ "token": jwt }).to_string();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let hangs = hangs.load(Ordering::SeqCst);
            tokio::spawn(respond(stream, body.clone(), hangs));
        }
    });
    url
}

async fn respond(mut stream: TcpStream, body: String, hangs: bool) {
    let mut head = [0; 4096];
    let length = stream.read(&mut head).await.unwrap_or_default();
    if hangs {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let is_known = String::from_utf8_lossy(&head[..length]).contains(SESSION);
    let (status, body) = if is_known { ("200 OK", &*body) } else { ("401 Unauthorized", "{}") };
    let length = body.len();
    let response = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let _ = stream.write_all(response.as_bytes()).await;
}

/// The output of a future that does not wait.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the session was exchanged before"),
    }
}
