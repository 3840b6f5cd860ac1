//! One guarded service, whatever its request and response types are.

use std::{
    fmt,
    future::{Future, poll_fn},
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use http::{Request, Response, StatusCode, header::WWW_AUTHENTICATE};
use tower::{Layer, Service};

use crate::inner::{self, Inner};

/// Requests are made this many at a time, outside of what is measured: few enough to stay in the
/// cache, as the request that a server has just read does.
const BATCH: usize = 16;

/// A service behind a layer, and the same service bare.
pub trait Contestant {
    /// Sends so many of the requests, over and over, to the guarded service and as many to the bare
    /// one, in turns, and reads the meter around each.
    fn measure(&mut self, requests: &[Request<()>], calls: usize, meter: &dyn Fn() -> u64) -> Lap;

    /// Sends one request to the guarded service.
    fn answer<'a>(&'a mut self, request: Request<()>) -> Pin<Box<dyn Future<Output = Answer> + 'a>>;
}

/// What the meter showed for a number of calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lap {
    calls: usize,
    guarded: u64,
    bare: u64,
}

impl Lap {
    /// What one call costs, the service behind the layer included.
    pub fn gross(&self) -> f64 {
        self.guarded as f64 / self.calls as f64
    }

    /// What one call costs through the layer, net of the service behind it.
    pub fn net(&self) -> f64 {
        (self.guarded as f64 - self.bare as f64) / self.calls as f64
    }
}

/// What became of a request.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    /// The values of `WWW-Authenticate`.
    pub challenges: Vec<String>,
    /// The service behind the layer was called.
    pub passed: bool,
    /// The instance that was called had been polled ready. `None` where that cannot be told.
    pub was_ready: Option<bool>,
}

/// A [`Contestant`] of any request and response type.
pub(crate) struct Layered<G, B, Body> {
    pub(crate) guarded: G,
    pub(crate) bare: B,
    /// An empty request body.
    pub(crate) body: fn() -> Body,
    /// How many of the requests were sent, so that the next come next.
    pub(crate) sent: usize,
}

impl<G, R, Body> Layered<G, Inner<R>, Body> {
    pub(crate) fn new(layer: impl Layer<Inner<R>, Service = G>, bare: Inner<R>, body: fn() -> Body) -> Self {
        Self { guarded: layer.layer(bare.clone()), bare, body, sent: 0 }
    }
}

impl<G, B, Body, R, R2> Contestant for Layered<G, B, Body>
where
    G: Service<Request<Body>, Response = Response<R>, Error: fmt::Debug>,
    B: Service<Request<Body>, Response = Response<R2>, Error: fmt::Debug>,
{
    fn measure(&mut self, requests: &[Request<()>], calls: usize, meter: &dyn Fn() -> u64) -> Lap {
        let mut lap = Lap::default();
        while lap.calls < calls {
            let next = requests.iter().cycle().skip(self.sent % requests.len()).take(BATCH);
            let batch = || next.clone().map(|request| request.clone().map(|()| (self.body)())).collect();
            lap.guarded += send(&mut self.guarded, batch(), meter);
            lap.bare += send(&mut self.bare, batch(), meter);
            lap.calls += BATCH;
            self.sent += BATCH;
        }
        lap
    }

    fn answer<'a>(&'a mut self, request: Request<()>) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            inner::take_call();
            poll_fn(|context| self.guarded.poll_ready(context)).await.expect("a service that is ready");
            let response = self.guarded.call(request.map(|()| (self.body)())).await.expect("an answer");
            let call = inner::take_call();
            let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
            Answer {
                status: response.status(),
                challenges: challenges.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect(),
                passed: call.is_some(),
                was_ready: call.and_then(|call| call.was_ready),
            }
        })
    }
}

fn send<S, Body, R>(service: &mut S, mut requests: Vec<Request<Body>>, meter: &dyn Fn() -> u64) -> u64
where
    S: Service<Request<Body>, Response = Response<R>, Error: fmt::Debug>,
{
    let before = meter();
    for request in requests.drain(..) {
        now(poll_fn(|context| service.poll_ready(context))).expect("a service that is ready");
        let _ = black_box(now(service.call(request)).expect("an answer"));
    }
    meter() - before
}

/// With its keys at hand, no contestant ever waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the service waits for something"),
    }
}
