//! A common interface for all layers, whatever their request and response types are.

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

/// Requests are built in batches of this size, outside of the measured time. A batch is small enough to
/// stay in the processor's cache, as a request that a server has just read does.
const BATCH: usize = 16;

/// A service with a layer around it, and the same service without the layer.
pub trait Target {
    /// Sends `calls` requests to the layered service, and as many to the bare service, in alternating
    /// batches. Reads the meter before and after each batch. The requests are repeated if there are fewer.
    fn measure(&mut self, requests: &[Request<()>], calls: usize, meter: &dyn Fn() -> u64) -> Sample;

    /// Sends one request to the layered service.
    fn call<'a>(&'a mut self, request: Request<()>) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;
}

/// The readings of the meter for a number of calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    calls: usize,
    layered: u64,
    bare: u64,
}

impl Sample {
    /// The cost of one call, including the inner service.
    pub fn gross(&self) -> f64 {
        self.layered as f64 / self.calls as f64
    }

    /// The cost of the layer for one call, without the inner service.
    pub fn net(&self) -> f64 {
        (self.layered as f64 - self.bare as f64) / self.calls as f64
    }
}

/// The outcome of a request.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub status: StatusCode,
    /// The values of `WWW-Authenticate`.
    pub challenges: Vec<String>,
    /// Whether the inner service was called.
    pub passed: bool,
    /// Whether the instance that was called had been polled ready. `None` if that is unknown.
    pub was_ready: Option<bool>,
}

/// A [`Target`] with any request and response types.
pub(crate) struct Layered<L, B, Body> {
    pub(crate) layered: L,
    pub(crate) bare: B,
    /// An empty request body.
    pub(crate) body: fn() -> Body,
    /// How many requests were sent, to continue with the next one.
    pub(crate) sent: usize,
}

impl<L, R, Body> Layered<L, Inner<R>, Body> {
    pub(crate) fn new(layer: impl Layer<Inner<R>, Service = L>, bare: Inner<R>, body: fn() -> Body) -> Self {
        Self { layered: layer.layer(bare.clone()), bare, body, sent: 0 }
    }
}

impl<L, B, Body, R, R2> Target for Layered<L, B, Body>
where
    L: Service<Request<Body>, Response = Response<R>, Error: fmt::Debug>,
    B: Service<Request<Body>, Response = Response<R2>, Error: fmt::Debug>,
{
    fn measure(&mut self, requests: &[Request<()>], calls: usize, meter: &dyn Fn() -> u64) -> Sample {
        let mut sample = Sample::default();
        while sample.calls < calls {
            let next = requests.iter().cycle().skip(self.sent % requests.len()).take(BATCH);
            let batch = || next.clone().map(|request| request.clone().map(|()| (self.body)())).collect();
            sample.layered += send(&mut self.layered, batch(), meter);
            sample.bare += send(&mut self.bare, batch(), meter);
            sample.calls += BATCH;
            self.sent += BATCH;
        }
        sample
    }

    fn call<'a>(&'a mut self, request: Request<()>) -> Pin<Box<dyn Future<Output = Outcome> + 'a>> {
        Box::pin(async move {
            inner::take_call();
            poll_fn(|context| self.layered.poll_ready(context)).await.expect("a service that is ready");
            let response = self.layered.call(request.map(|()| (self.body)())).await.expect("a response");
            let call = inner::take_call();
            let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
            Outcome {
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
        let _ = black_box(now(service.call(request)).expect("a response"));
    }
    meter() - before
}

/// The output of a future that does not wait: all targets have their keys in memory.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the service waits for something"),
    }
}
