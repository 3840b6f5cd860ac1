//! What each contestant answers to the same odd and hostile requests.

use std::time::Duration;

use axum::{Router, routing::get};
use better_auth_jwt::keys::Algorithm;
use http::{HeaderValue, Request, header::AUTHORIZATION};
use peers::{Answer, Contestant, Entrant, Setup, all, request};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

/// Longer than any contestant should think.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked of the answer.
#[derive(Clone, Copy)]
enum Question {
    /// Does the request pass, and if not, with which status is it refused?
    Verdict,
    /// Which challenge comes with the refusal?
    Challenge,
    /// Was the instance that was called the one that was polled ready?
    Readiness,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // RS256, because all of them know it.
    let rsa = published(Setup::new(Algorithm::RS256, "https://app.example.com/")).await;
    let origin = published(Setup::new(Algorithm::RS256, "https://app.example.com")).await;
    let eddsa = published(Setup::new(Algorithm::EdDSA, "https://app.example.com/")).await;
    let mut unnamed = Setup::new(Algorithm::EdDSA, "https://app.example.com/");
    unnamed.jwk.as_object_mut().expect("a JWK").remove("alg");
    let unnamed = published(unnamed).await;

    let mut entrants = all(&rsa).await;
    let names: String = entrants.iter().map(|entrant| format!(" {} |", entrant.name)).collect();
    println!("| |{names}\n| --- |{}", " --- |".repeat(entrants.len()));
    warm_up(&mut entrants, &rsa).await;
    for (name, request, question) in cases(&rsa) {
        row(name, &mut entrants, &request, question).await;
    }
    for (name, setup) in [
        ("an issuer without a path, as Better Auth's is", &origin),
        ("an EdDSA token, Better Auth's default", &eddsa),
        ("an EdDSA token, its JWK without `alg`", &unnamed),
    ] {
        let mut entrants = all(setup).await;
        warm_up(&mut entrants, setup).await;
        row(name, &mut entrants, &good(setup), Question::Verdict).await;
    }
}

fn cases(setup: &Setup) -> Vec<(&'static str, Request<()>, Question)> {
    use Question::*;
    let issuer = &setup.issuer;
    let stranger = Setup::new(setup.algorithm, issuer.origin()).issuer;
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
        ("a good token", request(Some(&token)), Verdict),
        ("signed by another key", request(Some(&stranger.sign(&issuer.claims(Setup::USER)))), Verdict),
        ("no `Authorization`", request(None), Verdict),
        ("`bearer` in lower case", header(&format!("bearer {token}")), Verdict),
        ("two `Authorization` headers, the first good", two_headers, Verdict),
        ("no `iss`", without_claim("iss"), Verdict),
        ("no `aud`", without_claim("aud"), Verdict),
        ("`iss` a number", with_claim("iss", json!(1)), Verdict),
        ("`aud` a number", with_claim("aud", json!(1)), Verdict),
        ("another `iss`", with_claim("iss", json!("https://evil.example.com/")), Verdict),
        ("another `aud`", with_claim("aud", json!("https://evil.example.com/")), Verdict),
        ("`crit` in the JOSE header", with_header(json!({ "crit": ["pledge"], "pledge": "word" })), Verdict),
        ("`typ` is `logout+jwt`", with_header(json!({ "typ": "logout+jwt" })), Verdict),
        (
            "`typ` is `better-auth.session-cache+jwt`",
            with_header(json!({ "typ": "better-auth.session-cache+jwt" })),
            Verdict,
        ),
        ("`sub` twice", request(Some(&sub_twice)), Verdict),
        ("`nbf` in an hour", with_claim("nbf", json!(now + 3600)), Verdict),
        ("`exp` two hours ago", expired.clone(), Verdict),
        ("a garbage token", request(Some("garbage")), Verdict),
        ("an unknown `kid`", with_header(json!({ "kid": "nobody's" })), Verdict),
        ("a token of 100 KB", with_claim("filler", json!("x".repeat(75_000))), Verdict),
        ("challenge when there is no token", request(None), Challenge),
        ("challenge to an expired token", expired, Challenge),
        ("calls the instance that was polled ready", request(Some(&token)), Readiness),
    ]
}

async fn row(name: &str, entrants: &mut [Entrant], request: &Request<()>, question: Question) {
    print!("| {name} |");
    for entrant in entrants {
        let cell = match &mut entrant.guarded {
            Ok(contestant) => match timeout(PATIENCE, contestant.answer(request.clone())).await {
                Ok(answer) => question.cell(&answer),
                Err(_) => format!("no answer in {} s", PATIENCE.as_secs()),
            },
            Err(why) => (*why).to_owned(),
        };
        print!(" {cell} |");
    }
    println!();
}

impl Question {
    fn cell(self, answer: &Answer) -> String {
        match self {
            Self::Verdict if answer.passed => "passes".to_owned(),
            Self::Verdict => answer.status.as_u16().to_string(),
            Self::Challenge if answer.passed => "passes".to_owned(),
            Self::Challenge if answer.challenges.is_empty() => "none".to_owned(),
            Self::Challenge => format!("`{}`", answer.challenges.join("`, `")),
            Self::Readiness => match answer.was_ready {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => "an extractor".to_owned(),
            },
        }
    }
}

fn good(setup: &Setup) -> Request<()> {
    request(Some(&setup.token(1)))
}

/// Some begin to serve before they have fetched the keys: a good token gets two seconds to pass.
async fn warm_up(entrants: &mut [Entrant], setup: &Setup) {
    let good = good(setup);
    for contestant in entrants.iter_mut().filter_map(|entrant| entrant.guarded.as_mut().ok()) {
        for _ in 0..20 {
            if passes(contestant.as_mut(), &good).await {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn passes(contestant: &mut dyn Contestant, request: &Request<()>) -> bool {
    timeout(PATIENCE, contestant.answer(request.clone())).await.is_ok_and(|answer| answer.passed)
}

/// Publishes the keys on this machine, until the program ends.
async fn published(setup: Setup) -> Setup {
    let jwks = setup.jwks();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let app = Router::new().route("/api/auth/jwks", get(|| async { ([("content-type", "application/json")], jwks) }));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Setup { jwks_url: Some(format!("http://{address}/api/auth/jwks")), ..setup }
}
