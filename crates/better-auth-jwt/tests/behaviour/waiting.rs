//! Requests whose key must be fetched first.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use better_auth_jwt::{
    ErrorKind, JwtAuthLayer, Verifier,
    jws::Header,
    keys::{
        Algorithm, FetchError, JwksRequest, JwksResponse, Key, KeySet, KeySource, Readiness, Refresh, RemoteKeySet,
    },
    test_util::{Issuer, TestClock},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{bearer, request, send};

/// An endpoint with a configurable response, which counts its requests.
#[derive(Clone, Default)]
pub(crate) struct Endpoint {
    fetches: Arc<AtomicUsize>,
    response: Arc<Mutex<Option<Result<JwksResponse, FetchError>>>>,
    /// If set, each fetch waits for a permit.
    gate: Arc<Mutex<Option<Arc<Semaphore>>>>,
    requests: Arc<Mutex<Vec<JwksRequest>>>,
}

impl Endpoint {
    pub(crate) fn publish(&self, keys: &[Value]) {
        self.respond_with(Ok(JwksResponse::new(json!({ "keys": keys }).to_string())));
    }

    pub(crate) fn respond_with(&self, response: Result<JwksResponse, FetchError>) {
        *self.response.lock().unwrap() = Some(response);
    }

    pub(crate) fn block(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(gate.clone());
        gate
    }

    pub(crate) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub(crate) fn etags(&self) -> Vec<Option<String>> {
        self.requests.lock().unwrap().iter().map(|request| request.etag().map(str::to_owned)).collect()
    }

    /// For each request, whether it bypasses caches.
    pub(crate) fn bypasses(&self) -> Vec<bool> {
        self.requests.lock().unwrap().iter().map(JwksRequest::bypass_caches).collect()
    }

    fn keys(&self, clock: &Arc<TestClock>) -> RemoteKeySet {
        let endpoint = self.clone();
        RemoteKeySet::with_fetch(move |request| {
            let endpoint = endpoint.clone();
            async move {
                endpoint.fetches.fetch_add(1, Ordering::SeqCst);
                endpoint.requests.lock().unwrap().push(request);
                let gate = endpoint.gate.lock().unwrap().clone();
                if let Some(gate) = gate {
                    gate.acquire().await.unwrap().forget();
                }
                let response = endpoint.response.lock().unwrap().clone();
                response.unwrap_or(Err(FetchError::Connection("connection refused".to_owned())))
            }
        })
        .clock(clock.clone())
        .build()
        .unwrap()
    }
}

pub(crate) struct Setup {
    pub(crate) issuer: Issuer,
    clock: Arc<TestClock>,
    pub(crate) endpoint: Endpoint,
    pub(crate) keys: RemoteKeySet,
    pub(crate) layer: JwtAuthLayer,
}

pub(crate) fn setup() -> Setup {
    let issuer = Issuer::new();
    let (clock, endpoint) = (issuer.clock(), Endpoint::default());
    let keys = endpoint.keys(&clock);
    let verifier =
        Verifier::builder(keys.clone()).issuer(issuer.origin()).audience(issuer.origin()).unwrap().clock(clock.clone());
    Setup { layer: JwtAuthLayer::new(verifier), issuer, clock, endpoint, keys }
}

impl Setup {
    /// Status and reason for a token.
    async fn get(&self, token: &str) -> (u16, Option<ErrorKind>) {
        let response = send(&self.layer, request("/", &bearer(token))).await;
        (response.status().as_u16(), response.extensions().get().copied())
    }

    async fn accepted(&self) -> bool {
        self.get(&self.issuer.token("ada")).await.0 == 200
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Waits for background fetches.
    pub(crate) async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn the_first_token_fetches_the_keys_and_the_next_does_not() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert!(setup.accepted().await);
    assert!(setup.accepted().await);
    assert_eq!(setup.endpoint.fetches(), 1);
}

#[tokio::test]
async fn requests_without_keys_share_one_fetch_and_cancelling_one_does_not_affect_the_others() {
    let setup = Arc::new(setup());
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    let gate = setup.endpoint.block();
    let start = |setup: &Arc<Setup>| {
        let setup = setup.clone();
        tokio::spawn(async move { setup.accepted().await })
    };
    let leader = start(&setup);
    setup.settle().await;
    let others: Vec<_> = (0..200).map(|_| start(&setup)).collect();
    setup.settle().await;
    leader.abort();
    setup.settle().await;
    gate.add_permits(1);
    for other in others {
        assert!(other.await.unwrap());
    }
    assert_eq!(setup.endpoint.fetches(), 1);
}

#[tokio::test]
async fn without_keys_requests_get_503_with_retry_after() {
    let setup = setup();
    let response = send(&setup.layer, request("/", &bearer(&setup.issuer.token("ada")))).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
    assert!(response.headers().get("www-authenticate").is_none());
    // Until then there is no other fetch.
    assert_eq!(setup.get(&setup.issuer.token("ada")).await.0, 503);
    assert_eq!(setup.endpoint.fetches(), 1);
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    setup.advance(1);
    assert!(setup.accepted().await);
    assert_eq!(setup.endpoint.fetches(), 2);
}

#[tokio::test]
async fn a_malformed_request_gets_its_own_status_while_keys_are_unavailable() {
    let setup = setup();
    let token = format!("{}\u{e9}", setup.issuer.token("ada"));
    for _ in 0..2 {
        assert_eq!(setup.get(&token).await, (400, Some(ErrorKind::InvalidRequest)));
    }
}

#[tokio::test]
async fn failures_back_off_up_to_a_minute_however_many_requests_come() {
    let setup = setup();
    for second in 0..600 {
        assert_eq!(setup.get(&setup.issuer.token("ada")).await.0, 503, "after {second} s");
        setup.advance(1);
    }
    // 1 + 2 + 4 + 8 + 16 + 32 s, then one per minute; because of jitter, each may be up to a quarter earlier.
    assert!((14..=20).contains(&setup.endpoint.fetches()), "{}", setup.endpoint.fetches());
}

#[tokio::test]
async fn retry_after_of_the_endpoint_is_honoured_up_to_five_minutes() {
    for (seconds, honoured) in [(100, 100), (100_000, 300)] {
        let setup = setup();
        setup
            .endpoint
            .respond_with(Err(FetchError::Status { status: 429, retry_after: Some(Duration::from_secs(seconds)) }));
        assert_eq!(setup.get(&setup.issuer.token("ada")).await.0, 503);
        setup.endpoint.publish(&[setup.issuer.jwk()]);
        setup.advance(honoured - 1);
        assert!(!setup.accepted().await);
        setup.advance(1);
        assert!(setup.accepted().await);
    }
}

#[tokio::test]
async fn the_size_limit_applies_to_custom_fetch_functions() {
    let setup = setup();
    let padded = format!("{}{}", " ".repeat(256 * 1024 + 1 - setup.issuer.jwks().len()), setup.issuer.jwks());
    setup.endpoint.respond_with(Ok(JwksResponse::new(padded.clone())));
    assert!(!setup.accepted().await);
    setup.advance(1);
    setup.endpoint.respond_with(Ok(JwksResponse::new(padded[1..].to_owned())));
    assert!(setup.accepted().await);
}

#[test]
fn nothing_that_is_printed_names_a_key() {
    let setup = setup();
    for printed in [
        format!("{:?}", setup.keys),
        format!("{:?}", setup.layer),
        format!("{:?}", RemoteKeySet::with_fetch(async |_| Err(FetchError::Timeout))),
        format!("{:?}", Verifier::builder(setup.keys.clone())),
        format!("{:?}", Verifier::builder(setup.keys.clone()).insecure_any_issuer()),
    ] {
        assert!(printed.starts_with(|first: char| first.is_ascii_uppercase()) && !printed.contains("kid"), "{printed}");
    }
}

#[tokio::test]
async fn tokens_that_no_key_could_verify_cause_no_fetch() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert!(setup.accepted().await);
    let claims = setup.issuer.claims("ada");
    for header in [
        json!({"alg": "HS256", "kid": "new"}),
        json!({"alg": "none", "kid": "new"}),
        json!({"alg": "EdDSA", "kid": "k".repeat(257)}),
        json!({"alg": "EdDSA", "kid": 1}),
        json!({"alg": "EdDSA", "kid": "new", "crit": ["x"]}),
        json!({"alg": "EdDSA", "kid": "new", "typ": "logout+jwt"}),
    ] {
        assert_eq!(setup.get(&setup.issuer.sign_with_header(&header, &claims)).await.0, 401, "{header}");
        setup.settle().await;
    }
    assert_eq!(setup.endpoint.fetches(), 1);
}

#[tokio::test]
async fn a_known_kid_with_another_algorithm_is_rejected_without_waiting() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert!(setup.accepted().await);
    let header = json!({"alg": "ES256", "kid": setup.issuer.header()["kid"]});
    let token = setup.issuer.sign_with_header(&header, &setup.issuer.claims("ada"));
    let gate = setup.endpoint.block();
    for _ in 0..10 {
        assert_eq!(setup.get(&token).await, (401, Some(ErrorKind::UnknownKey)));
        setup.settle().await;
    }
    assert_eq!(setup.endpoint.fetches(), 2, "the key may have been replaced");
    gate.add_permits(1);
}

#[tokio::test]
async fn a_token_without_a_kid_waits_for_a_fetch_only_if_no_key_has_its_algorithm() {
    let (setup, second) = (setup(), Issuer::new());
    setup.endpoint.publish(&[setup.issuer.jwk(), second.jwk()]);
    assert!(setup.accepted().await);
    let without_kid =
        |issuer: &Issuer, alg: &str| issuer.sign_with_header(&json!({ "alg": alg }), &issuer.claims("ada"));
    assert_eq!(setup.get(&without_kid(&second, "EdDSA")).await.0, 401, "two keys fit");
    setup.settle().await;
    assert_eq!(setup.endpoint.fetches(), 2, "in the background");
    let newcomer = Issuer::with_algorithm(Algorithm::ES256);
    setup.endpoint.publish(&[setup.issuer.jwk(), newcomer.jwk()]);
    assert_eq!(setup.get(&without_kid(&newcomer, "ES256")).await.0, 200);
    assert_eq!(setup.endpoint.fetches(), 3);
}

#[tokio::test]
async fn the_key_set_is_refreshed_before_it_expires_and_no_request_waits() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert!(setup.accepted().await);
    setup.advance(449);
    assert!(setup.accepted().await);
    setup.settle().await;
    assert_eq!(setup.endpoint.fetches(), 1, "three quarters of ten minutes have not passed");
    let gate = setup.endpoint.block();
    setup.advance(62);
    for _ in 0..10 {
        assert!(setup.accepted().await, "a token of the known key is accepted during the fetch");
    }
    setup.settle().await;
    assert_eq!(setup.endpoint.fetches(), 2);
    gate.add_permits(1);
    setup.settle().await;
    assert_eq!(setup.keys.status().age, Some(Duration::ZERO));
}

#[tokio::test]
async fn a_removed_key_is_rejected_after_the_next_refresh() {
    let setup = setup();
    let old = Issuer::new();
    setup.endpoint.publish(&[setup.issuer.jwk(), old.jwk()]);
    assert_eq!(setup.get(&old.token("ada")).await.0, 200);
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    setup.advance(520);
    assert!(setup.accepted().await);
    setup.settle().await;
    assert_eq!(setup.get(&old.token("ada")).await.0, 401);
    assert!(setup.accepted().await);
}

#[tokio::test]
async fn keys_stay_in_use_for_a_day_while_the_issuer_is_unavailable() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert!(setup.accepted().await);
    setup.endpoint.respond_with(Err(FetchError::Connection("gone".to_owned())));
    assert_eq!(setup.keys.status().readiness, Readiness::Ready);
    for hour in 0..23 {
        setup.advance(3600);
        let mut claims = setup.issuer.claims("ada");
        claims["exp"] = json!(claims["exp"].as_u64().unwrap() + 3600);
        assert_eq!(setup.get(&setup.issuer.sign(&claims)).await.0, 200, "after {hour} h");
        setup.settle().await;
        assert_eq!(setup.keys.status().readiness, Readiness::Stale);
    }
    setup.advance(3600);
    assert_eq!(setup.get(&setup.issuer.token("ada")).await.0, 503);
    assert_eq!(setup.keys.status().readiness, Readiness::Unavailable);
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    setup.advance(60);
    assert!(setup.accepted().await);
}

#[tokio::test]
async fn an_invalid_response_never_replaces_a_valid_key_set() {
    for bad in [
        JwksResponse::new("{\"keys\":[]}"),
        JwksResponse::new("{}"),
        JwksResponse::new("<html>"),
        JwksResponse::new("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"),
        JwksResponse::new("{\"keys\":[{\"kty\""),
        JwksResponse::new(vec![b' '; 300 * 1024]),
    ] {
        let setup = setup();
        setup.endpoint.publish(&[setup.issuer.jwk()]);
        assert!(setup.accepted().await);
        setup.endpoint.respond_with(Ok(bad));
        setup.advance(590);
        assert!(setup.accepted().await);
        setup.settle().await;
        assert_eq!(setup.endpoint.fetches(), 2);
        assert!(setup.accepted().await);
        assert_eq!(setup.keys.status().fetch_errors.values().sum::<u64>(), 1);
    }
}

#[tokio::test]
async fn not_modified_refreshes_the_current_set() {
    let setup = setup();
    setup.endpoint.respond_with(Ok(JwksResponse::new(setup.issuer.jwks()).etag("\"v1\"")));
    assert!(setup.accepted().await);
    setup.endpoint.respond_with(Ok(JwksResponse::not_modified()));
    for _ in 0..3 {
        setup.advance(590);
        assert!(setup.accepted().await);
        setup.settle().await;
    }
    assert_eq!(setup.keys.status().readiness, Readiness::Ready);
    assert_eq!(
        setup.endpoint.etags(),
        [None, Some("\"v1\"".to_owned()), Some("\"v1\"".to_owned()), Some("\"v1\"".to_owned())]
    );
}

#[tokio::test]
async fn not_modified_is_a_failure_unless_the_request_was_conditional() {
    let setup = setup();
    setup.endpoint.respond_with(Ok(JwksResponse::not_modified()));
    assert_eq!(setup.get(&setup.issuer.token("ada")).await.0, 503, "no set is stored");
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    setup.advance(1);
    assert!(setup.accepted().await);
    setup.endpoint.respond_with(Ok(JwksResponse::not_modified()));
    setup.advance(590);
    assert!(setup.accepted().await);
    setup.settle().await;
    assert_eq!(setup.keys.status().fetch_errors["status"], 2, "the stored set has no ETag");
    setup.endpoint.respond_with(Ok(JwksResponse::new(setup.issuer.jwks()).etag("\"v1\"")));
    setup.advance(1);
    assert!(setup.accepted().await);
    setup.settle().await;
    setup.endpoint.respond_with(Ok(JwksResponse::not_modified()));
    assert_eq!(setup.get(&Issuer::new().token("ada")).await.0, 503, "a search is unconditional");
    assert_eq!(setup.keys.status().fetch_errors["status"], 3);
}

#[tokio::test]
async fn max_age_is_honoured_between_a_minute_and_a_day() {
    for (max_age, fresh) in [(0, 60), (300, 300), (1_000_000_000_000, 24 * 3600)] {
        let setup = setup();
        setup.endpoint.respond_with(Ok(JwksResponse::new(setup.issuer.jwks()).max_age(Duration::from_secs(max_age))));
        setup.keys.load().await.unwrap();
        setup.advance(fresh * 74 / 100);
        assert!(setup.accepted().await);
        setup.settle().await;
        assert_eq!(setup.endpoint.fetches(), 1, "{max_age}");
        setup.advance(fresh * 12 / 100);
        let mut claims = setup.issuer.claims("ada");
        claims["iat"] = json!(1);
        assert_eq!(setup.get(&setup.issuer.sign(&claims)).await.0, 200);
        setup.settle().await;
        assert_eq!(setup.endpoint.fetches(), 2, "{max_age}");
    }
}

#[tokio::test]
async fn loading_keys_at_start_up_succeeds_or_returns_the_reason() {
    let setup = setup();
    assert_eq!(setup.keys.load().await, Err(FetchError::Connection("connection refused".to_owned())));
    assert!(matches!(setup.keys.load().await, Err(FetchError::Backoff(_))));
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    setup.advance(1);
    assert_eq!(setup.keys.load().await, Ok(()));
    assert_eq!(setup.keys.load().await, Ok(()));
    assert_eq!(setup.endpoint.fetches(), 2);
}

#[tokio::test]
async fn invalidate_removes_a_compromised_key_at_once() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert!(setup.accepted().await);
    let replacement = Issuer::new();
    setup.endpoint.publish(&[replacement.jwk()]);
    setup.keys.invalidate();
    assert!(!setup.accepted().await);
    assert_eq!(setup.get(&replacement.token("ada")).await.0, 200);
    assert_eq!(setup.endpoint.fetches(), 2);
}

#[tokio::test]
async fn a_fetch_in_flight_does_not_restore_invalidated_keys() {
    let setup = Arc::new(setup());
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    let gate = setup.endpoint.block();
    let waiting = tokio::spawn({
        let setup = setup.clone();
        async move { setup.accepted().await }
    });
    setup.settle().await;
    setup.keys.invalidate();
    gate.add_permits(1);
    setup.settle().await;
    assert_eq!(setup.keys.status().key_count, 0);
    assert_eq!(setup.endpoint.fetches(), 2, "the request starts another fetch");
    gate.add_permits(1);
    assert!(waiting.await.unwrap());
}

#[tokio::test]
async fn a_token_that_arrives_during_an_older_fetch_gets_a_search_of_its_own() {
    let setup = Arc::new(setup());
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert!(setup.accepted().await);
    let rotated = Issuer::new().with_key_id("rotated");
    let gate = setup.endpoint.block();
    setup.advance(520);
    assert!(setup.accepted().await, "starts a refresh, which hangs");
    setup.settle().await;
    let waiting = tokio::spawn({
        let (setup, token) = (setup.clone(), rotated.token("ada"));
        async move { setup.get(&token).await }
    });
    setup.settle().await;
    gate.add_permits(1);
    setup.settle().await;
    assert_eq!(setup.endpoint.fetches(), 3, "the second is for this token");
    setup.endpoint.publish(&[setup.issuer.jwk(), rotated.jwk()]);
    gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_never_finishes_times_out() {
    let setup = setup();
    setup.endpoint.block();
    let start = tokio::time::Instant::now();
    assert_eq!(setup.get(&setup.issuer.token("ada")).await, (503, Some(ErrorKind::KeysUnavailable)));
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(setup.keys.status().fetch_errors.get("timeout"), Some(&1));
}

#[test]
fn a_key_set_still_works_after_the_runtime_of_its_fetch_was_dropped() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    setup.endpoint.block();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    first.block_on(async {
        tokio::select! {
            _ = setup.accepted() => panic!("the fetch hangs"),
            () = setup.settle() => {}
        }
    });
    drop(first);
    *setup.endpoint.gate.lock().unwrap() = None;
    setup.advance(1);
    assert!(runtime().block_on(setup.accepted()));
}

/// A key source without keys that always asks callers to wait.
struct Promises(Arc<AtomicUsize>);

impl KeySource for Promises {
    fn supports(&self, _: Algorithm) -> bool {
        true
    }

    fn find(&self, _: &Header) -> Option<Arc<Key>> {
        None
    }

    fn refresh(&self, _: &Header) -> Refresh {
        self.0.fetch_add(1, Ordering::SeqCst);
        Refresh::Pending(Box::pin(tokio::task::yield_now()))
    }
}

#[tokio::test]
async fn a_request_does_not_wait_forever_for_a_key_source_that_never_finishes() {
    let issuer = Issuer::new();
    let refreshes = Arc::new(AtomicUsize::new(0));
    let verifier =
        Verifier::builder(Promises(refreshes.clone())).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
    let response = send(&JwtAuthLayer::new(verifier.clone()), request("/", &bearer(&issuer.token("ada")))).await;
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(refreshes.swap(0, Ordering::SeqCst), 3, "waited for two fetches, and no third");
    let error = verifier.verify(&issuer.token("ada")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::KeysUnavailable, Some(Duration::from_secs(1))));
    assert_eq!(refreshes.load(Ordering::SeqCst), 3);
}

/// A key source whose key arrives directly after the first lookup, from a fetch that another request has started.
struct ArrivesInBetween {
    keys: KeySet,
    lookups: AtomicUsize,
}

impl KeySource for ArrivesInBetween {
    fn supports(&self, _: Algorithm) -> bool {
        true
    }

    fn find(&self, header: &Header) -> Option<Arc<Key>> {
        let is_first = self.lookups.fetch_add(1, Ordering::SeqCst) == 0;
        if is_first { None } else { self.keys.find(header) }
    }

    fn refresh(&self, _: &Header) -> Refresh {
        Refresh::Pending(Box::pin(async {}))
    }
}

#[tokio::test]
async fn a_key_that_arrives_directly_after_it_was_looked_up_is_used() {
    let issuer = Issuer::new();
    let keys = ArrivesInBetween { keys: KeySet::from_json(issuer.jwks()).unwrap(), lookups: AtomicUsize::new(0) };
    let verifier = Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
    let response = send(&JwtAuthLayer::new(verifier), request("/", &bearer(&issuer.token("ada")))).await;
    assert_eq!((response.status().as_u16(), response.extensions().get::<ErrorKind>()), (200, None));
}

/// Returns a key of another algorithm than the token has.
struct Careless(KeySet);

impl KeySource for Careless {
    fn supports(&self, _: Algorithm) -> bool {
        true
    }

    fn find(&self, _: &Header) -> Option<Arc<Key>> {
        self.0.find(&Header::parse(r#"{"alg":"EdDSA"}"#.to_owned()).unwrap())
    }
}

#[tokio::test]
async fn a_key_of_another_algorithm_from_a_key_source_is_not_used() {
    let issuer = Issuer::new();
    let verifier = Verifier::builder(Careless(KeySet::from_json(issuer.jwks()).unwrap()))
        .insecure_any_issuer()
        .insecure_any_audience()
        .unwrap();
    assert!(verifier.verify(&issuer.token("ada")).await.is_ok());
    let token = issuer.sign_with_header(&json!({"alg": "Ed25519"}), &issuer.claims("ada"));
    assert_eq!(verifier.verify(&token).await.unwrap_err().kind(), ErrorKind::UnknownKey);
}

#[tokio::test]
async fn a_verifier_is_as_ready_as_the_best_of_its_sources() {
    let setup = setup();
    let remote =
        || Verifier::builder(setup.keys.clone()).issuer(setup.issuer.origin()).audience(setup.issuer.origin()).unwrap();
    assert_eq!(remote().readiness(), Readiness::Unavailable);
    assert_eq!(remote().or(Issuer::with_secret([7; 32]).verifier()).readiness(), Readiness::Ready);
    setup.settle().await;
    assert_eq!(setup.endpoint.fetches(), 1, "the first request starts a fetch");
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    setup.advance(1);
    assert_eq!(remote().readiness(), Readiness::Unavailable);
    setup.settle().await;
    assert_eq!(remote().readiness(), Readiness::Ready);
}

#[test]
fn outside_a_runtime_nothing_panics() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    let now =
        |future: Pin<Box<dyn Future<Output = bool> + '_>>| pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(now(Box::pin(async { setup.keys.load().await.is_ok() })), Poll::Ready(false));
    assert_eq!(now(Box::pin(async { setup.get(&setup.issuer.token("ada")).await.0 == 503 })), Poll::Ready(true));
    assert_eq!(setup.keys.readiness(), Readiness::Unavailable);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(setup.keys.load()), Ok(()));
    setup.advance(700);
    let late = {
        let mut claims = setup.issuer.claims("ada");
        claims["iat"] = json!(1);
        setup.issuer.sign(&claims)
    };
    assert_eq!(now(Box::pin(async { setup.get(&late).await.0 == 200 })), Poll::Ready(true), "stale keys are used");
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs a function in another thread, because it may hang.
#[track_caller]
fn assert_returns(what: &str, action: impl FnOnce() + Send + 'static) {
    let (done, waiting) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        action();
        let _ = done.send(());
    });
    assert!(waiting.recv_timeout(Duration::from_secs(20)).is_ok(), "{what} hangs");
}

#[test]
fn a_lookup_on_a_runtime_that_has_shut_down_returns() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    let gone = current_thread();
    let handle = gone.handle().clone();
    drop(gone);
    let keys = setup.keys.clone();
    assert_returns("readiness()", move || {
        let _inside = handle.enter();
        assert_eq!(keys.readiness(), Readiness::Unavailable);
    });
    setup.advance(1);
    assert!(current_thread().block_on(setup.accepted()), "another runtime can fetch");
}

/// Sets a flag when dropped.
struct Dropped(Arc<std::sync::atomic::AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_runtime_shuts_down_while_a_task_verifies_its_first_token() {
    let setup = setup();
    setup.endpoint.publish(&[setup.issuer.jwk()]);
    assert_returns("shutting down", move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (started, has_started) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            started.send(()).unwrap();
            // Without an await, so that the task still runs when the runtime no longer accepts new ones.
            loop {
                let closed = Arc::new(std::sync::atomic::AtomicBool::new(false));
                let probe = Dropped(closed.clone());
                tokio::spawn(async move {
                    let _probe = probe;
                    std::future::pending::<()>().await;
                });
                if closed.load(Ordering::SeqCst) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            setup.accepted().await
        });
        has_started.recv().unwrap();
        drop(runtime);
    });
}

#[test]
fn a_request_does_not_wait_forever_for_a_fetch_that_is_not_polled() {
    let issuer = Issuer::new();
    let jwks = issuer.jwks();
    let keys = RemoteKeySet::with_fetch(move |_| {
        let jwks = jwks.clone();
        async move { Ok(JwksResponse::new(jwks)) }
    });
    let keys = keys.timeout(Duration::from_millis(100)).build().unwrap();
    let undriven = current_thread();
    {
        let _inside = undriven.enter();
        assert_eq!(keys.readiness(), Readiness::Unavailable, "the fetch belongs to this runtime now");
    }
    let verifier = Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
    assert_returns("verify()", move || {
        current_thread().block_on(async {
            let error = verifier.verify(&issuer.token("ada")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
            while verifier.verify(&issuer.token("ada")).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    });
    drop(undriven);
}

#[tokio::test]
async fn extreme_settings_are_limited_or_rejected() {
    let issuer = Issuer::new();
    let jwks = issuer.jwks();
    let builder = || {
        let jwks = jwks.clone();
        RemoteKeySet::with_fetch(move |_| {
            let jwks = jwks.clone();
            async move { Ok(JwksResponse::new(jwks).max_age(Duration::MAX)) }
        })
    };
    let (max, zero) = (Duration::MAX, Duration::ZERO);
    for (n, keys) in [
        builder().default_max_age(max),
        builder().max_age_bounds(max, max),
        builder().stale_if_error(max),
        builder().refetch_limit(u32::MAX, max),
        builder().backoff(max, max),
        builder().timeout(max),
        builder().default_max_age(zero),
        builder().max_age_bounds(zero, zero),
        builder().refetch_limit(1, zero),
        builder().backoff(zero, zero),
    ]
    .into_iter()
    .enumerate()
    {
        let keys = keys.build().unwrap();
        let verifier = Verifier::builder(keys.clone()).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
        assert!(verifier.verify(&issuer.token("ada")).await.is_ok(), "{n}");
        assert!(verifier.verify(&Issuer::new().token("ada")).await.is_err(), "{n}");
        assert_eq!(keys.status().last_error, None, "{n}");
    }
    for (n, keys) in [
        builder().timeout(zero),
        builder().max_body_size(0),
        builder().refetch_limit(0, max),
        builder().max_age_bounds(max, zero),
        builder().backoff(max, zero),
        builder().default_rsa_algorithm(Algorithm::EdDSA),
        builder().allow_http(),
        builder().header("a", "b"),
        builder().root_certificates(""),
        builder().client(reqwest::Client::builder().tls_certs_only([]).build().unwrap()),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(keys.build().is_err(), "{n}");
    }
}
