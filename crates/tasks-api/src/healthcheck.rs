//! `healthcheck`: asks the server on this machine whether it is alive, for container images without a shell.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use axum::{
    body::Body,
    http::{Request, header::HOST},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::server::reachable;

/// # Errors
/// The server does not respond to this path with 200 within three seconds.
pub(crate) async fn check(address: SocketAddr, path: &str) -> anyhow::Result<()> {
    let address = reachable(address);
    let response = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::get(path).header(HOST, address.to_string()).body(Body::empty())?;
        Ok::<_, anyhow::Error>(sender.send_request(request).await?)
    };
    let failed =
        || format!("no response from http://{address}{path}; check TASKS_API_LISTEN and TASKS_API_ADMIN_LISTEN");
    let response = timeout(Duration::from_secs(3), response).await.with_context(failed)?.with_context(failed)?;
    ensure!(response.status().is_success(), "http://{address}{path} responded {}", response.status());
    Ok(())
}
