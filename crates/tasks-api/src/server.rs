//! Listening, serving connections, and shutting down.
//!
//! Uses hyper instead of `axum::serve`, which has no timeouts for request heads, idle connections and the shutdown, and
//! resets the connections that are still in the accept queue when it ends.

use std::{
    future::pending,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use axum::Router;
use hyper::{
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    app::{admin, app},
    config::{HttpConfig, ServerConfig},
    database,
    gentle_stream::GentleStream,
    idempotency,
    signals::{Signals, Stop},
    state::AppState,
};

/// A connection is closed if no complete request head arrives within this time.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A second signal ends the drain only after this time.
const SECOND_SIGNAL_DELAY: Duration = Duration::from_secs(1);

/// Bounds the memory of a connection: hyper's buffer, which may grow to twice this.
const MAX_HEAD_SIZE: usize = 32 * 1024;

/// Runs the server until it receives a signal.
///
/// # Errors
/// The server cannot start. The error says what to do.
pub(crate) async fn serve(config: ServerConfig) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let listeners = Listeners::bind(&config.http).await?;
    let _lock = database::lock(&config.database.url)?;
    if !config.auth.checks_issuer_and_audience() {
        warn!(
            "tokens of any issuer or for any audience are accepted; set BETTER_AUTH_URL, or BETTER_AUTH_ISSUER and BETTER_AUTH_AUDIENCE"
        );
    }
    let state = tokio::select! {
        state = AppState::connect(config.app()?) => state?,
        _ = signals.stop() => return Ok(()),
    };
    let admin_address = listeners.admin.as_ref().and_then(|listener| listener.local_addr().ok());
    info!(
        address = %listeners.address()?,
        admin_address = admin_address.map(tracing::field::display),
        database = config.database.url.describe(),
        row_security = state.database.row_security_is_enabled(),
        issuers = config.auth.issuers.join(","),
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    run(listeners, state, signals, &config.http).await
}

/// The sockets on which the server listens. Connections wait in their queues until it is ready.
pub(crate) struct Listeners {
    api: TcpListener,
    admin: Option<TcpListener>,
}

impl Listeners {
    pub(crate) async fn bind(config: &HttpConfig) -> anyhow::Result<Self> {
        let admin = match config.admin_listen {
            Some(address) => Some(bind(address, "TASKS_API_ADMIN_LISTEN").await?),
            None => None,
        };
        Ok(Self { api: bind(config.listen, "TASKS_API_LISTEN").await?, admin })
    }

    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        self.api.local_addr().context("cannot read the address that the server listens on")
    }
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}; stop the program that listens there, or set {setting} to another address, for \
             instance 127.0.0.1:8001"
        )
    })
}

/// Replaces the unspecified address, which means every address of this machine, with loopback.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    address
}

/// Serves until SIGTERM or Ctrl-C; then finishes the requests in flight and in the accept queue.
///
/// # Errors
/// A second signal ended it before the requests in flight had finished.
pub(crate) async fn run(
    listeners: Listeners,
    state: AppState,
    mut signals: Signals,
    config: &HttpConfig,
) -> anyhow::Result<()> {
    raise_file_limit(state.limits.max_in_flight);
    tokio::spawn(idempotency::purge_expired(state.database.clone()));
    tokio::spawn(state.revocations.clone().purge_expired());
    tokio::spawn(state.revocations.clone().sync());
    if let Some(limit) = &state.rate_limit {
        tokio::spawn(limit.clone().purge());
    }

    let connections = Arc::new(GracefulShutdown::new());
    let (stop, stopped) = watch::channel(false);
    let mut accepting = JoinSet::new();
    let mut accept = |listener, app| {
        let server = Server::new(app, config.keep_alive_timeout, connections.clone());
        accepting.spawn(server.accept(listener, stopped.clone()));
    };
    accept(listeners.api, app(state.clone()));
    if let Some(listener) = listeners.admin {
        accept(listener, admin(state.clone()));
    }

    let signal = signals.stop().await;
    info!("shutting down, draining");
    state.drain();
    let drain = async {
        if signal == Stop::Terminate {
            sleep(config.drain_delay).await;
        }
        stop.send_replace(true);
        accepting.join_all().await;
        // The shutdown closes connections without a request. Give those just accepted time to send one.
        sleep(Duration::from_millis(250)).await;
        // The tasks that accepted connections have dropped their clones.
        if let Some(connections) = Arc::into_inner(connections)
            && timeout(config.shutdown_timeout, connections.shutdown()).await.is_err()
        {
            warn!("some requests did not end within {:?}", config.shutdown_timeout);
        }
    };
    let second_signal = async {
        // Some supervisors signal a process and then its group.
        let first = Instant::now();
        loop {
            signals.stop().await;
            if first.elapsed() >= SECOND_SIGNAL_DELAY {
                break;
            }
        }
    };
    tokio::select! {
        () = drain => {
            info!("stopped");
            Ok(())
        }
        () = second_signal => bail!("stopped by a second signal, without waiting for requests in flight"),
    }
}

/// Raises the soft limit of open files, often 1024, to the hard limit: each connection is an open file. If that fails, the
/// server runs with the current limit.
fn raise_file_limit(max_in_flight: usize) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            debug!(%error, "cannot raise the limit of open files");
        }
        if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < max_in_flight as u64) {
            warn!(limit, "fewer open files are allowed than TASKS_API_MAX_IN_FLIGHT; raise the limit (ulimit -n)");
        }
    }
}

/// Accepts and serves the connections of one listener.
struct Server {
    app: Router,
    http: http1::Builder,
    connections: Arc<GracefulShutdown>,
}

impl Server {
    fn new(app: Router, keep_alive_timeout: Duration, connections: Arc<GracefulShutdown>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(keep_alive_timeout).max_buf_size(MAX_HEAD_SIZE);
        Self { app, http, connections }
    }

    /// Accepts connections until `stopped`, then those that are still in the accept queue.
    async fn accept(self, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
        let mut last_warning = None;
        loop {
            let accepted = tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.serve(stream),
                Err(error) => {
                    // For instance, no file descriptors are left. Some will be closed soon.
                    if last_warning.is_none_or(|time: Instant| time.elapsed() >= Duration::from_secs(1)) {
                        last_warning = Some(Instant::now());
                        warn!(%error, "cannot accept connections");
                    }
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
        close(listener).into_iter().for_each(|stream| self.serve(stream));
    }

    fn serve(&self, stream: TcpStream) {
        // Responses are written in one piece, so Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let app = TowerToHyperService::new(self.app.clone());
        let has_request = Arc::new(AtomicBool::new(false));
        let service = service_fn({
            let has_request = has_request.clone();
            move |request| {
                has_request.store(true, Ordering::Relaxed);
                app.call(request)
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(GentleStream::new(stream)), service);
        let connection = self.connections.watch(connection);
        tokio::spawn(async move {
            let first_request_timeout = async {
                sleep(FIRST_REQUEST_TIMEOUT).await;
                if has_request.load(Ordering::Relaxed) {
                    pending().await
                }
            };
            let mut connection = pin!(connection);
            tokio::select! {
                result = &mut connection => if let Err(error) = result {
                    debug!(%error, "a connection ended early");
                },
                () = first_request_timeout => debug!("a connection without a request is closed"),
            }
        });
    }
}

/// Drains the accept queue, then closes the listener. Nothing runs between the last accept and the close, since a client
/// that connects in between gets a reset. Later clients are refused.
fn close(listener: TcpListener) -> Vec<TcpStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let queue: Vec<_> = std::iter::from_fn(|| listener.accept().ok()).collect();
    drop(listener);
    let to_tokio = |(stream, _): (std::net::TcpStream, _)| {
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    };
    queue.into_iter().filter_map(|accepted| to_tokio(accepted).ok()).collect()
}
