//! The time of the layer for one request with a valid token, without the inner service, compared with the
//! signature check alone: `cargo bench -p benchmarks --bench layer`.
//!
//! The layer matches the path and checks the session against a list of a thousand revoked ones. The rounds of all cases are
//! interleaved, and the fastest 10 % are compared, so that other load on the machine affects all cases equally.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it prints a table, and panics on errors")]

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    hmac,
    signature::{self, ParsedPublicKey, RsaPublicKeyComponents},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use better_auth_jwt::{
    JwtAuthLayer, MissingSession, PathTemplate, RevokedSessions, keys::Algorithm, test_util::Issuer,
};
use http::{Request, Response};
use serde::Deserialize;
use tower::{Layer, Service, service_fn};

/// Enough that some are not interrupted.
const ROUNDS: usize = 401;

/// Calls per round, if a call takes less than a microsecond.
const CALLS: usize = 200;

/// Entries in the list of revoked sessions.
const REVOKED: usize = 1000;

const USER: &str = "nA6saBrui1h2vHGT2iuNtL9dn9C6qUbT";

fn main() {
    println!("| | raw check, ns | uncached | uncached, custom claims | cached | cached / raw HS256 |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut raw_hs256 = None;
    for algorithm in [Algorithm::HS256, Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::ES512] {
        let Times { raw, uncached, custom, cached } = measure(algorithm);
        let hs256 = *raw_hs256.get_or_insert(raw);
        println!(
            "| {algorithm} | {raw:.0} | {uncached:.0} ({:.3}) | {custom:.0} ({:.3}) | {cached:.0} | {:.3} |",
            uncached / raw,
            custom / raw,
            cached / hs256
        );
    }
    println!("\nOne cached token: two threads have {:.2} times the throughput of one", two_threads());
}

/// The throughput of two threads that send the same token, relative to one thread.
fn two_threads() -> f64 {
    const CALLS: usize = 200_000;
    const ROUNDS: usize = 11;
    let issuer = Issuer::new();
    let token = issuer.token_with_session(USER, "active");
    let auth = layer(&issuer);
    let run = || {
        let mut service = auth.layer(service_fn(respond));
        let request = request(&token);
        for _ in 0..CALLS {
            ready(service.call(request.clone())).unwrap();
        }
    };
    let ratios = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        run();
        let alone = start.elapsed();
        let start = Instant::now();
        thread::scope(|scope| {
            scope.spawn(run);
            scope.spawn(run);
        });
        2.0 * alone.as_secs_f64() / start.elapsed().as_secs_f64()
    });
    fastest_tenth(ratios.collect())
}

/// Nanoseconds for one request, without the inner service.
struct Times {
    raw: f64,
    uncached: f64,
    custom: f64,
    cached: f64,
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

fn measure(algorithm: Algorithm) -> Times {
    let secret = [7; 32];
    let issuer = match algorithm {
        Algorithm::HS256 => Issuer::with_secret(secret),
        _ => Issuer::with_algorithm(algorithm),
    };
    // Few calls per round, so that most rounds are not interrupted.
    let calls = match algorithm {
        Algorithm::HS256 => CALLS,
        Algorithm::ES512 => 1,
        _ => 5,
    };
    let token = issuer.token_with_session(USER, "active");
    let mut raw = raw_check(&issuer, algorithm, &secret, &token);

    let auth = layer(&issuer);
    let without_cache = auth.clone().token_cache_size(0);
    let custom_claims = without_cache.clone().claims::<CustomClaims>();
    let inner = || service_fn(respond);
    let [mut raws, mut uncached, mut custom, mut cached] = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        raws.push(time(vec![(); calls], |()| raw()));
        let bare = send(inner(), &token, CALLS);
        uncached.push(send(without_cache.layer(inner()), &token, calls) - bare);
        custom.push(send(custom_claims.layer(inner()), &token, calls) - bare);
        cached.push(send(auth.layer(inner()), &token, CALLS) - bare);
    }
    Times {
        raw: fastest_tenth(raws),
        uncached: fastest_tenth(uncached),
        custom: fastest_tenth(custom),
        cached: fastest_tenth(cached),
    }
}

fn layer(issuer: &Issuer) -> JwtAuthLayer {
    let revoked = RevokedSessions::new(Duration::from_secs(930));
    (0..REVOKED).for_each(|n| revoked.revoke_session(issuer.origin(), &format!("revoked-{n}")).unwrap());
    JwtAuthLayer::new(issuer.verifier())
        .match_user(PathTemplate::new("/api/{user_id}/*").unwrap())
        .sessions(revoked, MissingSession::Reject)
}

async fn respond(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

/// The signature check alone, with a parsed key.
fn raw_check(issuer: &Issuer, algorithm: Algorithm, secret: &[u8], token: &str) -> Box<dyn FnMut()> {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (message, signature) = (message.to_owned(), BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap());
    if algorithm == Algorithm::HS256 {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        return Box::new(move || hmac::verify(&key, message.as_bytes(), &signature).unwrap());
    }
    let jwk = issuer.jwk();
    let member = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = || [vec![4], member("x"), member("y")].concat();
    let key = match algorithm {
        Algorithm::EdDSA => ParsedPublicKey::new(&signature::ED25519, member("x")),
        Algorithm::ES256 => ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point()),
        Algorithm::ES512 => ParsedPublicKey::new(&signature::ECDSA_P521_SHA512_FIXED, point()),
        _ => RsaPublicKeyComponents { n: member("n"), e: member("e") }
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256),
    };
    let key = key.unwrap();
    Box::new(move || key.verify_sig(message.as_bytes(), &signature).unwrap())
}

/// Nanoseconds for one request, as the average of `calls` requests after a warm-up.
fn send<S>(mut service: S, token: &str, calls: usize) -> f64
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible>,
{
    let mut call = |request| assert_eq!(ready(service.call(request)).unwrap().status(), 200);
    call(request(token));
    time((0..calls).map(|_| request(token)).collect(), call)
}

fn request(token: &str) -> Request<()> {
    Request::builder()
        .uri(format!("/api/{USER}/tasks"))
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .unwrap()
}

fn time<T>(inputs: Vec<T>, call: impl FnMut(T)) -> f64 {
    let calls = inputs.len() as f64;
    let start = Instant::now();
    inputs.into_iter().for_each(call);
    start.elapsed().as_nanos() as f64 / calls
}

fn fastest_tenth(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 10]
}

/// The output of a future that does not wait.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the service never waits"),
    }
}
