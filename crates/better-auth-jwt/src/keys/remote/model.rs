//! Checks the lock around the state, and waiting requests, in many interleavings of threads.
//!
//! Run it with `RUSTFLAGS="--cfg shuttle" cargo test -p better-auth-jwt --lib --features jwks --target-dir target/shuttle model`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use shuttle::{
    future::block_on,
    rand::{Rng, thread_rng},
    sync::Mutex,
    thread,
};

use super::{
    FetchError, RemoteKeySet,
    fetch::RunningFetch,
    shared::Shared,
    snapshot::Loaded,
    state::{State, Step},
};
use crate::{
    clock::Clock,
    jws::Header,
    keys::{KeySet, KeySource},
};

/// A clock that stands still: retries after a backoff are not part of the model.
struct FixedClock(Instant);

impl Clock for FixedClock {
    fn unix_time(&self) -> u64 {
        0
    }

    fn instant(&self) -> Instant {
        self.0
    }
}

/// An issuer, and what has happened, in this order.
#[derive(Default)]
struct World {
    published: Vec<&'static str>,
    events: Vec<Event>,
    fetches: Vec<thread::JoinHandle<()>>,
}

#[derive(Debug, PartialEq)]
enum Event {
    /// A request with this `kid` has arrived.
    Arrived(&'static str),
    /// The issuer has published this key.
    Published(&'static str),
    /// A fetch that bypassed caches found these keys.
    Searched(Vec<&'static str>),
}

fn key_set(ids: &[&str]) -> Arc<KeySet> {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let key = |id| format!(r#"{{"kid":"{id}","kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
    let keys: Vec<String> = ids.iter().map(key).collect();
    Arc::new(KeySet::from_json(format!(r#"{{"keys":[{}]}}"#, keys.join(","))).unwrap())
}

/// Runs a fetch: it succeeds, fails, or its runtime is shut down.
fn run(mut running: RunningFetch, world: &Mutex<World>) {
    let result = thread_rng().gen_range(0..4);
    if result == 0 {
        return;
    }
    if result == 1 {
        running.outcome = Some(Err(FetchError::Timeout));
        return;
    }
    let ids = {
        let mut world = world.lock().unwrap();
        let ids = world.published.clone();
        if running.fetch.bypass_caches {
            world.events.push(Event::Searched(ids.clone()));
        }
        ids
    };
    thread::yield_now();
    let keys = key_set(&ids);
    let is_unchanged = running.fetch.current.as_ref().is_some_and(|current| current.keys.is_same(&keys));
    let (age, fresh_for) = (Duration::ZERO, Duration::from_secs(600));
    running.outcome = Some(Ok(Loaded { keys, is_unchanged, etag: None, age, fresh_for }));
}

/// A request with this `kid`. As in `Verifier::wait_for_keys`, it waits for at most two fetches.
fn request(shared: &Arc<Shared>, world: &Arc<Mutex<World>>, id: &'static str) {
    world.lock().unwrap().events.push(Event::Arrived(id));
    let header = Header::parse(format!(r#"{{"alg":"EdDSA","kid":"{id}"}}"#)).unwrap();
    for _ in 0..3 {
        let found = shared.read(|snapshot| snapshot.keys.find(&header), || {}).flatten();
        if found.is_some() {
            assert!(world.lock().unwrap().published.contains(&id));
            return;
        }
        let mut completed = match shared.with_state(|state, now| state.key_missing(&header, now)) {
            Step::Start(fetch) => {
                let completed = fetch.completed.subscribe();
                let running = RunningFetch { shared: shared.clone(), fetch, outcome: None };
                let fetching = world.clone();
                let fetching = thread::spawn(move || run(running, &fetching));
                world.lock().unwrap().fetches.push(fetching);
                completed
            }
            Step::Join(completed) => completed,
            Step::NotFound => return assert_not_found(&world.lock().unwrap(), id),
            Step::Found => continue,
            Step::CoolingDown(_) | Step::Unavailable(_) => return,
            step @ Step::Conflict => panic!("{step:?}"),
        };
        // If nothing wakes this thread, the checker reports a deadlock.
        _ = block_on(completed.changed());
    }
}

/// The rule: a search that started after the first request for the key did not find it.
fn assert_not_found(world: &World, id: &'static str) {
    let arrived = world.events.iter().position(|event| *event == Event::Arrived(id)).unwrap();
    let search = |event: &Event| matches!(event, Event::Searched(ids) if !ids.contains(&id));
    assert!(world.events[arrived..].iter().any(search), "{id}: {:?}", world.events);
    let published = world.events[..arrived].iter().any(|event| *event == Event::Published(id));
    assert!(!published, "{id} was published before: {:?}", world.events);
}

fn model() {
    let keys = RemoteKeySet::with_fetch(async |_| Err(FetchError::Timeout)).clock(Arc::new(FixedClock(Instant::now())));
    let shared = keys.build().unwrap().shared;
    let world = Arc::new(Mutex::new(World { published: vec!["old"], ..World::default() }));
    let mut threads: Vec<_> = ["old", "new", "new", "forged", "old"]
        .into_iter()
        .map(|id| {
            let (shared, world) = (shared.clone(), world.clone());
            thread::spawn(move || request(&shared, &world, id))
        })
        .collect();
    threads.push({
        let world = world.clone();
        thread::spawn(move || {
            let mut world = world.lock().unwrap();
            world.published.push("new");
            world.events.push(Event::Published("new"));
        })
    });
    if thread_rng().gen_bool(0.2) {
        let shared = shared.clone();
        threads.push(thread::spawn(move || shared.change(|state: &mut State, _| state.invalidate())));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let fetches = std::mem::take(&mut world.lock().unwrap().fetches);
    for fetch in fetches {
        fetch.join().unwrap();
    }
    shared.with_state(|state, _| assert!(state.is_idle(), "every fetch has finished"));
}

#[test]
fn every_request_finishes_and_is_rejected_only_after_a_search_that_started_later() {
    shuttle::check_random(model, 5_000);
    shuttle::check_pct(model, 5_000, 3);
}
