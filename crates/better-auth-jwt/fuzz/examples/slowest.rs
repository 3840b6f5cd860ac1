//! Measures the library with the worst known inputs: the fuzzers' seeds and corpus, and inputs that are built to be slow.
//!
//!     cargo run --release --example slowest
//!
//! Prints the slowest ones, and exits with 1 if any takes more than a millisecond per 8 KiB, rounded up.

use std::{
    fs, io,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use better_auth_jwt::{
    JwtAuthLayer, PathTemplate, PathValue, Verifier,
    keys::{Algorithm, KeySet},
    test_util::Issuer,
};
use better_auth_jwt_fuzz::{header, path, token};
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

/// Per 8 KiB, rounded up.
const LIMIT: Duration = Duration::from_millis(1);

fn main() -> io::Result<ExitCode> {
    let mut measured = Vec::new();
    corpus(&mut measured)?;
    tokens(&mut measured);
    key_sets(&mut measured);
    paths(&mut measured);
    headers(&mut measured);
    measured.sort_by_key(|input| std::cmp::Reverse(input.share()));
    println!("{:>10} {:>8} {:>12}  input", "time", "bytes", "per 8 KiB");
    for input in measured.iter().take(25) {
        println!("{:>10.1?} {:>8} {:>12.1?}  {}", input.time, input.bytes, input.share(), input.name);
    }
    println!("{} inputs", measured.len());
    let slow = measured.iter().any(|input| input.share() > LIMIT);
    Ok(if slow { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

struct Measured {
    name: String,
    bytes: usize,
    time: Duration,
}

impl Measured {
    fn share(&self) -> Duration {
        self.time / u32::try_from(self.bytes.div_ceil(8192).max(1)).unwrap_or(u32::MAX)
    }
}

/// Measures the shortest of many runs, which depends least on the load of the machine.
fn measure(measured: &mut Vec<Measured>, name: impl Into<String>, bytes: usize, mut run: impl FnMut()) {
    let mut time = Duration::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        run();
        time = time.min(start.elapsed());
    }
    measured.push(Measured { name: name.into(), bytes, time });
}

/// Measures the library alone or, if that is not possible, the whole fuzz target with its second parser and signing.
/// Valid tokens with edits are left out: they take as long as a signature check.
fn corpus(measured: &mut Vec<Measured>) -> io::Result<()> {
    let verifier = Issuer::new().verifier();
    let targets = ["header", "token", "jwks", "path"];
    for (kind, target) in ["seeds", "corpus"].iter().flat_map(|kind| targets.map(|target| (kind, target))) {
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target))? {
            let file = file?;
            let input = fs::read(file.path())?;
            let name = format!("{kind}/{target}/{}", file.file_name().to_string_lossy());
            match (target, input.split_first()) {
                ("header", _) => measure(measured, name, input.len(), || header::run(&input)),
                ("path", _) => measure(measured, name, input.len(), || path::run(&input)),
                ("jwks", _) => measure(measured, name, input.len(), || {
                    let _ = KeySet::from_json_with_default_rsa_algorithm(&input, Algorithm::RS256).is_ok();
                }),
                (_, Some((b's' | b'h', _))) => measure(measured, name, input.len(), || token::run(&input)),
                (_, Some((b'r', text))) => {
                    let Ok(text) = str::from_utf8(text) else { continue };
                    measure_token(measured, name, &verifier, text);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Tokens with valid signatures, so that everything is checked. The times include HMAC, the fastest signature.
fn tokens(measured: &mut Vec<Measured>) {
    let issuer = Issuer::with_algorithm(Algorithm::HS256);
    let verifiers = [("", issuer.verifier()), (", 1 MiB", issuer.verifier().max_token_size(2 << 20))];
    for ((scale, verifier), room) in verifiers.into_iter().zip([6000, 700_000]) {
        let other = Issuer::new().verifier().max_token_size(2 << 20);
        let both = issuer.verifier().max_token_size(2 << 20).or(other).or(issuer.verifier());
        for (name, value) in slow_json(room) {
            let mut claims = issuer.claims("ada").to_string();
            claims.insert_str(1, &format!("\"x\":{value},"));
            let header = issuer.header().to_string();
            let inside = issuer.sign_bytes(header.as_bytes(), claims.as_bytes());
            measure_token(measured, format!("claims{scale}: {name}"), &verifier, &inside);
            measure_token(measured, format!("claims for one of three{scale}: {name}"), &both, &inside);
            let alone = issuer.sign_bytes(header.as_bytes(), value.as_bytes());
            measure_token(measured, format!("claims alone{scale}: {name}"), &verifier, &alone);
            let mut header = header;
            header.insert_str(1, &format!("\"x\":{value},"));
            let header = issuer.sign_bytes(header.as_bytes(), issuer.claims("ada").to_string().as_bytes());
            measure_token(measured, format!("header{scale}: {name}"), &verifier, &header);
        }
        for (name, aud) in [
            ("audiences", Value::from(vec!["https://b.example"; room / 25])),
            ("short audiences", Value::from(vec!["b"; room / 5])),
        ] {
            let mut claims = issuer.claims("ada");
            claims["aud"] = aud;
            measure_token(measured, format!("{name}{scale}"), &verifier, &issuer.sign(&claims));
        }
        for name in ["exp", "nbf", "iat"] {
            for number in ["9".repeat(room), format!("1.{}", "0".repeat(room)), format!("1e{}", "9".repeat(room))] {
                let claims = issuer.claims("ada").to_string();
                let claims =
                    claims.replacen('{', &format!("{{\"{name}\":{number},\"old_"), 1).replacen("old_\"", "old_", 1);
                let token = issuer.sign_bytes(issuer.header().to_string().as_bytes(), claims.as_bytes());
                measure_token(measured, format!("{name}{scale}: {number:.8}…"), &verifier, &token);
            }
        }
        for (name, token) in [
            ("dots", ".".repeat(room)),
            ("letters", "A".repeat(room)),
            ("a long header", format!("{}.AA.AA", "A".repeat(room))),
            ("a long payload", format!("e30.{}.AA", "A".repeat(room))),
            ("a long signature", format!("e30.AA.{}", "A".repeat(room))),
            ("five parts", format!("{0}.{0}.{0}.{0}.{0}", "A".repeat(room / 5))),
        ] {
            measure_token(measured, format!("{name}{scale}"), &verifier, &token);
        }
    }
}

fn measure_token(measured: &mut Vec<Measured>, name: String, verifier: &Verifier, token: &str) {
    measure(measured, name, token.len(), || {
        let _ = verifier.verify(token).now_or_never().map(|verdict| verdict.is_ok());
    });
}

/// JSON texts of about `room` bytes.
fn slow_json(room: usize) -> Vec<(String, String)> {
    let object = |members: usize, name: &dyn Fn(usize) -> String| {
        let members: Vec<_> = (0..members).map(|n| format!("\"{}\":0", name(n))).collect();
        format!("{{{}}}", members.join(","))
    };
    let repeated = |text: &str| text.repeat(room / text.len());
    let prefix = "p".repeat(room / 40);
    // The same length, first and last letters, so that all names must be compared.
    let alike = object(16, &|n| format!("aaaa{:04}aaaaaaaaaaaaaaa{:04}a", n, n));
    let mut all = vec![
        ("many members".to_owned(), object(room / 8, &|n| format!("{n:x}"))),
        ("many members, backwards".to_owned(), object(room / 10, &|n| format!("{:05x}", 0xfffff - n))),
        ("long names that end differently".to_owned(), object(36, &|n| format!("{prefix}{n}"))),
        ("the last name twice".to_owned(), object(room / 8, &|n| format!("{:x}", n.min(room / 8 - 2)))),
        (
            "objects of 16 names alike".to_owned(),
            format!("[{}0]", format!("{alike},").repeat(room / (alike.len() + 1))),
        ),
        ("objects of 17 names".to_owned(), {
            let one = object(17, &|n| format!("a{n:02}a"));
            format!("[{}0]", format!("{one},").repeat(room / (one.len() + 1)))
        }),
        ("arrays side by side".to_owned(), format!("[{}0]", repeated("[],"))),
        ("objects side by side".to_owned(), format!("[{}0]", repeated("{},"))),
        (
            "deep objects".to_owned(),
            format!("[{}0]", repeated(&format!("{}0{},", "{\"a\":".repeat(29), "}".repeat(29)))),
        ),
        ("depth".to_owned(), "[".repeat(room)),
        ("depth of objects".to_owned(), repeated("{\"a\":")),
    ];
    for (name, text) in [
        ("escapes", r"\u0061"),
        ("short escapes", r"\n"),
        ("quotes", r#"\""#),
        ("surrogates", r"\ud83d\ude00"),
        ("umlauts", "ü"),
        ("emoji", "😀"),
        ("almost quotes", "!#!#"),
        ("almost controls", "    "),
        ("letters and escapes", r"aaaaaaa\n"),
    ] {
        all.push((name.to_owned(), format!("\"{}\"", repeated(text))));
        all.push((format!("{name} in a name"), format!("{{\"{}\":0}}", repeated(text))));
    }
    all.extend([
        ("digits".to_owned(), repeated("1")),
        ("spaces".to_owned(), format!("{} 1", repeated(" "))),
        ("numbers".to_owned(), format!("[{}0]", repeated("1,"))),
        ("literals".to_owned(), format!("[{}0]", repeated("true,"))),
    ]);
    all
}

fn key_sets(measured: &mut Vec<Measured>) {
    use Algorithm::*;
    for algorithm in [EdDSA, ES256, ES384, ES512, RS256] {
        let keys: Vec<Value> = (0..100)
            .map(|n| {
                let mut jwk = Issuer::with_algorithm(if algorithm == RS256 && n > 0 { EdDSA } else { algorithm }).jwk();
                jwk["kid"] = json!(n.to_string());
                jwk
            })
            .collect();
        measure_set(measured, format!("100 keys, {algorithm}"), &json!({ "keys": keys }).to_string());
        measure_set(measured, format!("one key, {algorithm}"), &json!({ "keys": [keys[0]] }).to_string());
    }
    // As small as possible, so that many keys fit into 8 KiB.
    let small: Vec<String> = (0..100)
        .map(|_| {
            let x = Issuer::new().jwk()["x"].to_string();
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":{x}}}"#)
        })
        .collect();
    measure_set(measured, "100 keys without kid".to_owned(), &format!(r#"{{"keys":[{}]}}"#, small.join(",")));
    let rsa = |bytes: usize| {
        let n = BASE64_URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        format!(r#"{{"kty":"RSA","alg":"PS512","n":"{n}","e":"_____w"}}"#)
    };
    for bytes in [256, 512, 1024, 1025, 20_000] {
        let count = (256 * 1024 / rsa(bytes).len()).min(100);
        measure_set(
            measured,
            format!("{count} RSA keys of {bytes} bytes"),
            &format!(r#"{{"keys":[{}]}}"#, vec![rsa(bytes); count].join(",")),
        );
    }
    for room in [6000, 250_000] {
        for (name, value) in slow_json(room) {
            measure_set(measured, format!("beside no keys: {name}, {room}"), &format!(r#"{{"x":{value},"keys":[]}}"#));
            measure_set(measured, format!("as keys: {name}, {room}"), &format!(r#"{{"keys":{value}}}"#));
            measure_set(
                measured,
                format!("in a key: {name}, {room}"),
                &format!(r#"{{"keys":[{{"kty":"OKP","x":{value}}}]}}"#),
            );
            measure_set(
                measured,
                format!("as key_ops: {name}, {room}"),
                &format!(r#"{{"keys":[{{"kty":"OKP","key_ops":{value}}}]}}"#),
            );
        }
    }
}

fn measure_set(measured: &mut Vec<Measured>, name: String, json: &str) {
    measure(measured, format!("key set: {name}"), json.len(), || {
        let _ = KeySet::from_json(json).is_ok();
    });
}

fn paths(measured: &mut Vec<Measured>) {
    let templates = ["/api/{user}/*", "/{user}", "/*/*/*/*/*/*/*/{user}"];
    for template in templates {
        let matcher = PathTemplate::new(template).expect("a template");
        for (name, text) in
            [("slashes", "/"), ("escapes", "%61"), ("letters", "a"), ("percent signs", "%"), ("segments", "/a")]
        {
            let path = format!("/api/{}", text.repeat(60_000 / text.len()));
            let (mut parts, ()) = Request::get(&path).body(()).expect("a request").into_parts();
            measure(measured, format!("path: {name} for {template}"), path.len(), || {
                let _ = matcher.extract(&mut parts).is_ok();
            });
        }
    }
}

fn headers(measured: &mut Vec<Measured>) {
    let layer = JwtAuthLayer::new(Issuer::new().verifier());
    let service = layer
        .layer(service_fn(async |_: Request<String>| Ok::<_, std::convert::Infallible>(Response::new(String::new()))));
    for (name, text) in [("spaces", " "), ("letters", "a"), ("dots", "."), ("tabs", "\t"), ("commas", ",")] {
        for length in [8192, 400_000] {
            let value = HeaderValue::try_from(format!("Bearer {}", text.repeat(length))).expect("a header");
            measure(measured, format!("header of {length} {name}"), value.len(), || {
                let mut request = Request::get("/").body(String::new()).expect("a request");
                request.headers_mut().insert(AUTHORIZATION, value.clone());
                let _ = service.clone().oneshot(request).now_or_never();
            });
        }
    }
}
