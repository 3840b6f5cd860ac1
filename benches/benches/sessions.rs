//! What it costs a request that sessions have been ended: `cargo bench -p benchmarks --bench sessions`.
//!
//! `ask` is the check alone, by requests of 1024 sessions in turn; `layer` is what it adds to a request whose token was
//! seen before. Rounds are interleaved and medians compared, so that a busy machine slows all alike.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it prints a table, and stops when it cannot")]

use std::{
    convert::Infallible,
    fs,
    future::Future,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use better_auth_jwt::{
    Claims, JwtAuthLayer, RevokedSessions, SessionCheck, SessionState, WithoutSession, test_util::Issuer,
};
use http::{Request, Response};
use tower::{Layer, Service, service_fn};

const ROUNDS: usize = 41;

/// Sessions that send requests.
const ACTIVE: usize = 1024;

const CALLS: usize = 20 * ACTIVE;

fn main() {
    println!("| ended | ask, live, ns | ask, ended, ns | layer, ns | MB | asked by two threads / by one |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for ended in [0, 100_000, 1_000_000] {
        let issuer = Issuer::with_secret([7; 32]);
        let before = resident();
        let revoked = RevokedSessions::new(Duration::from_secs(930)).at_most(2_000_000);
        for _ in 0..ended {
            revoked.end_session(&session(&issuer)).unwrap();
        }
        let megabytes = (resident() - before) / 1e6;
        let scene = Scene::new(&issuer, revoked, ended);
        let (live, dead) = scene.asked();
        let dead = if ended == 0 { "".to_owned() } else { format!("{dead:.1}") };
        let (layer, threads) = (scene.in_layer(), scene.by_two_threads());
        println!("| {ended} | {live:.1} | {dead} | {layer:.1} | {megabytes:.1} | {threads:.2} |");
    }
}

struct Scene {
    revoked: RevokedSessions,
    verifier: better_auth_jwt::Verifier,
    tokens: Vec<String>,
    live: Vec<Arc<Claims>>,
    dead: Vec<Arc<Claims>>,
}

impl Scene {
    fn new(issuer: &Issuer, revoked: RevokedSessions, ended: usize) -> Self {
        let verifier = issuer.verifier();
        let tokens = || (0..ACTIVE).map(|_| issuer.token_in_session("ada", &session(issuer))).collect::<Vec<_>>();
        let read = |tokens: &[String]| -> Vec<_> {
            tokens.iter().map(|token| ready(verifier.verify(token)).unwrap()).collect()
        };
        let (live_tokens, dead_tokens) = (tokens(), tokens());
        let (live, dead) = (read(&live_tokens), read(&dead_tokens));
        if ended > 0 {
            for claims in &dead {
                revoked.end_session(claims.session_id().unwrap()).unwrap();
            }
        }
        Self { revoked, verifier, tokens: live_tokens, live, dead }
    }

    /// Nanoseconds for one question about a live session, and about an ended one.
    fn asked(&self) -> (f64, f64) {
        let [mut live, mut dead] = [const { Vec::new() }; 2];
        for _ in 0..ROUNDS {
            live.push(time(|| self.ask(&self.live)));
            dead.push(time(|| self.ask(&self.dead)));
        }
        (median(live), median(dead))
    }

    fn ask(&self, claims: &[Arc<Claims>]) {
        for claims in claims.iter().cycle().take(CALLS) {
            black_box(self.revoked.look_up(black_box(claims)) == SessionState::Ended);
        }
    }

    /// Nanoseconds that the check adds to a request.
    fn in_layer(&self) -> f64 {
        let auth = JwtAuthLayer::new(self.verifier.clone());
        let asking = auth.clone().sessions(self.revoked.clone(), WithoutSession::Refuse);
        let mut services = [auth, asking].map(|auth| auth.layer(service_fn(answer)));
        let requests: Vec<_> = self.tokens.iter().map(|token| request(token)).collect();
        let added = (0..ROUNDS).map(|_| {
            let [without, with] = services.each_mut().map(|service| {
                time(|| {
                    for request in requests.iter().cycle().take(CALLS) {
                        assert_eq!(ready(service.call(request.clone())).unwrap().status(), 200);
                    }
                })
            });
            with - without
        });
        median(added.collect())
    }

    /// How many questions two threads ask in a second, over those of one.
    fn by_two_threads(&self) -> f64 {
        let ratios = (0..ROUNDS).map(|_| {
            let alone = time(|| self.ask(&self.live));
            let both = time(|| {
                thread::scope(|scope| {
                    scope.spawn(|| self.ask(&self.live));
                    scope.spawn(|| self.ask(&self.live));
                });
            });
            2.0 * alone / both
        });
        median(ratios.collect())
    }
}

async fn answer(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

fn request(token: &str) -> Request<()> {
    Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap()
}

/// An id as long as Better Auth's: the end of a signature is as random.
fn session(issuer: &Issuer) -> String {
    let token = issuer.logout_token("");
    token[token.len() - 32..].to_owned()
}

/// Nanoseconds for each of so many calls.
fn time(run: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    run();
    begun.elapsed().as_nanos() as f64 / CALLS as f64
}

/// Bytes of memory in use, where the system tells; a page has 4 KiB.
fn resident() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(f64::NAN) * 4096.0
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
