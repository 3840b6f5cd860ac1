//! What revoked sessions cost a request: `cargo bench -p benchmarks --bench sessions`.
//!
//! `check` is the check alone, for so many sessions in turn; `layer` is what it adds to a request of an active session with
//! a cached token; `add` is a revocation in a full list, which removes expired ones. Rounds are interleaved and medians
//! compared, so that a busy machine slows all alike.

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
    Claims, Clock, JwtAuthLayer, MissingSession, RevokedSessions, SessionCheck, SessionState, test_util::Issuer,
};
use http::{Request, Response};
use tower::{Layer, Service, service_fn};

const ROUNDS: usize = 41;

/// Sessions that send requests.
const ACTIVE: [usize; 2] = [16, 1024];

const CALLS: usize = 20 * 1024;

fn main() {
    let mut arguments = env::args().skip_while(|argument| argument != "memory").skip(1);
    if let Some(entries) = arguments.next() {
        println!("{:.1}", megabytes_of(entries.parse().unwrap()));
        return;
    }
    println!(
        "| revoked | MB | add, ns | add, slowest of 1000, ns | requests of | check, active, ns | check, revoked, ns \
         | layer, ns | two threads / one |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for entries in [0, 1000, 200_000, 1_000_000] {
        // In a process of its own, which has no memory to use again.
        let output = Command::new(env::current_exe().unwrap()).args(["memory", &entries.to_string()]).output().unwrap();
        let megabytes = String::from_utf8(output.stdout).unwrap();
        let issuer = Issuer::with_secret([7; 32]);
        let (add, slowest) = added(entries);
        let revoked = revoked(&issuer, entries);
        for active in ACTIVE {
            let scene = Scene::new(&issuer, revoked.clone(), active);
            let (active_check, revoked_check) = scene.checked();
            let (layer, threads) = (scene.in_layer(), scene.by_two_threads());
            println!(
                "| {entries} | {} | {add:.0} | {slowest:.0} | {active} | {active_check:.1} | {revoked_check:.1} | {layer:.1} | {threads:.2} |",
                megabytes.trim()
            );
        }
    }
}

fn revoked(issuer: &Issuer, entries: usize) -> RevokedSessions {
    let revoked = RevokedSessions::new(Duration::from_secs(930)).max_entries(2_000_000);
    (0..entries).for_each(|_| revoked.revoke_session(issuer.origin(), &session(issuer)).unwrap());
    revoked
}

/// Nanoseconds for a revocation in a list that is full, while as many expire: on average, and the slowest of a thousand.
fn added(entries: usize) -> (f64, f64) {
    const RETENTION: u64 = 1000;
    if entries == 0 {
        return (f64::NAN, f64::NAN);
    }
    let issuer = Issuer::with_secret([7; 32]);
    let clock = issuer.clock();
    let list = RevokedSessions::new(Duration::from_secs(RETENTION)).max_entries(entries).clock(clock.clone());
    let per_second = entries / RETENTION as usize;
    let start = clock.unix_time() - RETENTION + 1;
    for n in 0..per_second * RETENTION as usize {
        list.revoke_session_at(issuer.origin(), &format!("{n:0>32}"), start + (n / per_second) as u64).unwrap();
    }
    let mut times = Vec::new();
    let mut number = 0;
    while times.len() < 20_000.min(20 * entries) {
        clock.advance(Duration::from_secs(1));
        let now = clock.unix_time();
        for _ in 0..per_second {
            number += 1;
            let session = format!("new-{number:0>28}");
            let begun = Instant::now();
            list.revoke_session_at(issuer.origin(), &session, now).unwrap();
            times.push(begun.elapsed().as_nanos() as f64);
        }
    }
    times.sort_by(f64::total_cmp);
    let average = times.iter().sum::<f64>() / times.len() as f64;
    (average, times.iter().rev().nth(times.len() / 1000).copied().unwrap_or(f64::NAN))
}

fn megabytes_of(entries: usize) -> f64 {
    let issuer = Issuer::with_secret([7; 32]);
    let before = resident();
    let revoked = revoked(&issuer, entries);
    let after = resident();
    drop(revoked);
    (after - before) / 1e6
}

struct Scene {
    revoked: RevokedSessions,
    verifier: better_auth_jwt::Verifier,
    tokens: Vec<String>,
    active: Vec<Arc<Claims>>,
    revoked_claims: Vec<Arc<Claims>>,
}

impl Scene {
    fn new(issuer: &Issuer, revoked: RevokedSessions, active: usize) -> Self {
        let verifier = issuer.verifier();
        let tokens = || (0..active).map(|_| issuer.token_with_session("ada", &session(issuer))).collect::<Vec<_>>();
        let read = |tokens: &[String]| -> Vec<_> {
            tokens.iter().map(|token| ready(verifier.verify(token)).unwrap()).collect()
        };
        let (active_tokens, revoked_claims_tokens) = (tokens(), tokens());
        let (active, revoked_claims) = (read(&active_tokens), read(&revoked_claims_tokens));
        if !revoked.is_empty() {
            for claims in &revoked_claims {
                revoked.revoke_session(issuer.origin(), claims.session_id().unwrap()).unwrap();
            }
        }
        Self { revoked, verifier, tokens: active_tokens, active, revoked_claims }
    }

    /// Nanoseconds to check an active session, and a revoked one.
    fn checked(&self) -> (f64, f64) {
        let [mut active, mut revoked_claims] = [const { Vec::new() }; 2];
        for _ in 0..ROUNDS {
            active.push(time(|| self.check(&self.active)));
            revoked_claims.push(time(|| self.check(&self.revoked_claims)));
        }
        (median(active), median(revoked_claims))
    }

    fn check(&self, claims: &[Arc<Claims>]) {
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

    /// How many checks two threads make in a second, over those of one.
    fn by_two_threads(&self) -> f64 {
        let ratios = (0..5).map(|_| {
            let (first, second) = self.active.split_at(self.active.len() / 2);
            let other_way_round = [second, first].concat();
            // Many, beside which the start of a thread is nothing.
            let check_all = |claims: &[Arc<Claims>]| (0..50).for_each(|_| self.check(claims));
            let alone = time(|| check_all(&self.active));
            let both = time(|| {
                thread::scope(|scope| {
                    scope.spawn(|| check_all(&self.active));
                    scope.spawn(|| check_all(&other_way_round));
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
