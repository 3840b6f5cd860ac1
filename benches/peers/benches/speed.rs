//! What one request costs through each layer, net of the bare service behind it.
//!
//! Rounds are interleaved over all contestants and medians compared, so that a busy machine slows
//! all of them. It does not slow them alike, cryptography least of all, so what the fastest tenth of
//! the rounds took is told as well. Another machine has other nanoseconds; the ratios are what compares.

use std::time::Instant;

use aws_lc_rs::{
    hmac,
    signature::{self, ParsedPublicKey, RsaPublicKeyComponents},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use better_auth_jwt::keys::Algorithm;
use http::Request;
use peers::{Field, Runner, Setup, request};

const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256];

const ROUNDS: usize = 101;

/// A round of one contestant takes about as long.
const ROUND_NANOS: f64 = 1_000_000.0;

/// One row of the tables.
#[derive(Default)]
struct Row {
    name: String,
    knows: bool,
    /// A good token, by algorithm, or why there is no number.
    good: Vec<Result<Time, &'static str>>,
    missing: Time,
    garbage: Time,
}

/// Nanoseconds, over all rounds.
#[derive(Clone, Copy, Default)]
struct Time {
    median: f64,
    /// The slowest of the fastest tenth.
    at_rest: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut raws = Vec::new();
    let mut rows = Vec::new();
    let mut by_hand = None;
    for algorithm in ALGORITHMS {
        let Field { mut runners, setup, token } = Field::new(algorithm).await;
        rows.resize_with(runners.len(), Row::default);

        let good: Vec<_> = runners.iter().map(|runner| runner.good.clone()).collect();
        let Times { raw, nets } = measure(&mut runners, &good, &mut raw_check(&setup, &token));
        raws.push(raw);
        for ((row, runner), net) in rows.iter_mut().zip(&runners).zip(nets) {
            let is_slower = net.is_ok_and(|net| net.median > 0.8 * raw.median) || net.is_err();
            assert!(is_slower || runner.knows, "{} verifies no signature", runner.name);
            row.name.clone_from(&runner.name);
            row.knows = runner.knows;
            row.good.push(net);
        }
        if algorithm == Algorithm::HS256 {
            runners.push(Field::refusing_by_hand());
            let mut refused = |request: Request<()>| {
                let requests = vec![vec![request]; runners.len()];
                measure(&mut runners, &requests, &mut || ()).nets
            };
            let (mut missing, garbage) = (refused(request(None)), refused(request(Some("garbage"))));
            by_hand = missing.pop().and_then(Result::ok);
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
    let by_hand: Time = by_hand.expect("a number");
    println!(
        "\nThe answer to a request without a token, given by hand and without any layer: {}.",
        grouped(by_hand.median)
    );
    println!("\nThe same in the fastest tenth of the rounds, when the machine was at rest:\n");
    print(&raws, &rows, |time| time.at_rest);
}

struct Times {
    raw: Time,
    /// Of the runners, in their order.
    nets: Vec<Result<Time, &'static str>>,
}

/// Measures the raw check, and each runner with its requests.
fn measure(runners: &mut [Runner], requests: &[Vec<Request<()>>], raw_check: &mut dyn FnMut()) -> Times {
    let epoch = Instant::now();
    let clock = || epoch.elapsed().as_nanos() as u64;
    let mut raw = |calls: usize| {
        let begun = clock();
        (0..calls).for_each(|_| raw_check());
        (clock() - begun) as f64 / calls as f64
    };
    let raw_calls = calls(raw(16));
    let calls: Vec<_> = runners
        .iter_mut()
        .zip(requests)
        .map(|(runner, requests)| match &mut runner.guarded {
            Ok(contestant) => calls(contestant.measure(requests, 16, &clock).gross()),
            Err(_) => 0,
        })
        .collect();

    let mut raws = Vec::new();
    let mut nets = vec![Vec::new(); runners.len()];
    for round in 0..ROUNDS {
        raws.push(raw(raw_calls));
        for turn in 0..runners.len() {
            // So that nobody always has the same place.
            let index = (round + turn) % runners.len();
            if let Ok(contestant) = &mut runners[index].guarded {
                nets[index].push(contestant.measure(&requests[index], calls[index], &clock).net());
            }
        }
    }
    let nets = runners.iter().zip(nets).map(|(runner, nets)| match runner.guarded {
        Ok(_) => Ok(Time::of(nets)),
        Err(why) => Err(why),
    });
    Times { raw: Time::of(raws), nets: nets.collect() }
}

/// How many calls fill a round, if one takes as long as this.
fn calls(nanos: f64) -> usize {
    ((ROUND_NANOS / nanos.max(1.0)) as usize).clamp(16, 2048)
}

impl Time {
    fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        Self { median: rounds[rounds.len() / 2], at_rest: rounds[rounds.len() / 10] }
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
            return Box::new(move || hmac::verify(&key, message.as_bytes(), &signature).expect("a good signature"));
        }
        Algorithm::EdDSA => ParsedPublicKey::new(&signature::ED25519, member("x")),
        Algorithm::ES256 => {
            ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, [vec![4], member("x"), member("y")].concat())
        }
        _ => RsaPublicKeyComponents { n: member("n"), e: member("e") }
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256),
    };
    let key = key.expect("a key");
    Box::new(move || key.verify_sig(message.as_bytes(), &signature).expect("a good signature"))
}

fn print(raws: &[Time], rows: &[Row], figure: fn(&Time) -> f64) {
    println!("| |{} no token | garbage token |", ALGORITHMS.map(|algorithm| format!(" {algorithm} |")).concat());
    println!("| --- |{}", " ---: |".repeat(ALGORITHMS.len() + 2));
    let raws: Vec<f64> = raws.iter().map(figure).collect();
    let raw: String = raws.iter().map(|raw| format!(" {} (1.00) |", grouped(*raw))).collect();
    println!("| raw signature check, aws-lc-rs |{raw} | |");
    for row in rows {
        let good = row.good.iter().zip(&raws).map(|(net, raw)| match net {
            Ok(net) => format!(" {} ({:.2}) |", grouped(figure(net)), figure(net) / raw),
            Err(why) => format!(" {why} |"),
        });
        let (missing, garbage) = (grouped(figure(&row.missing)), grouped(figure(&row.garbage)));
        println!("| {} |{} {missing} | {garbage} |", row.name, good.collect::<String>());
    }
    for row in rows.iter().filter(|row| row.knows) {
        let ratios: Vec<_> = row.good.iter().flatten().map(|net| format!("{:.2}", figure(net) / raws[0])).collect();
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
