//! The layer together with tower's `Buffer`, `ConcurrencyLimit` and `LoadShed`, outside and inside of it.

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

/// Panics if it is called before it was polled ready. A clone starts unready.
#[derive(Default)]
struct RequiresReady {
    ready: bool,
    calls: Arc<AtomicUsize>,
    /// If set, each response waits for a permit.
    permits: Option<Arc<Semaphore>>,
}

impl RequiresReady {
    /// A service whose responses wait for permits.
    fn with_permits(permits: &Arc<Semaphore>) -> Self {
        Self { permits: Some(permits.clone()), ..Self::default() }
    }
}

impl Clone for RequiresReady {
    fn clone(&self) -> Self {
        Self { ready: false, calls: self.calls.clone(), permits: self.permits.clone() }
    }
}

impl Service<Request<String>> for RequiresReady {
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
        let permits = self.permits.clone();
        Box::pin(async move {
            if let Some(permits) = permits {
                permits.acquire().await.unwrap().forget();
            }
            Ok(Response::new(String::new()))
        })
    }
}

/// Keys that requests must wait for until they are published.
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

/// A verifier whose keys are available once `true` is sent.
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

/// Polls a future that cannot be ready yet.
fn assert_waiting<F: Future>(future: Pin<&mut F>) {
    assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

fn is_overloaded(error: &BoxError) -> bool {
    error.is::<Overloaded>()
}

#[tokio::test]
async fn the_layer_is_ready_exactly_when_the_inner_service_is() {
    let (issuer, permits) = (Issuer::new(), Arc::new(Semaphore::new(0)));
    let mut one =
        JwtAuthLayer::new(issuer.verifier()).layer(ConcurrencyLimit::new(RequiresReady::with_permits(&permits), 1));
    let mut other = one.clone();

    let in_flight = one.ready().await.unwrap().call(with_token(&issuer));
    assert!(!is_ready(&mut other));
    permits.add_permits(1);
    assert_eq!(in_flight.await.unwrap().status(), 200);
    assert!(is_ready(&mut other));
}

#[tokio::test]
async fn a_caller_that_waits_for_readiness_is_woken() {
    let (issuer, permits) = (Issuer::new(), Arc::new(Semaphore::new(0)));
    let one =
        JwtAuthLayer::new(issuer.verifier()).layer(ConcurrencyLimit::new(RequiresReady::with_permits(&permits), 1));
    let responses: Vec<_> = (0..3).map(|_| tokio::spawn(one.clone().oneshot(with_token(&issuer)))).collect();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    permits.add_permits(3);
    for response in responses {
        assert_eq!(response.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn an_error_of_poll_ready_is_passed_on() {
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
async fn a_permit_that_a_rejected_request_did_not_use_serves_the_next_request() {
    let issuer = Issuer::new();
    let mut service = JwtAuthLayer::new(issuer.verifier()).layer(ConcurrencyLimit::new(RequiresReady::default(), 1));
    for (request, status) in [(request("/", ""), 401), (with_token(&issuer), 200), (request("/", "Bearer x"), 401)] {
        assert_eq!(service.ready().await.unwrap().call(request).await.unwrap().status(), status);
    }
    drop(service.clone());
    assert_eq!(service.ready().await.unwrap().call(with_token(&issuer)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_permit_of_the_inner_service_is_kept_while_the_request_waits_for_its_key() {
    let issuer = Issuer::new();
    let (verifier, publish) = late_verifier(&issuer);
    let mut one = JwtAuthLayer::new(verifier).layer(ConcurrencyLimit::new(RequiresReady::default(), 1));
    let mut other = one.clone();

    let mut waiting = Box::pin(one.ready().await.unwrap().call(with_token(&issuer)));
    assert_waiting(waiting.as_mut());
    assert!(!is_ready(&mut other), "the only permit is in use");
    publish.send(true).unwrap();
    assert_eq!(waiting.await.unwrap().status(), 200);
    assert!(is_ready(&mut other));
}

#[tokio::test]
async fn a_request_that_is_cancelled_or_rejected_while_it_waits_for_its_key_releases_its_permit() {
    let issuer = Issuer::new();
    let (verifier, publish) = late_verifier(&issuer);
    let mut one = JwtAuthLayer::new(verifier).layer(ConcurrencyLimit::new(RequiresReady::default(), 1));
    let mut other = one.clone();

    let mut cancelled = Box::pin(one.ready().await.unwrap().call(with_token(&issuer)));
    assert_waiting(cancelled.as_mut());
    drop(cancelled);
    assert!(is_ready(&mut other));
    drop(other);

    let mut other = one.clone();
    let forged = Issuer::new().sign_with_header(&issuer.header(), &issuer.claims("ada"));
    let mut rejected = Box::pin(one.ready().await.unwrap().call(request("/", &bearer(&forged))));
    assert_waiting(rejected.as_mut());
    publish.send(true).unwrap();
    assert_eq!(rejected.await.unwrap().status(), 401);
    assert!(is_ready(&mut other));
}

#[tokio::test]
async fn a_concurrency_limit_outside_the_layer_counts_requests_that_wait_for_their_key() {
    let issuer = Issuer::new();
    let (verifier, publish) = late_verifier(&issuer);
    let mut one = ConcurrencyLimit::new(JwtAuthLayer::new(verifier).layer(RequiresReady::default()), 1);
    let mut other = one.clone();

    let waiting = one.ready().await.unwrap().call(with_token(&issuer));
    assert!(!is_ready(&mut other));
    publish.send(true).unwrap();
    assert_eq!(waiting.await.unwrap().status(), 200);
    assert_eq!(other.ready().await.unwrap().call(request("/", "")).await.unwrap().status(), 401);
    assert!(is_ready(&mut one), "a rejected request has released its permit");
}

#[tokio::test]
async fn a_buffer_inside_the_layer_supports_a_service_that_cannot_be_cloned() {
    let issuer = Issuer::new();
    let (verifier, publish) = late_verifier(&issuer);
    let (fussy, layer) = (RequiresReady::default(), JwtAuthLayer::new(verifier));
    let calls = fussy.calls.clone();
    let service = ServiceBuilder::new().layer(layer).buffer(2).service(BoxService::new(fussy));

    // The waiting requests occupy both slots of the queue, and no request is lost.
    let valid: Vec<_> = (0..10).map(|_| tokio::spawn(service.clone().oneshot(with_token(&issuer)))).collect();
    let bad: Vec<_> = (0..10).map(|_| tokio::spawn(service.clone().oneshot(request("/", "Bearer x")))).collect();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    publish.send(true).unwrap();
    for (responses, status) in [(valid, 200), (bad, 401)] {
        for response in responses {
            assert_eq!(response.await.unwrap().unwrap().status(), status);
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 10, "rejected requests never reach the service");
}

#[tokio::test]
async fn a_buffer_outside_the_layer_is_not_blocked_by_a_request_that_waits_for_its_key() {
    let (late, known) = (Issuer::new(), Issuer::new().with_origin("https://other.example.com"));
    let (verifier, publish) = late_verifier(&late);
    let service = Buffer::new(JwtAuthLayer::new(verifier.or(known.verifier())).layer(RequiresReady::default()), 1);

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
async fn load_shed_outside_the_layer_sheds_requests_before_their_token_is_checked() {
    let (issuer, permits, decisions) = (Issuer::new(), Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let auth = JwtAuthLayer::new(issuer.verifier()).on_outcome({
        let decisions = decisions.clone();
        move |_| _ = decisions.fetch_add(1, Ordering::SeqCst)
    });
    let limited = ConcurrencyLimit::new(auth.layer(RequiresReady::with_permits(&permits)), 1);
    let mut service = LoadShed::new(limited);
    let mut other = service.clone();

    let in_flight = service.ready().await.unwrap().call(with_token(&issuer));
    for request in [with_token(&issuer), request("/", ""), request("/", "Bearer x")] {
        assert!(is_overloaded(&other.ready().await.unwrap().call(request).await.unwrap_err()));
    }
    assert_eq!(decisions.load(Ordering::SeqCst), 1);
    permits.add_permits(2);
    assert_eq!(in_flight.await.unwrap().status(), 200);
    assert_eq!(other.ready().await.unwrap().call(with_token(&issuer)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn load_shed_inside_the_layer_sheds_only_requests_with_a_valid_token() {
    let (issuer, permits) = (Issuer::new(), Arc::new(Semaphore::new(0)));
    let limited = ConcurrencyLimit::new(RequiresReady::with_permits(&permits), 1);
    let mut service = JwtAuthLayer::new(issuer.verifier()).layer(LoadShed::new(limited));
    let mut other = service.clone();

    let in_flight = service.ready().await.unwrap().call(with_token(&issuer));
    assert_eq!(other.ready().await.unwrap().call(request("/", "")).await.unwrap().status(), 401);
    assert!(is_overloaded(&other.ready().await.unwrap().call(with_token(&issuer)).await.unwrap_err()));
    permits.add_permits(2);
    assert_eq!(in_flight.await.unwrap().status(), 200);
    assert_eq!(other.ready().await.unwrap().call(with_token(&issuer)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn load_shed_inside_the_layer_stays_ready_while_the_request_waits_for_its_key() {
    let issuer = Issuer::new();
    let (verifier, publish) = late_verifier(&issuer);
    // A clone of `LoadShed` that was never polled would call itself overloaded.
    let mut service = JwtAuthLayer::new(verifier).layer(LoadShed::new(RequiresReady::default()));
    let waiting = service.ready().await.unwrap().call(with_token(&issuer));
    publish.send(true).unwrap();
    assert_eq!(waiting.await.unwrap().status(), 200);
}

#[tokio::test]
async fn load_shed_limit_and_buffer_together_serve_up_to_the_limit_and_shed_the_rest() {
    let (issuer, permits) = (Issuer::new(), Arc::new(Semaphore::new(0)));
    let service = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(4)
        .layer(JwtAuthLayer::new(issuer.verifier()))
        .buffer(4)
        .service(BoxService::new(RequiresReady::with_permits(&permits)));
    let responses: Vec<_> = (0..10).map(|_| tokio::spawn(service.clone().oneshot(with_token(&issuer)))).collect();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    permits.add_permits(10);
    let (mut served, mut shed) = (0, 0);
    for response in responses {
        match response.await.unwrap() {
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
async fn a_rejected_request_releases_its_permit_inside_the_layer() {
    let issuer = Issuer::new();
    let limited = JwtAuthLayer::new(issuer.verifier()).layer(ConcurrencyLimit::new(RequiresReady::default(), 1));
    let (mut one, mut other) = (limited.clone(), limited);
    assert_eq!(one.ready().await.unwrap().call(request("/", "")).await.unwrap().status(), 401);
    assert!(is_ready(&mut other), "`one` is idle but still holds the only permit");

    let buffered = JwtAuthLayer::new(issuer.verifier()).layer(Buffer::new(RequiresReady::default(), 1));
    let (mut one, mut other) = (buffered.clone(), buffered);
    assert_eq!(one.ready().await.unwrap().call(request("/", "")).await.unwrap().status(), 401);
    assert!(is_ready(&mut other), "`one` is idle but still occupies the only slot of the queue");
}
