//! The cost of a list of revoked sessions: `cargo bench -p benchmarks --bench sessions`.
//!
//! `check` is the time of the check alone, for `sessions` different sessions in turn. `layer` is the time that the check adds
//! to a request of an active session with a cached token. `add` is the time to add an entry to a full list, which removes
//! expired entries. Rounds are interleaved and medians compared, so that other load on the machine affects all cases equally.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it prints a table, and panics on errors")]

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
        println!("{:.1}", megabytes(entries.parse().unwrap()));
        return;
    }
    println!(
        "| revoked | MB | add, ns | add, slowest of 1000, ns | sessions | check, active, ns | check, revoked, ns \
         | layer, ns | two threads / one |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for entries in [0, 1000, 200_000, 1_000_000] {
        // In a new process, which has no freed memory to reuse.
        let output = Command::new(env::current_exe().unwrap()).args(["memory", &entries.to_string()]).output().unwrap();
        let megabytes = String::from_utf8(output.stdout).unwrap();
        let issuer = Issuer::with_secret([7; 32]);
        let (add, slowest) = time_to_add(entries);
        let revoked = revoked(&issuer, entries);
        for active in ACTIVE {
            let sessions = Sessions::new(&issuer, revoked.clone(), active);
            let (active_check, revoked_check) = sessions.time_to_check();
            let (layer, threads) = (sessions.time_in_layer(), sessions.two_threads());
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

/// Nanoseconds to add an entry to a full list while as many entries expire: the average, and the slowest of a thousand.
fn time_to_add(entries: usize) -> (f64, f64) {
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
            let start = Instant::now();
            list.revoke_session_at(issuer.origin(), &session, now).unwrap();
            times.push(start.elapsed().as_nanos() as f64);
        }
    }
    times.sort_by(f64::total_cmp);
    let average = times.iter().sum::<f64>() / times.len() as f64;
    (average, times.iter().rev().nth(times.len() / 1000).copied().unwrap_or(f64::NAN))
}

fn megabytes(entries: usize) -> f64 {
    let issuer = Issuer::with_secret([7; 32]);
    let before = resident();
    let revoked = revoked(&issuer, entries);
    let after = resident();
    drop(revoked);
    (after - before) / 1e6
}

struct Sessions {
    revoked: RevokedSessions,
    verifier: better_auth_jwt::Verifier,
    tokens: Vec<String>,
    active: Vec<Arc<Claims>>,
    revoked_claims: Vec<Arc<Claims>>,
}

impl Sessions {
    fn new(issuer: &Issuer, revoked: RevokedSessions, active: usize) -> Self {
        let verifier = issuer.verifier();
        let tokens = || (0..active).map(|_| issuer.token_with_session("ada", &session(issuer))).collect::<Vec<_>>();
        let verify = |tokens: &[String]| -> Vec<_> {
            tokens.iter().map(|token| ready(verifier.verify(token)).unwrap()).collect()
        };
        let (active_tokens, revoked_tokens) = (tokens(), tokens());
        let (active, revoked_claims) = (verify(&active_tokens), verify(&revoked_tokens));
        if !revoked.is_empty() {
            for claims in &revoked_claims {
                revoked.revoke_session(issuer.origin(), claims.session_id().unwrap()).unwrap();
            }
        }
        Self { revoked, verifier, tokens: active_tokens, active, revoked_claims }
    }

    /// Nanoseconds to check an active session, and a revoked one.
    fn time_to_check(&self) -> (f64, f64) {
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
    fn time_in_layer(&self) -> f64 {
        let auth = JwtAuthLayer::new(self.verifier.clone());
        let with_sessions = auth.clone().sessions(self.revoked.clone(), MissingSession::Reject);
        let mut services = [auth, with_sessions].map(|auth| auth.layer(service_fn(respond)));
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

    /// The throughput of checks in two threads, relative to one thread.
    fn two_threads(&self) -> f64 {
        let ratios = (0..5).map(|_| {
            let (first, second) = self.active.split_at(self.active.len() / 2);
            let swapped = [second, first].concat();
            // Enough that starting a thread is negligible.
            let check_all = |claims: &[Arc<Claims>]| (0..50).for_each(|_| self.check(claims));
            let alone = time(|| check_all(&self.active));
            let both = time(|| {
                thread::scope(|scope| {
                    scope.spawn(|| check_all(&self.active));
                    scope.spawn(|| check_all(&swapped));
                });
            });
            2.0 * alone / both
        });
        median(ratios.collect())
    }
}

async fn respond(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

fn request(token: &str) -> Request<()> {
    Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap()
}

/// A random id as long as Better Auth's, from the end of a signature.
fn session(issuer: &Issuer) -> String {
    let token = issuer.logout_token("");
    token[token.len() - 32..].to_owned()
}

/// Nanoseconds for each of [`CALLS`] calls.
fn time(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / CALLS as f64
}

/// The resident memory in bytes, or NaN if it is unknown; a page has 4 KiB.
fn resident() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(f64::NAN) * 4096.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The output of a future that does not wait.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the service never waits"),
    }
}
