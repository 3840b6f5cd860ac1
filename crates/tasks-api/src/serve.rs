use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use better_auth_jwt::MissingSession;
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
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    auth,
    cli::Failure,
    config::{Config, RateLimit},
    connection::GentleStream,
    database, idempotency,
    logout::LogoutRules,
    router::{AppState, app},
};

/// After SIGTERM we go on as before for so long, and only `/readyz` tells: the time that balancers need to notice.
const NOTICE: Duration = Duration::from_secs(2);

/// From then on what is in hand has this long; together with [`NOTICE`] less than the 10 seconds after which supervisors kill.
const FINISH: Duration = Duration::from_secs(5);

/// Longer than the 60 seconds for which balancers keep idle connections: theirs is the first close, so none of their requests meets ours.
const IDLE: Duration = Duration::from_secs(75);

/// A connection on which no whole request head has arrived by then is closed.
const FIRST_HEAD: Duration = Duration::from_secs(10);

/// Bounds the memory of a connection: hyper's buffer, which may grow to twice this. Tokens have at most 8 KiB.
const MAX_HEAD: usize = 32 * 1024;

pub(crate) async fn serve(config: Config) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let listener = listen(config.listen).await?;
    let _lock = database::lock(&config.database_url)?;
    let state = state(&config).await?;
    if config.auth.issuer.is_none() || config.auth.audience.is_none() {
        warn!("tokens of any issuer or for any audience are accepted; set BETTER_AUTH_URL to have iss and aud checked");
    }
    info!(address = %listener.local_addr().unwrap_or(config.listen), "serving");
    run(listener, state, signals).await;
    Ok(())
}

/// Each connection is an open file, and the usual soft limit is 1024: from there on clients would wait in vain.
/// Where the limit cannot be raised, the server runs with the one it has.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            debug!(%error, "cannot raise the limit of open files");
        }
    }
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
    let (verifier, keys) = auth::verifier(&config.auth).map_err(|error| Failure::new(error.to_string()))?;
    let logouts = LogoutRules {
        verifier: auth::logout_verifier(&verifier, &config.auth),
        issuer: config.auth.issuer.clone().unwrap_or_default(),
        keep: config.revocation_keep,
        outage: config.revocation_outage,
        without_session: if config.auth.require_sid { MissingSession::Reject } else { MissingSession::Allow },
    };
    let state = AppState::connect(config.database_url.expose(), verifier, logouts).await?;
    let state = if config.row_security { state.secure_rows().await? } else { state };
    let state = state.allow_origins(config.cors_origins.clone());
    let state = match config.rate_limit {
        Some(RateLimit { requests, window }) => state.limit_rate(requests, window),
        None => state,
    };
    Ok(match keys {
        Some(keys) => state.watch_keys(keys),
        None => state,
    })
}

/// Serves until SIGTERM or Ctrl-C; then finishes what is in hand and in the accept queue.
pub(crate) async fn run(listener: TcpListener, state: AppState, mut signals: Signals) {
    raise_file_limit();
    let server = Server::new(app(state.clone()));
    tokio::spawn(idempotency::purge_expired(state.store.clone()));
    tokio::spawn(state.logouts.clone().forget_old());
    tokio::spawn(state.logouts.clone().follow());
    let mut last_call = pin!(async {
        let notice = signals.stop().await;
        info!("stopping: finishing the requests in hand");
        state.drain();
        sleep(notice).await;
    });
    let mut last_warning = None;
    loop {
        tokio::select! {
            () = &mut last_call => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => server.serve(stream),
                Err(error) => {
                    // Out of file descriptors, for instance: some will be given back soon.
                    if last_warning.is_none_or(|time: Instant| time.elapsed() >= Duration::from_secs(1)) {
                        last_warning = Some(Instant::now());
                        warn!(%error, "cannot accept connections");
                    }
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    for stream in close(listener) {
        server.serve(stream);
    }
    server.finish().await;
}

/// Closes the door behind those who stand in the queue. Between the last accept and the close nothing else is done:
/// who comes just then is reset, everybody later is refused.
fn close(listener: TcpListener) -> Vec<TcpStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let queue: Vec<_> = std::iter::from_fn(|| listener.accept().ok()).collect();
    drop(listener);
    let served = |(stream, _): (std::net::TcpStream, _)| {
        stream.set_nonblocking(true)?;
        TcpStream::from_std(stream)
    };
    queue.into_iter().filter_map(|accepted| served(accepted).ok()).collect()
}

struct Server {
    app: Router,
    http: http1::Builder,
    connections: GracefulShutdown,
}

impl Server {
    fn new(app: Router) -> Self {
        let mut http = http1::Builder::new();
        // One buffer for head and body: they are small, and one piece is sent for less than two.
        http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(MAX_HEAD).writev(false);
        Self { app, http, connections: GracefulShutdown::new() }
    }

    fn serve(&self, stream: TcpStream) {
        // Answers are written whole; waiting for more only makes them late.
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
            let mut connection = pin!(connection);
            let mut result = timeout(FIRST_HEAD, &mut connection).await.ok();
            if result.is_none() && has_request.load(Ordering::Relaxed) {
                result = Some(connection.await);
            }
            match result {
                Some(Ok(())) => {}
                Some(Err(error)) => debug!(%error, "a connection ended early"),
                None => debug!("a connection without a request is closed"),
            }
        });
    }

    async fn finish(self) {
        // Connections that have said nothing are closed next: those just accepted get the time to be read.
        sleep(Duration::from_millis(250)).await;
        if timeout(FINISH, self.connections.shutdown()).await.is_err() {
            warn!("some requests did not end within {} seconds", FINISH.as_secs());
        }
    }
}

/// What tells the server to stop. Made before anybody can know that it runs.
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failure = |error: io::Error| Failure::new(format!("cannot listen for signals: {error}."));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failure)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failure)?,
        })
    }

    /// Waits for a signal; for how long to go on as before follows from which it was: at a terminal nobody wants to wait.
    #[cfg(unix)]
    async fn stop(&mut self) -> Duration {
        tokio::select! {
            _ = self.terminate.recv() => NOTICE,
            _ = self.interrupt.recv() => Duration::ZERO,
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn stop(&mut self) -> Duration {
        let _ = tokio::signal::ctrl_c().await;
        Duration::ZERO
    }
}
