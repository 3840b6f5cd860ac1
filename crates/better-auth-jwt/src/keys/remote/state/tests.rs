use super::{Step::*, *};
use crate::keys::KeySet;

const SECOND: Duration = Duration::from_secs(1);
const FRESH: Duration = Duration::from_secs(600);

/// The state machine with a manually advanced clock.
struct Machine {
    state: State,
    now: Instant,
}

fn header(id: &str) -> Header {
    Header::parse(format!(r#"{{"alg":"EdDSA","kid":"{id}"}}"#)).unwrap()
}

fn key_set(ids: &[&str]) -> Arc<KeySet> {
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let key = |id| format!(r#"{{"kid":"{id}","kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
    let keys: Vec<String> = ids.iter().map(key).collect();
    Arc::new(KeySet::from_json(format!(r#"{{"keys":[{}]}}"#, keys.join(","))).unwrap())
}

impl Machine {
    fn new() -> Self {
        let settings = Settings {
            stale_if_error: 24 * 3600 * SECOND,
            search_burst: 3,
            search_interval: 10 * SECOND,
            initial_backoff: SECOND,
            max_backoff: 60 * SECOND,
            timeout: 5 * SECOND,
            ..Settings::default()
        };
        let now = Instant::now();
        Self { state: State::new(settings, 1, now), now }
    }

    /// A state machine that has loaded these keys.
    fn with_keys(ids: &[&str]) -> Self {
        let mut machine = Self::new();
        let Start(fetch) = machine.state.load(machine.now) else { panic!("the first load starts at once") };
        machine.succeed(&fetch, ids);
        machine
    }

    fn miss(&mut self, id: &str) -> Step {
        self.state.key_missing(&header(id), self.now)
    }

    /// The fetch that a missing key starts.
    #[track_caller]
    fn start(&mut self, id: &str) -> Fetch {
        match self.miss(id) {
            Start(fetch) => fetch,
            step => panic!("{step:?}"),
        }
    }

    fn succeed(&mut self, fetch: &Fetch, ids: &[&str]) {
        self.respond(fetch, ids, Duration::ZERO);
    }

    fn respond(&mut self, fetch: &Fetch, ids: &[&str], age: Duration) {
        let keys = key_set(ids);
        let is_unchanged = fetch.current.as_ref().is_some_and(|current| current.keys.is_same(&keys));
        let loaded = Loaded { keys, is_unchanged, etag: None, age, fresh_for: FRESH };
        self.state.succeeded(fetch, loaded, self.now);
    }

    fn fail(&mut self, fetch: &Fetch) {
        self.state.failed(fetch.id, FetchError::Timeout, self.now);
    }

    fn generation(&self) -> u64 {
        self.state.current().unwrap().generation
    }
}

#[test]
fn the_first_load_may_come_from_a_cache_and_is_shared() {
    let mut machine = Machine::new();
    let fetch = machine.start("a");
    assert!(!fetch.bypass_caches && fetch.current.is_none());
    assert!(matches!(machine.miss("b"), Join(_)));
    assert!(matches!(machine.state.load(machine.now), Join(_)));
    machine.succeed(&fetch, &["a"]);
    assert!(matches!(machine.miss("a"), Found));
    assert!(matches!(machine.state.load(machine.now), Found));
}

#[test]
fn a_key_is_reported_missing_only_after_a_search_for_it() {
    let mut machine = Machine::with_keys(&["a"]);
    let search = machine.start("b");
    assert!(search.bypass_caches);
    // Too late for this search.
    assert!(matches!(machine.miss("c"), Join(_)));
    machine.succeed(&search, &["a"]);
    assert!(matches!(machine.miss("b"), NotFound));
    let search = machine.start("c");
    machine.succeed(&search, &["a"]);
    assert!(matches!(machine.miss("c"), NotFound));
}

#[test]
fn a_refresh_through_caches_does_not_count_as_a_search() {
    let mut machine = Machine::with_keys(&["a"]);
    machine.now += FRESH;
    let refresh = machine.state.wake(machine.now).unwrap();
    assert!(!refresh.bypass_caches);
    assert!(matches!(machine.miss("b"), Join(_)));
    machine.succeed(&refresh, &["a"]);
    assert!(machine.start("b").bypass_caches);
}

#[test]
fn a_key_that_arrives_after_the_lookup_is_found() {
    let mut machine = Machine::with_keys(&["a"]);
    let search = machine.start("b");
    machine.succeed(&search, &["a", "b"]);
    assert!(matches!(machine.miss("b"), Found));
}

#[test]
fn a_failed_search_does_not_count_as_a_search() {
    let mut machine = Machine::with_keys(&["a"]);
    let search = machine.start("b");
    machine.fail(&search);
    assert!(matches!(machine.miss("b"), CoolingDown(left) if left <= SECOND));
    machine.now += SECOND;
    let search = machine.start("b");
    machine.succeed(&search, &["a", "b"]);
    assert!(matches!(machine.miss("b"), Found));
    assert_eq!(machine.state.counters.fetch_errors["timeout"], 1);
}

#[test]
fn failed_searches_do_not_count_against_the_rate_limit() {
    let mut machine = Machine::with_keys(&["a"]);
    for n in 0..10 {
        let search = machine.start("b");
        machine.fail(&search);
        assert!(matches!(machine.miss("b"), CoolingDown(_)), "{n}");
        machine.now += 60 * SECOND;
    }
    for id in ["b", "c", "d"] {
        let search = machine.start(id);
        machine.succeed(&search, &["a"]);
    }
    assert!(matches!(machine.miss("e"), CoolingDown(left) if left == 10 * SECOND));
}

#[test]
fn without_keys_a_failure_is_unavailable_until_the_backoff_has_passed() {
    let mut machine = Machine::new();
    let mut tries = 0;
    let end = machine.now + 600 * SECOND;
    while machine.now < end {
        match machine.miss("a") {
            Start(fetch) => {
                tries += 1;
                machine.fail(&fetch);
            }
            Unavailable(left) => machine.now += left,
            step => panic!("{step:?}"),
        }
    }
    // 1 + 2 + 4 + 8 + 16 + 32 s, then one per minute; each may be up to a quarter earlier.
    assert!((15..=20).contains(&tries), "{tries}");
}

#[test]
fn a_refresh_is_due_between_75_and_85_percent_and_keeps_the_generation_of_unchanged_keys() {
    let mut machine = Machine::with_keys(&["a"]);
    let generation = machine.generation();
    machine.now += FRESH * 3 / 4 - SECOND;
    assert!(machine.state.wake(machine.now).is_none());
    machine.now += FRESH / 10 + 2 * SECOND;
    let refresh = machine.state.wake(machine.now).unwrap();
    assert!(machine.state.wake(machine.now).is_none(), "one at a time");
    machine.succeed(&refresh, &["a"]);
    assert_eq!(machine.generation(), generation);
    machine.now += FRESH;
    let refresh = machine.state.wake(machine.now).unwrap();
    machine.succeed(&refresh, &["b"]);
    assert_ne!(machine.generation(), generation);
}

#[test]
fn a_failed_refresh_waits_for_the_backoff_and_a_failed_search_does_not_bring_it_forward() {
    let mut machine = Machine::with_keys(&["a"]);
    let search = machine.start("b");
    machine.fail(&search);
    machine.now += 60 * SECOND;
    assert!(machine.state.wake(machine.now).is_none());
    machine.now += FRESH;
    let refresh = machine.state.wake(machine.now).unwrap();
    machine.fail(&refresh);
    assert!(machine.state.wake(machine.now).is_none());
    machine.now += 2 * SECOND;
    assert!(machine.state.wake(machine.now).is_some());
}

#[test]
fn an_older_set_from_a_cache_does_not_replace_the_result_of_a_search() {
    let mut machine = Machine::with_keys(&["a"]);
    machine.now += 300 * SECOND;
    let search = machine.start("b");
    machine.succeed(&search, &["a", "b"]);
    let generation = machine.generation();
    machine.now += FRESH;
    let refresh = machine.state.wake(machine.now).unwrap();
    machine.respond(&refresh, &["a"], FRESH + SECOND);
    assert!(matches!(machine.miss("b"), Found));
    assert_eq!(machine.generation(), generation);
    machine.now += FRESH;
    let refresh = machine.state.wake(machine.now).unwrap();
    assert!(refresh.bypass_caches, "the next fetch bypasses caches");
    machine.respond(&refresh, &["a"], Duration::ZERO);
    assert!(matches!(machine.miss("b"), NotFound));
}

#[test]
fn the_same_response_from_a_cache_is_not_an_older_set() {
    let mut machine = Machine::with_keys(&["a"]);
    machine.now += FRESH;
    let refresh = machine.state.wake(machine.now).unwrap();
    machine.respond(&refresh, &["a"], FRESH);
    machine.now += FRESH;
    assert!(!machine.state.wake(machine.now).unwrap().bypass_caches);
}

#[test]
fn every_lookup_that_causes_no_fetch_is_counted() {
    let mut machine = Machine::with_keys(&["a"]);
    let suppressed = |machine: &Machine| machine.state.counters.refetches_suppressed;
    for id in ["b", "c", "d"] {
        let search = machine.start(id);
        machine.succeed(&search, &["a"]);
    }
    assert_eq!(suppressed(&machine), 0);
    assert!(matches!(machine.miss("b"), NotFound));
    assert_eq!(suppressed(&machine), 1);
    assert!(matches!(machine.miss("e"), CoolingDown(_)), "the limit is reached");
    assert_eq!(suppressed(&machine), 2);
    machine.now += 10 * SECOND;
    let search = machine.start("e");
    machine.fail(&search);
    assert!(matches!(machine.miss("e"), CoolingDown(_)), "the search has failed");
    assert_eq!(suppressed(&machine), 3);
}

#[test]
fn a_fetch_that_never_finishes_is_abandoned_and_its_result_ignored() {
    let mut machine = Machine::new();
    let lost = machine.start("a");
    machine.now += 6 * SECOND;
    assert!(matches!(machine.miss("a"), Unavailable(_)));
    machine.now += SECOND;
    let fetch = machine.start("a");
    machine.succeed(&lost, &["b"]);
    assert!(matches!(machine.miss("a"), Join(_)), "the other is still in flight");
    machine.succeed(&fetch, &["a"]);
    assert!(matches!(machine.miss("a"), Found));
}

#[test]
fn a_lost_refresh_is_detected_without_a_missing_key() {
    let mut machine = Machine::with_keys(&["a"]);
    machine.now += FRESH;
    assert!(machine.state.wake(machine.now).is_some());
    machine.now = machine.state.wake_at().unwrap();
    assert!(machine.state.wake(machine.now).is_none(), "it backs off first");
    machine.now = machine.state.wake_at().unwrap();
    assert!(machine.state.wake(machine.now).is_some());
}

#[test]
fn invalidated_keys_do_not_come_back() {
    let mut machine = Machine::with_keys(&["a"]);
    let search = machine.start("b");
    machine.state.invalidate();
    assert!(machine.state.current().is_none());
    assert!(matches!(machine.miss("a"), Join(_)));
    machine.succeed(&search, &["a", "b"]);
    assert!(machine.state.current().is_none(), "the response may be older");
    let fetch = machine.start("a");
    assert!(fetch.bypass_caches && fetch.current.is_none());
    assert!(matches!(machine.miss("d"), Join(_)));
    machine.succeed(&fetch, &["c"]);
    assert!(matches!(machine.miss("a"), NotFound), "that was a search for it");
    assert!(matches!(machine.miss("d"), Start(_)), "that search had started before");
}

#[test]
fn keys_are_used_for_a_day_after_the_last_success() {
    let mut machine = Machine::with_keys(&["a"]);
    machine.now += 24 * 3600 * SECOND - SECOND;
    assert!(machine.state.usable(machine.now).is_some());
    machine.now += SECOND;
    assert!(machine.state.usable(machine.now).is_none());
    assert!(matches!(machine.miss("a"), Start(_)));
}

#[test]
fn replaced_keys_are_searched_for_only_if_the_rate_limit_is_unused() {
    let mut machine = Machine::with_keys(&["a"]);
    let search = machine.state.key_maybe_replaced(machine.now).unwrap();
    assert!(search.bypass_caches);
    assert!(machine.state.key_maybe_replaced(machine.now).is_none(), "one at a time");
    machine.succeed(&search, &["a"]);
    assert!(machine.state.key_maybe_replaced(machine.now).is_none());
    for id in ["b", "c"] {
        let search = machine.start(id);
        machine.succeed(&search, &["a"]);
    }
    machine.now += 29 * SECOND;
    assert!(machine.state.key_maybe_replaced(machine.now).is_none());
    machine.now += SECOND;
    assert!(machine.state.key_maybe_replaced(machine.now).is_some());
}

#[test]
fn a_key_of_another_algorithm_or_several_that_fit_are_a_conflict() {
    let mut machine = Machine::with_keys(&["a"]);
    let other = Header::parse(r#"{"alg":"ES256","kid":"a"}"#.to_owned()).unwrap();
    assert!(matches!(machine.state.key_missing(&other, machine.now), Conflict));
}
