//! The layer's behaviour, tested through `Service`, mostly without sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod axum_paths;
mod backchannel;
mod endpoint;
mod environment;
mod hostile;
mod http_semantics;
mod jsonwebtoken;
mod layer;
#[cfg(feature = "tracing")]
mod log;
mod logout_tokens;
mod revoked;
mod rotation;
mod rules;
mod session_exchange;
mod sessions;
mod test_issuer;
mod token_cache;
mod tower_stack;
mod verifier;
mod waiting;

use std::convert::Infallible;

use better_auth_jwt::{Authenticated, Claims};
use http::{Request, Response, header::AUTHORIZATION};
use tower::{Layer, Service, ServiceExt};

/// An inner service that responds with the user of the request.
async fn whoami(request: Request<String>) -> Result<Response<String>, Infallible> {
    let user =
        request.extensions().get::<Authenticated<Claims>>().map(|Authenticated(claims)| claims.user_id().to_owned());
    Ok(Response::new(user.unwrap_or_else(|| "anonymous".to_owned())))
}

/// A request for a path, with an `Authorization` header unless it is empty.
fn request(path: &str, authorization: &str) -> Request<String> {
    let mut request = Request::builder().uri(path);
    if !authorization.is_empty() {
        request = request.header(AUTHORIZATION, authorization);
    }
    request.body(String::new()).unwrap()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Sends a request to the layer around [`whoami`].
async fn send<L>(layer: &L, request: Request<String>) -> Response<String>
where
    L: Layer<tower::util::ServiceFn<fn(Request<String>) -> WhoAmI>>,
    L::Service: Service<Request<String>, Response = Response<String>, Error = Infallible>,
{
    let inner: fn(Request<String>) -> WhoAmI = |request| Box::pin(whoami(request));
    layer.layer(tower::service_fn(inner)).oneshot(request).await.unwrap()
}

type WhoAmI = std::pin::Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;
