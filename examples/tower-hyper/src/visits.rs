//! The service. The user is in the request's extensions.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use better_auth_jwt::{Authenticated, Claims};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::Service;

/// Counts each user's visits. It needs no lock, because `Buffer` calls it from one task.
#[derive(Default)]
pub(crate) struct Visits {
    counts: HashMap<String, u64>,
}

impl<B> Service<Request<B>> for Visits {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::default());
        match request.extensions().get::<Authenticated<Claims>>() {
            Some(Authenticated(claims)) => {
                let count = self.counts.entry(claims.user_id().to_owned()).or_default();
                *count += 1;
                *response.body_mut() = format!("{}: {count}", claims.user_id()).into();
            }
            // Happens only if the layer is missing.
            None => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
        ready(Ok(response))
    }
}
