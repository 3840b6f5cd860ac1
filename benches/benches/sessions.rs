//! What it costs a request that sessions have been ended: `cargo bench -p benchmarks --bench sessions`.
//!
//! `ask` is the check alone, by requests of so many sessions in turn; `layer` is what it adds to a request of a live one
//! whose token was seen before. Rounds are interleaved and medians compared, so that a busy machine slows all alike.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it prints a table, and stops when it cannot")]

use std::{
    convert::Infallible,
    env, fs,
    future::Future,
    hint::black_box,
    pin::pin,
    process::Command,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use better_auth_jwt::{
    Claims, JwtAuthLayer, MissingSession, RevokedSessions, SessionCheck, SessionState, test_util::Issuer,
};
use http::{Request, Response};
use tower::{Layer, Service, service_fn};

const ROUNDS: usize = 41;

/// Sessions that send requests.
const ACTIVE: [usize; 2] = [16, 1024];

const CALLS: usize = 20 * 1024;

fn main() {
    let mut arguments = env::args().skip_while(|argument| argument != "memory").skip(1);
    if let Some(ended) = arguments.next() {
        println!("{:.1}", megabytes_of(ended.parse().unwrap()));
        return;
    }
    println!("| ended | MB | requests of | ask, live, ns | ask, ended, ns | layer, ns | two threads / one |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for ended in [0, 100_000, 1_000_000] {
        // In a process of its own, which has no memory to use again.
        let itself = Command::new(env::current_exe().unwrap()).args(["memory", &ended.to_string()]).output().unwrap();
        let megabytes = String::from_utf8(itself.stdout).unwrap();
        let issuer = Issuer::with_secret([7; 32]);
        let revoked = revoked(&issuer, ended);
        for active in ACTIVE {
            let scene = Scene::new(&issuer, revoked.clone(), active);
            let (live, dead) = scene.asked();
            let (layer, threads) = (scene.in_layer(), scene.by_two_threads());
            println!(
                "| {ended} | {} | {active} | {live:.1} | {dead:.1} | {layer:.1} | {threads:.2} |",
                megabytes.trim()
            );
        }
    }
}

fn revoked(issuer: &Issuer, ended: usize) -> RevokedSessions {
    let revoked = RevokedSessions::new(Duration::from_secs(930)).max_entries(2_000_000);
    (0..ended).for_each(|_| revoked.revoke_session(issuer.origin(), &session(issuer)).unwrap());
    revoked
}

fn megabytes_of(ended: usize) -> f64 {
    let issuer = Issuer::with_secret([7; 32]);
    let before = resident();
    let revoked = revoked(&issuer, ended);
    let after = resident();
    drop(revoked);
    (after - before) / 1e6
}

struct Scene {
    revoked: RevokedSessions,
    verifier: better_auth_jwt::Verifier,
    tokens: Vec<String>,
    live: Vec<Arc<Claims>>,
    dead: Vec<Arc<Claims>>,
}

impl Scene {
    fn new(issuer: &Issuer, revoked: RevokedSessions, active: usize) -> Self {
        let verifier = issuer.verifier();
        let tokens = || (0..active).map(|_| issuer.token_with_session("ada", &session(issuer))).collect::<Vec<_>>();
        let read = |tokens: &[String]| -> Vec<_> {
            tokens.iter().map(|token| ready(verifier.verify(token)).unwrap()).collect()
        };
        let (live_tokens, dead_tokens) = (tokens(), tokens());
        let (live, dead) = (read(&live_tokens), read(&dead_tokens));
        if !revoked.is_empty() {
            for claims in &dead {
                revoked.revoke_session(issuer.origin(), claims.session_id().unwrap()).unwrap();
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
            black_box(self.revoked.check(black_box(claims)) == SessionState::Revoked);
        }
    }

    /// Nanoseconds that the check adds to a request.
    fn in_layer(&self) -> f64 {
        let auth = JwtAuthLayer::new(self.verifier.clone());
        let asking = auth.clone().sessions(self.revoked.clone(), MissingSession::Reject);
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
        let ratios = (0..5).map(|_| {
            let (first, second) = self.live.split_at(self.live.len() / 2);
            let other_way_round = [second, first].concat();
            // Many, beside which the start of a thread is nothing.
            let ask = |claims: &[Arc<Claims>]| (0..50).for_each(|_| self.ask(claims));
            let alone = time(|| ask(&self.live));
            let both = time(|| {
                thread::scope(|scope| {
                    scope.spawn(|| ask(&self.live));
                    scope.spawn(|| ask(&other_way_round));
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
