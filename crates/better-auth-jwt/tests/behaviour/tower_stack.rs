//! The layer among tower's own: `Buffer`, `ConcurrencyLimit` and `LoadShed`, before it and behind it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use better_auth_jwt::{
    JwtAuthLayer, Verifier,
    jws::Header,
    keys::{Algorithm, Key, KeySet, KeySource, Refresh},
    test_util::Issuer,
};
use http::{Request, Response};
use tokio::sync::{Semaphore, watch};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    buffer::Buffer,
    limit::ConcurrencyLimit,
    load_shed::{LoadShed, error::Overloaded},
    util::BoxService,
};

use crate::{bearer, request};

/// Panics when it is called without having been polled ready, which a clone never has been.
#[derive(Default)]
struct Fussy {
    ready: bool,
    calls: Arc<AtomicUsize>,
    /// Where there is one, an answer takes until it has a permit.
    door: Option<Arc<Semaphore>>,
}

impl Fussy {
    /// A service whose answers wait for permits.
    fn behind(door: &Arc<Semaphore>) -> Self {
        Self { door: Some(door.clone()), ..Self::default() }
    }
}

impl Clone for Fussy {
    fn clone(&self) -> Self {
        Self { ready: false, calls: self.calls.clone(), door: self.door.clone() }
    }
}

impl Service<Request<String>> for Fussy {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        let door = self.door.clone();
        Box::pin(async move {
            if let Some(door) = door {
                door.acquire().await.unwrap().forget();
            }
            Ok(Response::new(String::new()))
        })
    }
}

/// Keys that have to be waited for until they are published.
struct LateKeys {
    keys: KeySet,
    published: watch::Receiver<bool>,
}

impl KeySource for LateKeys {
    fn supports(&self, algorithm: Algorithm) -> bool {
        self.keys.supports(algorithm)
    }

    fn find(&self, header: &Header) -> Option<Arc<Key>> {
        if *self.published.borrow() { self.keys.find(header) } else { None }
    }

    fn refresh(&self, _: &Header) -> Refresh {
        let mut published = self.published.clone();
        Refresh::Pending(Box::pin(async move {
            let _ = published.wait_for(|published| *published).await;
        }))
    }
}

/// A verifier whose keys come when `true` is sent.
fn late_verifier(issuer: &Issuer) -> (Verifier, watch::Sender<bool>) {
    let (publish, published) = watch::channel(false);
    let keys = LateKeys { keys: KeySet::from_json(issuer.jwks()).unwrap(), published };
    (Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap(), publish)
}

fn with_token(issuer: &Issuer) -> Request<String> {
    request("/", &bearer(&issuer.token("ada")))
}

fn is_ready<S: Service<Request<String>>>(service: &mut S) -> bool {
    service.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Polls a future that cannot be done yet.
fn assert_waiting<F: Future>(future: Pin<&mut F>) {
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

fn is_overloaded(error: &BoxError) -> bool {
    error.is::<Overloaded>()
}

#[tokio::test]
async fn the_layer_is_ready_when_what_is_behind_it_is_and_not_before() {
    let (issuer, door) = (Issuer::new(), Arc::new(Semaphore::new(0)));
    let mut one = JwtAuthLayer::new(issuer.verifier()).layer(ConcurrencyLimit::new(Fussy::behind(&door), 1));
    let mut other = one.clone();

    let in_hand = one.ready().await.unwrap().call(with_token(&issuer));
    assert!(!is_ready(&mut other));
    door.add_permits(1);
    assert_eq!(in_hand.await.unwrap().status(), 200);
    assert!(is_ready(&mut other));
}

#[tokio::test]
async fn who_waits_for_readiness_is_woken() {
    let (issuer, door) = (Issuer::new(), Arc::new(Semaphore::new(0)));
    let one = JwtAuthLayer::new(issuer.verifier()).layer(ConcurrencyLimit::new(Fussy::behind(&door), 1));
    let answers: Vec<_> = (0..3).map(|_| tokio::spawn(one.clone().oneshot(with_token(&issuer)))).collect();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    door.add_permits(3);
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn an_error_of_readiness_passes_through() {
    struct Broken;
    impl Service<Request<String>> for Broken {
        type Response = Response<String>;
        type Error = &'static str;
        type Future = std::future::Ready<Result<Response<String>, &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            Poll::Ready(Err("broken"))
        }

        fn call(&mut self, _: Request<String>) -> Self::Future {
            unreachable!("it is never ready")
        }
    }
    let issuer = Issuer::new();
    let broken = Buffer::new(Broken, 1);
    let error = JwtAuthLayer::new(issuer.verifier()).layer(broken).oneshot(with_token(&issuer)).await.unwrap_err();
    assert!(error.to_string().contains("broken"), "{error}");
}

#[tokio::test]
async fn a_place_that_a_refused_request_did_not_need_serves_the_next() {
    let issuer = Issuer::new();
    let mut service = JwtAuthLayer::new(issuer.verifier()).layer(ConcurrencyLimit::new(Fussy::default(), 1));
    for (request, status) in [(request("/", ""), 401), (with_token(&issuer), 200), (request("/", "Bearer x"), 401)] {
        assert_eq!(service.ready().await.unwrap().call(request).await.unwrap().status(), status);
    }
    drop(service.clone());
    assert_eq!(service.ready().await.unwrap().call(with_token(&issuer)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_place_found_behind_the_layer_is_kept_while_the_key_is_waited_for() {
    let issuer = Issuer::new();
    let (verifier, publish) = late_verifier(&issuer);
    let mut one = JwtAuthLayer::new(verifier).layer(ConcurrencyLimit::new(Fussy::default(), 1));
    let mut other = one.clone();

    let mut waiting = Box::pin(one.ready().await.unwrap().call(with_token(&issuer)));
    assert_waiting(waiting.as_mut());
    assert!(!is_ready(&mut other), "the only place is taken");
    publish.send(true).unwrap();
    assert_eq!(waiting.await.unwrap().status(), 200);
    assert!(is_ready(&mut other));
}

#[tokio::test]
async fn a_request_that_is_given_up_or_refused_after_waiting_for_its_key_gives_its_place_back() {
    let issuer = Issuer::new();
    let (verifier, publish) = late_verifier(&issuer);
    let mut one = JwtAuthLayer::new(verifier).layer(ConcurrencyLimit::new(Fussy::default(), 1));
    let mut other = one.clone();

    let mut given_up = Box::pin(one.ready().await.unwrap().call(with_token(&issuer)));
    assert_waiting(given_up.as_mut());
    drop(given_up);
    assert!(is_ready(&mut other));
    drop(other);

    let mut other = one.clone();
    let forged = Issuer::new().sign_with_header(&issuer.header(), &issuer.claims("ada"));
    let mut refused = Box::pin(one.ready().await.unwrap().call(request("/", &bearer(&forged))));
    assert_waiting(refused.as_mut());
    publish.send(true).unwrap();
    assert_eq!(refused.await.unwrap().status(), 401);
    assert!(is_ready(&mut other));
}

#[tokio::test]
async fn a_concurrency_limit_before_the_layer_counts_those_who_wait_for_their_key() {
    let issuer = Issuer::new();
    let (verifier, publish) = late_verifier(&issuer);
    let mut one = ConcurrencyLimit::new(JwtAuthLayer::new(verifier).layer(Fussy::default()), 1);
    let mut other = one.clone();

    let waiting = one.ready().await.unwrap().call(with_token(&issuer));
    assert!(!is_ready(&mut other));
    publish.send(true).unwrap();
    assert_eq!(waiting.await.unwrap().status(), 200);
    assert_eq!(other.ready().await.unwrap().call(request("/", "")).await.unwrap().status(), 401);
    assert!(is_ready(&mut one), "a refused request is as done as any other");
}

#[tokio::test]
async fn a_buffer_behind_the_layer_makes_do_with_a_service_that_cannot_be_cloned() {
    let issuer = Issuer::new();
    let (verifier, publish) = late_verifier(&issuer);
    let (fussy, layer) = (Fussy::default(), JwtAuthLayer::new(verifier));
    let calls = fussy.calls.clone();
    let service = ServiceBuilder::new().layer(layer).buffer(2).service(BoxService::new(fussy));

    // The waiting ones keep both places in the queue, and so nobody loses a request.
    let good: Vec<_> = (0..10).map(|_| tokio::spawn(service.clone().oneshot(with_token(&issuer)))).collect();
    let bad: Vec<_> = (0..10).map(|_| tokio::spawn(service.clone().oneshot(request("/", "Bearer x")))).collect();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    publish.send(true).unwrap();
    for (answers, status) in [(good, 200), (bad, 401)] {
        for answer in answers {
            assert_eq!(answer.await.unwrap().unwrap().status(), status);
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 10, "refused requests never reach the service");
}

#[tokio::test]
async fn a_buffer_before_the_layer_is_not_held_up_by_a_request_that_waits_for_its_key() {
    let (late, known) = (Issuer::new(), Issuer::new().at("https://other.example.com"));
    let (verifier, publish) = late_verifier(&late);
    let service = Buffer::new(JwtAuthLayer::new(verifier.or(known.verifier())).layer(Fussy::default()), 1);

    let mut waiting = Box::pin(service.clone().oneshot(with_token(&late)));
    assert_waiting(waiting.as_mut());
    for _ in 0..3 {
        assert_eq!(service.clone().oneshot(with_token(&known)).await.unwrap().status(), 200);
        assert_eq!(service.clone().oneshot(request("/", "")).await.unwrap().status(), 401);
    }
    assert_waiting(waiting.as_mut());
    publish.send(true).unwrap();
    assert_eq!(waiting.await.unwrap().status(), 200);
}

#[tokio::test]
async fn load_shed_before_the_layer_refuses_before_a_token_is_looked_at() {
    let (issuer, door, decisions) = (Issuer::new(), Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let auth = JwtAuthLayer::new(issuer.verifier()).observe({
        let decisions = decisions.clone();
        move |_| _ = decisions.fetch_add(1, Ordering::SeqCst)
    });
    let limited = ConcurrencyLimit::new(auth.layer(Fussy::behind(&door)), 1);
    let mut service = LoadShed::new(limited);
    let mut other = service.clone();

    let in_hand = service.ready().await.unwrap().call(with_token(&issuer));
    for request in [with_token(&issuer), request("/", ""), request("/", "Bearer x")] {
        assert!(is_overloaded(&other.ready().await.unwrap().call(request).await.unwrap_err()));
    }
    assert_eq!(decisions.load(Ordering::SeqCst), 1);
    door.add_permits(2);
    assert_eq!(in_hand.await.unwrap().status(), 200);
    assert_eq!(other.ready().await.unwrap().call(with_token(&issuer)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn load_shed_behind_the_layer_tells_only_those_with_a_good_token() {
    let (issuer, door) = (Issuer::new(), Arc::new(Semaphore::new(0)));
    let limited = ConcurrencyLimit::new(Fussy::behind(&door), 1);
    let mut service = JwtAuthLayer::new(issuer.verifier()).layer(LoadShed::new(limited));
    let mut other = service.clone();

    let in_hand = service.ready().await.unwrap().call(with_token(&issuer));
    assert_eq!(other.ready().await.unwrap().call(request("/", "")).await.unwrap().status(), 401);
    assert!(is_overloaded(&other.ready().await.unwrap().call(with_token(&issuer)).await.unwrap_err()));
    door.add_permits(2);
    assert_eq!(in_hand.await.unwrap().status(), 200);
    assert_eq!(other.ready().await.unwrap().call(with_token(&issuer)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn load_shed_behind_the_layer_still_knows_after_the_wait_for_a_key_that_it_was_ready() {
    let issuer = Issuer::new();
    let (verifier, publish) = late_verifier(&issuer);
    // A clone of `LoadShed` that was never polled would call itself overloaded.
    let mut service = JwtAuthLayer::new(verifier).layer(LoadShed::new(Fussy::default()));
    let waiting = service.ready().await.unwrap().call(with_token(&issuer));
    publish.send(true).unwrap();
    assert_eq!(waiting.await.unwrap().status(), 200);
}

#[tokio::test]
async fn all_of_them_at_once_serve_what_they_can_and_refuse_the_rest() {
    let (issuer, door) = (Issuer::new(), Arc::new(Semaphore::new(0)));
    let service = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(4)
        .layer(JwtAuthLayer::new(issuer.verifier()))
        .buffer(4)
        .service(BoxService::new(Fussy::behind(&door)));
    let answers: Vec<_> = (0..10).map(|_| tokio::spawn(service.clone().oneshot(with_token(&issuer)))).collect();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    door.add_permits(10);
    let (mut served, mut shed) = (0, 0);
    for answer in answers {
        match answer.await.unwrap() {
            Ok(response) => {
                assert_eq!(response.status(), 200);
                served += 1;
            }
            Err(error) => {
                assert!(is_overloaded(&error), "{error}");
                shed += 1;
            }
        }
    }
    assert_eq!((served, shed), (4, 6));
    assert_eq!(service.oneshot(request("/", "")).await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_refused_request_gives_its_place_behind_the_layer_back() {
    let issuer = Issuer::new();
    let limited = JwtAuthLayer::new(issuer.verifier()).layer(ConcurrencyLimit::new(Fussy::default(), 1));
    let (mut one, mut other) = (limited.clone(), limited);
    assert_eq!(one.ready().await.unwrap().call(request("/", "")).await.unwrap().status(), 401);
    assert!(is_ready(&mut other), "`one` is idle, and yet holds the only place");

    let buffered = JwtAuthLayer::new(issuer.verifier()).layer(Buffer::new(Fussy::default(), 1));
    let (mut one, mut other) = (buffered.clone(), buffered);
    assert_eq!(one.ready().await.unwrap().call(request("/", "")).await.unwrap().status(), 401);
    assert!(is_ready(&mut other), "`one` is idle, and yet holds the only place in the queue");
}
