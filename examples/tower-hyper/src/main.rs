//! A service on tower and hyper, with the layer and layers of tower.

#![expect(clippy::print_stdout, reason = "the example prints its address")]

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
    max_concurrent: usize,
) -> Result<
    impl Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send> + Clone + Send,
    ConfigError,
> {
    let auth = JwtAuthLayer::new(verifier).match_user(PathTemplate::new("/users/{user_id}/visits")?);
    let stack = ServiceBuilder::new()
        .load_shed() // rejects excess requests instead of queueing them,
        .concurrency_limit(max_concurrent) // before any cryptography is done for them
        .layer(auth)
        .buffer(64) // the layer needs a `Clone` service, and `Visits` is not
        .service(Visits::default());
    Ok(service_fn(move |request| {
        let response = stack.clone().oneshot(request);
        async { Ok(response.await.unwrap_or_else(|error| error_response(&error))) }
    }))
}

/// hyper would close the connection on an error.
fn error_response(error: &BoxError) -> Response<Full<Bytes>> {
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
            // Errors here come from the client: it disconnected, or does not speak HTTP.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
