//! A service on tower and hyper alone, behind the layer and tower's own ones.

#![expect(clippy::print_stdout, reason = "an example says where it listens")]

#[cfg(test)]
mod tests;
mod visits;

use std::{convert::Infallible, env, error::Error, io};

use better_auth_jwt::{ConfigError, JwtAuthLayer, PathTemplate, Verifier};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, load_shed::error::Overloaded, service_fn};

use crate::visits::Visits;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url =
        env::var("BETTER_AUTH_URL").map_err(|_| "set BETTER_AUTH_URL to the base URL of your Better Auth server")?;
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(serve(listener, service(Verifier::better_auth(&url)?, 1000)?).await?)
}

fn service(
    verifier: Verifier,
    most_at_once: usize,
) -> Result<
    impl Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send> + Clone + Send,
    ConfigError,
> {
    let auth = JwtAuthLayer::new(verifier).match_user(PathTemplate::new("/users/{user_id}/visits")?);
    let stack = ServiceBuilder::new()
        .load_shed() // refuses at once what would have to wait below,
        .concurrency_limit(most_at_once) // before any cryptography is done for it
        .layer(auth)
        .buffer(64) // the layer wants a service that can be cloned, and `Visits` can't be
        .service(Visits::default());
    Ok(service_fn(move |request| {
        let answer = stack.clone().oneshot(request);
        async { Ok(answer.await.unwrap_or_else(|error| apology(&error))) }
    }))
}

/// hyper would close the connection on an error.
fn apology(error: &BoxError) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if error.is::<Overloaded>() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert(RETRY_AFTER, 1.into());
    } else {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}

async fn serve<S>(listener: TcpListener, service: S) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            // An error here is the client's: it went away, or spoke no HTTP.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
