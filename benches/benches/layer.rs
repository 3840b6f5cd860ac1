//! What the whole layer costs for one request with a good token, net of the bare service, beside
//! the bare signature check: `cargo bench -p benchmarks --bench layer`.
//!
//! Rounds are interleaved and medians compared, so that a busy machine slows both sides alike.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it prints a table, and stops when it cannot")]

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Instant,
};

use aws_lc_rs::{
    hmac,
    signature::{self, ParsedPublicKey, RsaPublicKeyComponents},
};
use base64_simd::URL_SAFE_NO_PAD;
use better_auth_jwt::{JwtAuthLayer, PathTemplate, keys::Algorithm, test_util::Issuer};
use http::{Request, Response};
use tower::{Layer, Service, service_fn};

const ROUNDS: usize = 41;

fn main() {
    println!("| | raw check, ns | layer, ns | ratio |\n| --- | --- | --- | --- |");
    for algorithm in [Algorithm::HS256, Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::ES512] {
        let (raw, layer) = measure(algorithm);
        println!("| {algorithm} | {raw:.0} | {layer:.0} | {:.2} |", layer / raw);
    }
}

/// Median nanoseconds of the raw check, and of the layer net of the service behind it.
fn measure(algorithm: Algorithm) -> (f64, f64) {
    let secret = [7; 32];
    let issuer = match algorithm {
        Algorithm::HS256 => Issuer::with_secret(secret),
        _ => Issuer::with_algorithm(algorithm),
    };
    let user = "nA6saBrui1h2vHGT2iuNtL9dn9C6qUbT";
    let token = issuer.token(user);
    let mut raw = raw_check(&issuer, algorithm, &secret, &token);

    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let auth = JwtAuthLayer::new(issuer.verifier()).match_user(PathTemplate::new("/api/{user_id}/*").unwrap());
    let mut guarded = auth.layer(inner);
    let mut bare = inner;
    let request = || {
        Request::builder()
            .uri(format!("/api/{user}/tasks"))
            .header("authorization", format!("Bearer {token}"))
            .body(())
            .unwrap()
    };

    // As many calls a round as take about two milliseconds.
    let begun = Instant::now();
    raw();
    let calls = (2_000_000 / (begun.elapsed().as_nanos() as usize).max(1)).clamp(20, 2000);
    let (mut raws, mut layers) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        raws.push(time(calls, (0..calls).map(|_| ()).collect(), |()| raw()));
        let with = time(calls, (0..calls).map(|_| request()).collect(), |request| {
            assert_eq!(ready(guarded.call(request)).unwrap().status(), 200);
        });
        let without = time(calls, (0..calls).map(|_| request()).collect(), |request| {
            assert_eq!(ready(bare.call(request)).unwrap().status(), 200);
        });
        layers.push(with - without);
    }
    (median(raws), median(layers))
}

/// The signature check alone, with a key parsed beforehand.
fn raw_check(issuer: &Issuer, algorithm: Algorithm, secret: &[u8], token: &str) -> Box<dyn FnMut()> {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (message, signature) = (message.to_owned(), URL_SAFE_NO_PAD.decode_to_vec(signature).unwrap());
    if algorithm == Algorithm::HS256 {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        return Box::new(move || hmac::verify(&key, message.as_bytes(), &signature).unwrap());
    }
    let jwk = issuer.jwk();
    let member = |name: &str| URL_SAFE_NO_PAD.decode_to_vec(jwk[name].as_str().unwrap()).unwrap();
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

fn time<T>(calls: usize, inputs: Vec<T>, mut call: impl FnMut(T)) -> f64 {
    let begun = Instant::now();
    inputs.into_iter().for_each(&mut call);
    begun.elapsed().as_nanos() as f64 / calls as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nothing here ever waits.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the service answers at once"),
    }
}
