//! Counts the instructions and allocations of the layer's main cases and compares them with `counts.txt`:
//! `cargo bench -p counts`, with valgrind installed.
//!
//! The counts do not depend on the load of the machine. Growth of more than 3 % is an error; `--bless` updates
//! `counts.txt`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it prints a table, and panics on errors")]

use std::{
    alloc::System,
    convert::Infallible,
    env,
    fmt::Write,
    fs,
    future::Future,
    hint::black_box,
    pin::pin,
    process::Command,
    task::{Context, Poll, Waker},
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use better_auth_jwt::{FromClaims, JwtAuthLayer, MissingSession, PathTemplate, RevokedSessions, test_util::Issuer};
use http::{Request, Response};
use serde::Deserialize;
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service, service_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SECRET: [u8; 32] = [7; 32];
const USER: &str = "nA6saBrui1h2vHGT2iuNtL9dn9C6qUbT";
const COUNTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

/// Requests of one run.
const REQUESTS: u64 = 200;

/// The signature check without the layer.
const RAW: &str = "raw check";

const CASES: [&str; 7] = [
    "cache miss",
    "cache miss, custom claims",
    "cached",
    "cached, custom claims",
    "no header",
    "garbage",
    "another user's path",
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--case", name, variant, ..] => println!("{}", run(name, variant)),
        ["--bless", ..] => fs::write(COUNTS, table(&measure_all())).unwrap(),
        _ => compare(),
    }
}

fn compare() {
    let measured = measure_all();
    println!("{}", table(&measured));
    let expected = fs::read_to_string(COUNTS).unwrap();
    let of = |name: &str| -> Vec<u64> {
        let line = expected.lines().find_map(|line| line.strip_prefix(&format!("| {name} |"))).unwrap();
        line.split('|').filter_map(|cell| cell.trim().parse().ok()).collect()
    };
    // On other processors, aws-lc and the C library may run different code.
    let comparable = measured[0].1.abs_diff(of(RAW)[0]) * 100 <= measured[0].1;
    if !comparable {
        println!("instructions are not compared: the raw check takes {} here, and took {}", measured[0].1, of(RAW)[0]);
    }
    for (name, instructions, allocations) in measured {
        let before = of(name);
        assert!(
            !comparable || instructions * 100 <= before[0] * 103,
            "{name} takes {instructions} instructions, {} before",
            before[0]
        );
        assert!(allocations <= before[1], "{name} allocates {allocations} times, {} before", before[1]);
    }
}

fn table(counts: &[(&str, u64, u64)]) -> String {
    let mut table =
        "| a request with HS256, net of the bare service | instructions | allocations |\n| --- | --- | --- |\n"
            .to_owned();
    for (name, instructions, allocations) in counts {
        writeln!(table, "| {name} | {instructions} | {allocations} |").unwrap();
    }
    table
}

/// Instructions and allocations of each case, without those of the inner service, and of the signature
/// check alone.
fn measure_all() -> Vec<(&'static str, u64, u64)> {
    let net = |name| {
        let (with, without) = (measure(name, "layer"), measure(name, "bare"));
        (name, with.0 - without.0, with.1 - without.1)
    };
    let (raw, allocations) = measure("cache miss", "raw");
    [(RAW, raw, allocations)].into_iter().chain(CASES.into_iter().map(net)).collect()
}

/// Runs a case under callgrind, which counts only inside of [`all`].
fn measure(name: &str, variant: &str) -> (u64, u64) {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counts*all*"])
        .arg(env::current_exe().unwrap())
        .args(["--case", name, variant])
        .output()
        .expect("valgrind is needed to count instructions");
    let (printed, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let collected = log.lines().find_map(|line| line.split("Collected :").nth(1)).expect(&log);
    (collected.trim().parse::<u64>().unwrap() / REQUESTS, printed.trim().parse().unwrap())
}

/// Runs a case and returns the allocations per request.
fn run(name: &str, variant: &str) -> u64 {
    let issuer = Issuer::with_secret(SECRET);
    let revoked = RevokedSessions::new(Duration::from_secs(8 * 24 * 60 * 60));
    (0..1000).for_each(|n| revoked.revoke_session(issuer.origin(), &format!("revoked-{n}")).unwrap());
    let layer = JwtAuthLayer::new(issuer.verifier())
        .match_user(PathTemplate::new("/api/{user_id}/*").unwrap())
        .sessions(revoked, MissingSession::Allow);
    let requests: Vec<_> = (0..REQUESTS)
        .map(|n| match name {
            "cache miss" | "cache miss, custom claims" => request(USER, Some(&token(&issuer, n + 1))),
            "cached" | "cached, custom claims" => request(USER, Some(&token(&issuer, 0))),
            "garbage" => request(USER, Some("garbage")),
            "another user's path" => request("bob", Some(&token(&issuer, 0))),
            _ => request(USER, None),
        })
        .collect();
    match variant {
        "raw" => raw(&token(&issuer, 0)),
        "bare" => all(&mut service_fn(respond), &requests),
        _ if name.ends_with("custom claims") => with_layer(&layer.claims::<CustomClaims>(), &issuer, &requests),
        _ => with_layer(&layer, &issuer, &requests),
    }
}

async fn respond(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

/// Claims of a typical service.
#[derive(Deserialize)]
struct CustomClaims {
    #[expect(dead_code, reason = "its deserialisation is measured")]
    sub: String,
    #[expect(dead_code, reason = "its deserialisation is measured")]
    email: Option<String>,
    #[expect(dead_code, reason = "its deserialisation is measured")]
    exp: u64,
}

fn token(issuer: &Issuer, n: u64) -> String {
    let mut claims = issuer.claims(USER);
    claims["sid"] = json!(format!("{n:032}"));
    issuer.sign(&claims)
}

/// A request of a browser, after routing.
fn request(user: &str, token: Option<&str>) -> Request<()> {
    let mut request = Request::builder()
        .uri(format!("/api/{user}/tasks"))
        .header("host", "api.example.com")
        .header("user-agent", "Mozilla/5.0")
        .header("accept", "*/*")
        .header("origin", "https://app.example.com")
        .extension(Route("/api/{user_id}/tasks"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(()).unwrap()
}

/// An extension like the one of a router.
#[derive(Clone)]
struct Route(#[expect(dead_code, reason = "only its presence matters")] &'static str);

fn with_layer<C: FromClaims>(layer: &JwtAuthLayer<C>, issuer: &Issuer, requests: &[Request<()>]) -> u64 {
    let mut service = layer.layer(service_fn(respond));
    // What happens once is not counted, such as the allocation of the cache.
    for n in [REQUESTS + 1, 0] {
        ready(service.call(request(USER, Some(&token(issuer, n))))).unwrap();
    }
    all(&mut service, requests)
}

/// Sends a copy of each request and returns the allocations for one.
#[inline(never)]
fn all<S>(service: &mut S, requests: &[Request<()>]) -> u64
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible>,
{
    let region = Region::new(ALLOCATOR);
    for request in requests {
        black_box(ready(service.call(request.clone())).unwrap());
    }
    (region.change().allocations as u64 + REQUESTS / 2) / REQUESTS
}

#[inline(never)]
fn raw(token: &str) -> u64 {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
    all_raw(&key, message.as_bytes(), &signature);
    0
}

#[inline(never)]
fn all_raw(key: &hmac::Key, message: &[u8], signature: &[u8]) {
    for _ in 0..REQUESTS {
        hmac::verify(key, message, signature).unwrap();
    }
}

/// The output of a future that does not wait.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the service never waits"),
    }
}
