//! `jsonwebtoken::decode` in a minimal layer, as applications often write it.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, task};

use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use jsonwebtoken::{DecodingKey, Validation, decode, jwk::Jwk};
use tower::Service;

use crate::{Setup, Target, inner::Inner, setup::MyClaims, target::Layered};

pub(super) fn target(setup: &Setup) -> Box<dyn Target> {
    let key = DecodingKey::from_jwk(&setup.key::<Jwk>()).expect("a key");
    let mut validation = Validation::new(setup.algorithm());
    validation.set_issuer(&[setup.issuer.origin()]);
    validation.set_audience(&[setup.issuer.origin()]);
    let layered = Plain { inner: Inner::new(), rules: Arc::new((key, validation)) };
    Box::new(Layered { layered, bare: Inner::<()>::new(), body: || (), sent: 0 })
}

struct Plain {
    inner: Inner<()>,
    rules: Arc<(DecodingKey, Validation)>,
}

impl Plain {
    fn claims(&self, request: &Request<()>) -> Option<MyClaims> {
        let token = request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        Some(decode(token, &self.rules.0, &self.rules.1).ok()?.claims)
    }
}

impl Service<Request<()>> for Plain {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<()>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        Service::<Request<()>>::poll_ready(&mut self.inner, context)
    }

    fn call(&mut self, mut request: Request<()>) -> Self::Future {
        match self.claims(&request) {
            Some(claims) => {
                request.extensions_mut().insert(claims);
                Box::pin(self.inner.call(request))
            }
            None => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                Box::pin(async { Ok(response) })
            }
        }
    }
}
