//! The time of one request in each layer, without the inner service.
//!
//! The rounds of all targets are interleaved and their medians are compared, so that other load on the
//! machine affects all of them. It affects cryptography less than the rest, so the fastest 10 % of the
//! rounds are printed too. Compare the ratios, not the nanoseconds, with results of other machines.

use std::time::Instant;

use aws_lc_rs::{
    hmac,
    signature::{self, ParsedPublicKey, RsaPublicKeyComponents},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use better_auth_jwt::keys::Algorithm;
use http::Request;
use peers::{Benchmark, Case, Setup, request};

const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256];

const ROUNDS: usize = 101;

/// The approximate duration of one target's round.
const ROUND_NANOS: f64 = 1_000_000.0;

/// One row of the tables.
#[derive(Default)]
struct Row {
    name: String,
    is_cached: bool,
    /// With a valid token, by algorithm; or why there is no result.
    valid: Vec<Result<Time, &'static str>>,
    missing: Time,
    garbage: Time,
}

/// Nanoseconds, over all rounds.
#[derive(Clone, Copy, Default)]
struct Time {
    median: f64,
    /// The slowest of the fastest 10 %.
    fastest_tenth: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut raws = Vec::new();
    let mut rows = Vec::new();
    let mut minimal = None;
    for algorithm in ALGORITHMS {
        let Benchmark { mut cases, setup, token } = Benchmark::new(algorithm).await;
        rows.resize_with(cases.len(), Row::default);

        let valid: Vec<_> = cases.iter().map(|case| case.valid.clone()).collect();
        let Times { raw, nets } = measure(&mut cases, &valid, &mut raw_check(&setup, &token));
        raws.push(raw);
        for ((row, case), net) in rows.iter_mut().zip(&cases).zip(nets) {
            let is_slower = net.is_ok_and(|net| net.median > 0.8 * raw.median) || net.is_err();
            assert!(is_slower || case.is_cached, "{} verifies no signature", case.name);
            row.name.clone_from(&case.name);
            row.is_cached = case.is_cached;
            row.valid.push(net);
        }
        if algorithm == Algorithm::HS256 {
            cases.push(Benchmark::minimal_rejection());
            let mut rejected = |request: Request<()>| {
                let requests = vec![vec![request]; cases.len()];
                measure(&mut cases, &requests, &mut || ()).nets
            };
            let (mut missing, garbage) = (rejected(request(None)), rejected(request(Some("garbage"))));
            minimal = missing.pop().and_then(Result::ok);
            for ((row, missing), garbage) in rows.iter_mut().zip(missing).zip(garbage) {
                (row.missing, row.garbage) = (missing.expect("a number"), garbage.expect("a number"));
            }
            println!(
                "Nanoseconds, in brackets the ratio to the raw check. The HS256 token has {} bytes.\n",
                token.len()
            );
        }
    }
    print(&raws, &rows, |time| time.median);
    let minimal: Time = minimal.expect("a number");
    println!("\nThe same response to a request without a token, without any layer: {}.", grouped(minimal.median));
    println!("\nThe same for the fastest 10 % of the rounds:\n");
    print(&raws, &rows, |time| time.fastest_tenth);
}

struct Times {
    raw: Time,
    /// The results of the cases, in their order.
    nets: Vec<Result<Time, &'static str>>,
}

/// Measures the raw check, and each case with its requests.
fn measure(cases: &mut [Case], requests: &[Vec<Request<()>>], raw_check: &mut dyn FnMut()) -> Times {
    let epoch = Instant::now();
    let clock = || epoch.elapsed().as_nanos() as u64;
    let mut raw = |calls: usize| {
        let begun = clock();
        (0..calls).for_each(|_| raw_check());
        (clock() - begun) as f64 / calls as f64
    };
    let raw_calls = calls(raw(16));
    let calls: Vec<_> = cases
        .iter_mut()
        .zip(requests)
        .map(|(case, requests)| match &mut case.target {
            Ok(target) => calls(target.measure(requests, 16, &clock).gross()),
            Err(_) => 0,
        })
        .collect();

    let mut raws = Vec::new();
    let mut nets = vec![Vec::new(); cases.len()];
    for round in 0..ROUNDS {
        raws.push(raw(raw_calls));
        for turn in 0..cases.len() {
            // The order changes from round to round.
            let index = (round + turn) % cases.len();
            if let Ok(target) = &mut cases[index].target {
                nets[index].push(target.measure(&requests[index], calls[index], &clock).net());
            }
        }
    }
    let nets = cases.iter().zip(nets).map(|(case, nets)| match case.target {
        Ok(_) => Ok(Time::of(nets)),
        Err(why) => Err(why),
    });
    Times { raw: Time::of(raws), nets: nets.collect() }
}

/// The number of calls in a round if one call takes this long.
fn calls(nanos: f64) -> usize {
    ((ROUND_NANOS / nanos.max(1.0)) as usize).clamp(16, 2048)
}

impl Time {
    fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        Self { median: rounds[rounds.len() / 2], fastest_tenth: rounds[rounds.len() / 10] }
    }
}

/// The signature check alone, with a key parsed beforehand.
fn raw_check(setup: &Setup, token: &str) -> Box<dyn FnMut()> {
    let (message, signature) = token.rsplit_once('.').expect("a token");
    let (message, signature) = (message.to_owned(), BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url"));
    let member = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(setup.jwk[name].as_str().expect(name)).expect("base64url");
    let key = match setup.algorithm {
        Algorithm::HS256 => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &member("k"));
            return Box::new(move || hmac::verify(&key, message.as_bytes(), &signature).expect("a valid signature"));
        }
        Algorithm::EdDSA => ParsedPublicKey::new(&signature::ED25519, member("x")),
        Algorithm::ES256 => {
            ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, [vec![4], member("x"), member("y")].concat())
        }
        _ => RsaPublicKeyComponents { n: member("n"), e: member("e") }
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256),
    };
    let key = key.expect("a key");
    Box::new(move || key.verify_sig(message.as_bytes(), &signature).expect("a valid signature"))
}

fn print(raws: &[Time], rows: &[Row], figure: fn(&Time) -> f64) {
    println!("| |{} no token | garbage token |", ALGORITHMS.map(|algorithm| format!(" {algorithm} |")).concat());
    println!("| --- |{}", " ---: |".repeat(ALGORITHMS.len() + 2));
    let raws: Vec<f64> = raws.iter().map(figure).collect();
    let raw: String = raws.iter().map(|raw| format!(" {} (1.00) |", grouped(*raw))).collect();
    println!("| raw signature check, aws-lc-rs |{raw} | |");
    for row in rows {
        let valid = row.valid.iter().zip(&raws).map(|(net, raw)| match net {
            Ok(net) => format!(" {} ({:.2}) |", grouped(figure(net)), figure(net) / raw),
            Err(why) => format!(" {why} |"),
        });
        let (missing, garbage) = (grouped(figure(&row.missing)), grouped(figure(&row.garbage)));
        println!("| {} |{} {missing} | {garbage} |", row.name, valid.collect::<String>());
    }
    for row in rows.iter().filter(|row| row.is_cached) {
        let ratios: Vec<_> = row.valid.iter().flatten().map(|net| format!("{:.2}", figure(net) / raws[0])).collect();
        println!("\n{}, to the raw HS256 check: {}.", row.name, ratios.join(", "));
    }
}

/// `25017.3` as `25,017`.
fn grouped(nanos: f64) -> String {
    let digits = format!("{:.0}", nanos.abs());
    let (head, tail) = digits.split_at(digits.len().saturating_sub(3));
    let comma = if head.is_empty() { "" } else { "," };
    format!("{}{head}{comma}{tail}", if nanos < 0.0 { "-" } else { "" })
}
