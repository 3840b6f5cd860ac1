//! Cached tokens.

use std::{
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use better_auth_jwt::{
    Authenticated, Claims, Clock, ErrorKind, JwtAuthLayer, PathTemplate, Verifier,
    jws::Header,
    keys::{Algorithm, JwksResponse, Key, KeySet, KeySource, RemoteKeySet, SharedSecret},
    test_util::Issuer,
};
use http::Request;
use serde_json::json;
use tower::{Layer, Service};

use crate::{bearer, request, send};

/// Keys that count lookups and have a generation.
#[derive(Clone)]
struct Counted {
    keys: Arc<KeySet>,
    lookups: Arc<AtomicUsize>,
    generation: Arc<AtomicU64>,
}

impl Counted {
    fn of(issuer: &Issuer) -> Self {
        Self {
            keys: Arc::new(KeySet::from_json(issuer.jwks()).unwrap()),
            lookups: Arc::default(),
            generation: Arc::default(),
        }
    }

    fn lookups(&self) -> usize {
        self.lookups.load(Ordering::Relaxed)
    }
}

impl KeySource for Counted {
    fn supports(&self, algorithm: Algorithm) -> bool {
        self.keys.supports(algorithm)
    }

    fn find(&self, header: &Header) -> Option<Arc<Key>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        self.keys.find(header)
    }

    fn generation(&self) -> Option<u64> {
        Some(self.generation.load(Ordering::Relaxed))
    }
}

/// The same keys without a generation.
struct WithoutGeneration(Counted);

impl KeySource for WithoutGeneration {
    fn supports(&self, algorithm: Algorithm) -> bool {
        self.0.supports(algorithm)
    }

    fn find(&self, header: &Header) -> Option<Arc<Key>> {
        self.0.find(header)
    }
}

fn verifier(issuer: &Issuer, keys: impl KeySource) -> Verifier {
    Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap().clock(issuer.clock())
}

async fn outcome(layer: &JwtAuthLayer, path: &str, token: &str) -> Option<ErrorKind> {
    send(layer, request(path, &bearer(token))).await.extensions().get().copied()
}

#[tokio::test]
async fn a_cached_token_needs_no_key() {
    let issuer = Issuer::new();
    let keys = Counted::of(&issuer);
    let layer = JwtAuthLayer::new(verifier(&issuer, keys.clone()));
    let (ada, bob) = (issuer.token("ada"), issuer.token("bob"));
    for _ in 0..3 {
        for (token, user) in [(&ada, "ada"), (&bob, "bob")] {
            assert_eq!(send(&layer, request("/", &bearer(token))).await.body(), user);
        }
    }
    assert_eq!(keys.lookups(), 2);
    assert_eq!(outcome(&layer.clone().optional(), "/", &ada).await, None);
    assert_eq!(keys.lookups(), 2, "clones of a layer share its cache");
}

#[tokio::test]
async fn path_and_rules_are_checked_for_a_cached_token() {
    let issuer = Issuer::new();
    let banned = Arc::new(AtomicBool::new(false));
    let layer = JwtAuthLayer::new(issuer.verifier())
        .match_user(PathTemplate::new("/api/{user_id}/*").unwrap())
        .require("rule", {
            let banned = banned.clone();
            move |_: &Claims| !banned.load(Ordering::Relaxed)
        });
    let token = issuer.token("ada");
    assert_eq!(outcome(&layer, "/api/ada/tasks", &token).await, None);
    assert_eq!(outcome(&layer, "/api/bob/tasks", &token).await, Some(ErrorKind::UserMismatch));
    assert_eq!(outcome(&layer, "/api/ada%2f/tasks", &token).await, Some(ErrorKind::InvalidPath));
    assert_eq!(outcome(&layer, "/other", &token).await, Some(ErrorKind::MissingPathValue));
    banned.store(true, Ordering::Relaxed);
    assert_eq!(outcome(&layer, "/api/ada/tasks", &token).await, Some(ErrorKind::Forbidden));
}

#[tokio::test]
async fn times_are_checked_for_a_cached_token() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier());
    let aged = JwtAuthLayer::new(issuer.verifier().max_age(Duration::from_secs(60)));
    let token = issuer.token("ada");
    for (passed, whole, young) in [
        (0, None, None),
        (89, None, None),
        (1, None, Some(ErrorKind::MaxAgeExceeded)),
        (839, None, Some(ErrorKind::MaxAgeExceeded)),
        (1, Some(ErrorKind::Expired), Some(ErrorKind::Expired)),
    ] {
        issuer.clock().advance(Duration::from_secs(passed));
        assert_eq!(outcome(&layer, "/", &token).await, whole);
        assert_eq!(outcome(&aged, "/", &token).await, young);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_takes_effect() {
    struct Adjustable(AtomicU64);
    impl Clock for Adjustable {
        fn unix_time(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }
    let issuer = Issuer::new();
    let now = issuer.clock().unix_time();
    let clock = Arc::new(Adjustable(AtomicU64::new(now)));
    let layer = JwtAuthLayer::new(issuer.verifier().clock(clock.clone()));
    let mut claims = issuer.claims("ada");
    (claims["nbf"], claims["iat"]) = (json!(now), json!(now - 100));
    let token = issuer.sign(&claims);
    for (time, kind) in [(now, None), (now - 30, None), (now - 31, Some(ErrorKind::NotYetValid)), (now, None)] {
        clock.0.store(time, Ordering::Relaxed);
        assert_eq!(outcome(&layer, "/", &token).await, kind);
    }
}

#[tokio::test]
async fn a_cached_token_is_compared_as_a_whole() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier());
    let token = issuer.token("ada");
    assert_eq!(outcome(&layer, "/", &token).await, None);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let other = issuer.token("bob");
    let payload = other.split('.').nth(1).unwrap();
    for (forged, kind) in [
        (format!("{header}.{payload}.{signature}"), ErrorKind::InvalidSignature),
        (format!("{signed}x.{signature}"), ErrorKind::InvalidSignature),
        (format!("x{signed}.{signature}"), ErrorKind::Malformed),
        (format!("{signed}.{signature}x"), ErrorKind::Malformed),
        (token[1..].to_owned(), ErrorKind::Malformed),
        (signature.to_owned(), ErrorKind::Malformed),
    ] {
        assert_eq!(outcome(&layer, "/", &forged).await, Some(kind), "{forged}");
    }
    assert_eq!(outcome(&layer, "/", &token).await, None);
}

#[tokio::test]
async fn a_cached_token_is_verified_again_when_keys_change() {
    let issuer = Issuer::new();
    let keys = Counted::of(&issuer);
    let layer = JwtAuthLayer::new(verifier(&issuer, keys.clone()));
    let token = issuer.token("ada");
    for (change, lookups) in [(0, 1), (0, 1), (1, 2), (0, 2)] {
        keys.generation.fetch_add(change, Ordering::Relaxed);
        assert_eq!(outcome(&layer, "/", &token).await, None);
        assert_eq!(keys.lookups(), lookups);
    }
}

#[tokio::test]
async fn tokens_of_keys_without_a_generation_are_not_cached() {
    let issuer = Issuer::new();
    let keys = Counted::of(&issuer);
    let layer = JwtAuthLayer::new(verifier(&issuer, WithoutGeneration(keys.clone())));
    let uncached = JwtAuthLayer::new(verifier(&issuer, keys.clone())).token_cache_size(0);
    let token = issuer.token("ada");
    for lookups in 1..4 {
        assert_eq!(outcome(&layer, "/", &token).await, None);
        assert_eq!(keys.lookups(), lookups);
    }
    for lookups in 4..7 {
        assert_eq!(outcome(&uncached, "/", &token).await, None);
        assert_eq!(keys.lookups(), lookups, "the cache is off");
    }
}

#[tokio::test]
async fn the_key_sources_of_this_crate_have_a_generation() {
    let jwks = Issuer::new().jwks();
    let set = KeySet::from_json(&jwks).unwrap();
    let remote =
        RemoteKeySet::with_fetch(move |_| std::future::ready(Ok(JwksResponse::new(jwks.clone())))).build().unwrap();
    remote.load().await.unwrap();
    assert!(set.generation().is_some() && remote.generation().is_some());
    assert!(SharedSecret::new([7; 32]).unwrap().generation().is_some());
}

#[tokio::test]
async fn tokens_of_a_removed_key_are_rejected() {
    let mut issuer = Issuer::new();
    let published = Arc::new(std::sync::Mutex::new(issuer.jwks()));
    let keys = RemoteKeySet::with_fetch({
        let published = published.clone();
        move |_| {
            let jwks = published.lock().unwrap().clone();
            async move { Ok(JwksResponse::new(jwks)) }
        }
    })
    .clock(issuer.clock())
    .build()
    .unwrap();
    let layer = JwtAuthLayer::new(verifier(&issuer, keys.clone()));
    let token = issuer.token("ada");
    assert_eq!(outcome(&layer, "/", &token).await, None);

    issuer.rotate();
    issuer.unpublish_retired_keys();
    *published.lock().unwrap() = issuer.jwks();
    assert_eq!(outcome(&layer, "/", &token).await, None, "the set is not fetched yet");
    issuer.clock().advance(Duration::from_secs(600));
    // This request starts a refresh and does not wait for it.
    assert_eq!(outcome(&layer, "/", &token).await, None);
    while keys.status().fetches_ok < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(outcome(&layer, "/", &token).await, Some(ErrorKind::UnknownKey));
    assert_eq!(outcome(&layer, "/", &issuer.token("ada")).await, None);

    keys.invalidate();
    *published.lock().unwrap() = Issuer::new().jwks();
    assert_eq!(
        outcome(&layer, "/", &issuer.token("ada")).await,
        Some(ErrorKind::UnknownKey),
        "invalidated keys are not used again"
    );
}

#[tokio::test]
async fn custom_claims_are_deserialised_once() {
    static READ: AtomicUsize = AtomicUsize::new(0);
    #[derive(serde::Deserialize)]
    #[serde(from = "Raw")]
    struct CustomClaims {
        email: String,
    }
    #[derive(serde::Deserialize)]
    struct Raw {
        email: String,
    }
    impl From<Raw> for CustomClaims {
        fn from(raw: Raw) -> Self {
            READ.fetch_add(1, Ordering::Relaxed);
            Self { email: raw.email }
        }
    }
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier()).claims::<CustomClaims>();
    let inner = tower::service_fn(async |request: Request<String>| {
        let Authenticated(claims) = request.extensions().get::<Authenticated<CustomClaims>>().unwrap();
        Ok::<_, std::convert::Infallible>(http::Response::new(claims.email.clone()))
    });
    let token = issuer.token("ada");
    for _ in 0..3 {
        let service = tower::Layer::layer(&layer, inner);
        let response = tower::ServiceExt::oneshot(service, request("/", &bearer(&token))).await.unwrap();
        assert_eq!(response.body(), "ada@example.com");
    }
    assert_eq!(READ.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_thousand_tokens_are_cached_by_default() {
    let issuer = Issuer::new();
    let keys = Counted::of(&issuer);
    let layer = JwtAuthLayer::new(verifier(&issuer, keys.clone()));
    let tokens: Vec<_> = (0..1000).map(|n| issuer.token(&n.to_string())).collect();
    for token in tokens.iter().chain(&tokens) {
        assert_eq!(outcome(&layer, "/", token).await, None);
    }
    assert_eq!(keys.lookups(), tokens.len());
}

#[tokio::test]
async fn the_size_of_the_cache_counts_tokens_and_claims() {
    #[derive(serde::Deserialize)]
    struct CustomClaims {
        #[serde(skip)]
        _inline: [[u64; 32]; 16],
    }
    let issuer = Issuer::new();
    let keys = Counted::of(&issuer);
    let mut claims = issuer.claims("ada");
    claims["note"] = json!("x".repeat(4000));
    let token = issuer.sign(&claims);
    let authorization = bearer(&token);
    let layer = JwtAuthLayer::new(verifier(&issuer, keys.clone()));
    let is_cached = async |size: usize, is_custom: bool| {
        let before = keys.lookups();
        let layer = layer.clone().token_cache_size(size);
        let custom = layer.clone().claims::<CustomClaims>();
        for _ in 0..2 {
            let request = request("/", &authorization);
            let response = if is_custom { send(&custom, request).await } else { send(&layer, request).await };
            assert_eq!(response.status(), 200);
        }
        keys.lookups() == before + 1
    };
    // An entry may take half of the size. The claims take as much as the token, and a little more.
    let half = |tokens: f64| 2 * (tokens * token.len() as f64) as usize;
    assert!(!is_cached(half(1.5), false).await);
    assert!(is_cached(half(3.0), false).await);
    // Custom claims count as a second copy of the claims, plus their own 4 KiB.
    assert!(!is_cached(half(3.5), true).await);
    assert!(is_cached(half(5.0), true).await);
}

/// Keys that send a request through the layer that uses them, at each call of `generation`.
#[derive(Clone)]
struct Reentrant {
    keys: Arc<KeySet>,
    layer: Arc<OnceLock<(JwtAuthLayer, String)>>,
    in_use: Arc<AtomicBool>,
}

impl KeySource for Reentrant {
    fn supports(&self, algorithm: Algorithm) -> bool {
        self.keys.supports(algorithm)
    }

    fn find(&self, header: &Header) -> Option<Arc<Key>> {
        self.keys.find(header)
    }

    fn generation(&self) -> Option<u64> {
        if let Some((layer, token)) = self.layer.get()
            && !self.in_use.swap(true, Ordering::Relaxed)
        {
            call(layer, token);
            self.in_use.store(false, Ordering::Relaxed);
        }
        Some(0)
    }
}

/// Sends a request that never waits.
fn call(layer: &JwtAuthLayer, token: &str) {
    let inner = tower::service_fn(async |_| Ok::<_, std::convert::Infallible>(http::Response::new(String::new())));
    let future = layer.layer(inner).call(request("/", &bearer(token)));
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[test]
fn a_key_source_may_use_the_layer_that_uses_it() {
    let issuer = Issuer::new();
    let keys = Reentrant {
        keys: Arc::new(KeySet::from_json(issuer.jwks()).unwrap()),
        layer: Arc::default(),
        in_use: Arc::default(),
    };
    // So small that every token evicts others.
    let layer = JwtAuthLayer::new(verifier(&issuer, keys.clone())).token_cache_size(10_000);
    assert!(keys.layer.set((layer.clone(), issuer.token("bob"))).is_ok());
    let tokens: Vec<_> = (0..20).map(|n| issuer.token(&n.to_string())).collect();
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        tokens.iter().for_each(|token| call(&layer, token));
        done.send(())
    });
    finished.recv_timeout(Duration::from_secs(20)).expect("a request waits for a lock that its own thread holds");
}
