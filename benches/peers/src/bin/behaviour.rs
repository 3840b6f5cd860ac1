//! The responses of each target to the same unusual and hostile requests.

use std::time::Duration;

use axum::{Router, routing::get};
use better_auth_jwt::keys::Algorithm;
use http::{HeaderValue, Request, header::AUTHORIZATION};
use peers::{Outcome, Peer, Setup, Target, all, request};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

/// Longer than any target should take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The property of the outcome that is printed.
#[derive(Clone, Copy)]
enum Check {
    /// Whether the request passes; otherwise the status of the response.
    Status,
    /// The challenges of the response.
    Challenge,
    /// Whether the instance that was called is the one that was polled ready.
    Readiness,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // RS256, because all targets support it.
    let rsa = publish(Setup::new(Algorithm::RS256, "https://app.example.com/")).await;
    let origin = publish(Setup::new(Algorithm::RS256, "https://app.example.com")).await;
    let eddsa = publish(Setup::new(Algorithm::EdDSA, "https://app.example.com/")).await;
    let mut without_alg = Setup::new(Algorithm::EdDSA, "https://app.example.com/");
    without_alg.jwk.as_object_mut().expect("a JWK").remove("alg");
    let without_alg = publish(without_alg).await;

    let mut peers = all(&rsa).await;
    let names: String = peers.iter().map(|peer| format!(" {} |", peer.name)).collect();
    println!("| |{names}\n| --- |{}", " --- |".repeat(peers.len()));
    warm_up(&mut peers, &rsa).await;
    for (name, request, check) in cases(&rsa) {
        row(name, &mut peers, &request, check).await;
    }
    for (name, setup) in [
        ("an issuer without a path, as with Better Auth", &origin),
        ("an EdDSA token, Better Auth's default", &eddsa),
        ("an EdDSA token, its JWK without `alg`", &without_alg),
    ] {
        let mut peers = all(setup).await;
        warm_up(&mut peers, setup).await;
        row(name, &mut peers, &valid(setup), Check::Status).await;
    }
}

fn cases(setup: &Setup) -> Vec<(&'static str, Request<()>, Check)> {
    use Check::*;
    let issuer = &setup.issuer;
    let other_issuer = Setup::new(setup.algorithm, issuer.origin()).issuer;
    let token = setup.token(1);
    let now = issuer.claims(Setup::USER)["iat"].as_u64().expect("a date");
    let header = |value: &str| {
        let mut request = request(None);
        request.headers_mut().append(AUTHORIZATION, HeaderValue::from_str(value).expect("a header"));
        request
    };
    let with_claim = |name: &str, value: Value| {
        let mut claims = issuer.claims(Setup::USER);
        claims[name] = value;
        request(Some(&issuer.sign(&claims)))
    };
    let without_claim = |name: &str| {
        let mut claims = issuer.claims(Setup::USER);
        claims.as_object_mut().expect("claims").remove(name);
        request(Some(&issuer.sign(&claims)))
    };
    let with_header = |members: Value| {
        let mut header = issuer.header();
        header.as_object_mut().expect("a header").extend(members.as_object().expect("members").clone());
        request(Some(&issuer.sign_with_header(&header, &issuer.claims(Setup::USER))))
    };
    let mut two_headers = request(Some(&token));
    two_headers.headers_mut().append(AUTHORIZATION, HeaderValue::from_static("Bearer another"));
    let sub_twice = issuer.claims(Setup::USER).to_string().replacen('{', r#"{"sub":"mallory","#, 1);
    let sub_twice = issuer.sign_bytes(issuer.header().to_string().as_bytes(), sub_twice.as_bytes());
    let expired = with_claim("exp", json!(now - 7200));

    vec![
        ("a valid token", request(Some(&token)), Status),
        ("signed by another key", request(Some(&other_issuer.sign(&issuer.claims(Setup::USER)))), Status),
        ("no `Authorization`", request(None), Status),
        ("`bearer` in lower case", header(&format!("bearer {token}")), Status),
        ("two `Authorization` headers, the first valid", two_headers, Status),
        ("no `iss`", without_claim("iss"), Status),
        ("no `aud`", without_claim("aud"), Status),
        ("`iss` a number", with_claim("iss", json!(1)), Status),
        ("`aud` a number", with_claim("aud", json!(1)), Status),
        ("another `iss`", with_claim("iss", json!("https://evil.example.com/")), Status),
        ("another `aud`", with_claim("aud", json!("https://evil.example.com/")), Status),
        ("`crit` in the JOSE header", with_header(json!({ "crit": ["pledge"], "pledge": "word" })), Status),
        ("`typ` is `logout+jwt`", with_header(json!({ "typ": "logout+jwt" })), Status),
        (
            "`typ` is `better-auth.session-cache+jwt`",
            with_header(json!({ "typ": "better-auth.session-cache+jwt" })),
            Status,
        ),
        ("`sub` twice", request(Some(&sub_twice)), Status),
        ("`nbf` in an hour", with_claim("nbf", json!(now + 3600)), Status),
        ("`exp` two hours ago", expired.clone(), Status),
        ("a garbage token", request(Some("garbage")), Status),
        ("an unknown `kid`", with_header(json!({ "kid": "unknown" })), Status),
        ("a token of 100 KB", with_claim("filler", json!("x".repeat(75_000))), Status),
        ("challenge when there is no token", request(None), Challenge),
        ("challenge to an expired token", expired, Challenge),
        ("calls the instance that was polled ready", request(Some(&token)), Readiness),
    ]
}

async fn row(name: &str, peers: &mut [Peer], request: &Request<()>, check: Check) {
    print!("| {name} |");
    for peer in peers {
        let cell = match &mut peer.target {
            Ok(target) => match timeout(TIMEOUT, target.call(request.clone())).await {
                Ok(outcome) => check.cell(&outcome),
                Err(_) => format!("no response in {} s", TIMEOUT.as_secs()),
            },
            Err(why) => (*why).to_owned(),
        };
        print!(" {cell} |");
    }
    println!();
}

impl Check {
    fn cell(self, outcome: &Outcome) -> String {
        match self {
            Self::Status if outcome.passed => "passes".to_owned(),
            Self::Status => outcome.status.as_u16().to_string(),
            Self::Challenge if outcome.passed => "passes".to_owned(),
            Self::Challenge if outcome.challenges.is_empty() => "none".to_owned(),
            Self::Challenge => format!("`{}`", outcome.challenges.join("`, `")),
            Self::Readiness => match outcome.was_ready {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => "an extractor".to_owned(),
            },
        }
    }
}

fn valid(setup: &Setup) -> Request<()> {
    request(Some(&setup.token(1)))
}

/// Some targets start before they have fetched the keys: wait up to two seconds until a valid token passes.
async fn warm_up(peers: &mut [Peer], setup: &Setup) {
    let valid = valid(setup);
    for target in peers.iter_mut().filter_map(|peer| peer.target.as_mut().ok()) {
        for _ in 0..20 {
            if passes(target.as_mut(), &valid).await {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn passes(target: &mut dyn Target, request: &Request<()>) -> bool {
    timeout(TIMEOUT, target.call(request.clone())).await.is_ok_and(|outcome| outcome.passed)
}

/// Publishes the keys on this machine, until the program ends.
async fn publish(setup: Setup) -> Setup {
    let jwks = setup.jwks();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().route("/api/auth/jwks", get(|| async { ([("content-type", "application/json")], jwks) }));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Setup { jwks_url: Some(format!("http://{address}/api/auth/jwks")), ..setup }
}
