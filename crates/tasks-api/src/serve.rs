use std::{future::IntoFuture, net::SocketAddr, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, sync::oneshot, time::timeout};
use tracing::{info, warn};

use crate::{
    auth,
    cli::Failure,
    config::Config,
    router::{AppState, app},
};

/// A supervisor waits 10 seconds or more before it kills; we are gone before that.
const DRAIN: Duration = Duration::from_secs(7);

pub(crate) async fn serve(config: Config) -> Result<(), Failure> {
    let listener = listen(config.listen).await?;
    let app = app(state(&config).await?);
    if config.auth.issuer.is_none() || config.auth.audience.is_none() {
        warn!("tokens of any issuer or for any audience are accepted; set BETTER_AUTH_URL to have iss and aud checked");
    }
    info!(address = %listener.local_addr().unwrap_or(config.listen), "serving");
    run(listener, app).await
}

pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(format!(
            "cannot listen on {address}: {error}. Stop what listens there, or set TASKS_API_LISTEN to another address, \
             for instance 127.0.0.1:8001."
        ))
    })
}

pub(crate) async fn state(config: &Config) -> Result<AppState, Failure> {
    let verifier = auth::verifier(&config.auth).map_err(|error| Failure::new(error.to_string()))?;
    let state = AppState::connect(config.database_url.expose(), verifier).await?;
    Ok(state.allow_origins(config.cors_origins.clone()))
}

/// Serves until SIGTERM or Ctrl-C; then finishes what is in hand.
pub(crate) async fn run(listener: TcpListener, app: Router) -> Result<(), Failure> {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async { drop(stopped.await) });
    let server = tokio::spawn(server.into_future());

    told_to_stop().await?;
    info!("stopping: finishing the requests in hand");
    drop(stop);
    if timeout(DRAIN, server).await.is_err() {
        warn!("some requests did not end within {} seconds", DRAIN.as_secs());
    }
    Ok(())
}

async fn told_to_stop() -> Result<(), Failure> {
    let failure = |error: std::io::Error| Failure::new(format!("cannot listen for signals: {error}."));
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(failure)?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            interrupt = tokio::signal::ctrl_c() => interrupt.map_err(failure),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map_err(failure)
}
