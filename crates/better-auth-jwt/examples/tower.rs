//! A service on tower and hyper, without a web framework.
//!
//! ```sh
//! cargo run --example tower --features test-util
//! ```
//!
//! It prints commands to try. `test_util::Issuer` is used in place of your Better Auth server.

#![expect(clippy::print_stdout, reason = "an example prints how to try it")]

use std::{convert::Infallible, error::Error};

use better_auth_jwt::{Authenticated, Claims, JwtAuthLayer, PathTemplate, RejectionResponse, test_util::Issuer};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};

type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = Issuer::new();
    // There is no router, so a template specifies where the user id is in the path.
    let auth = JwtAuthLayer::new(issuer.verifier())
        .match_user(PathTemplate::new("/users/{user_id}/greeting")?)
        .rejection_response(TextRejection);
    let service = ServiceBuilder::new().layer(auth).service(service_fn(greet));

    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    let token = issuer.token("ada");
    for user in ["ada", "bob"] {
        println!("curl -i -H 'Authorization: Bearer {token}' http://127.0.0.1:8080/users/{user}/greeting");
    }
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            // Errors here come from the client: it disconnected, or does not speak HTTP.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A type instead of a closure, because `Body` contains a `dyn Error`: see [`RejectionResponse`].
#[derive(Clone)]
struct TextRejection;

impl RejectionResponse<Body> for TextRejection {
    fn response(&self, error: &better_auth_jwt::Error) -> Response<Body> {
        let mut response = Response::new(text(format!("{}\n", error.description())));
        *response.status_mut() = error.status();
        error.write_headers(response.headers_mut());
        response
    }
}

fn text(text: String) -> Body {
    Full::from(text).map_err(Into::into).boxed_unsync()
}

async fn greet<B>(request: Request<B>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::default();
    match request.extensions().get() {
        Some(Authenticated::<Claims>(claims)) => *response.body_mut() = text(format!("Hello, {}!\n", claims.user_id())),
        // Happens only if the layer is missing.
        None => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    Ok(response)
}
