use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, header},
    middleware,
    routing::{get, patch},
};
use better_auth_jwt::{Verifier, keys::RemoteKeySet};
use sea_orm::DatabaseConnection;
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};

use crate::{
    auth, body,
    cli::Failure,
    database, health,
    metrics::{self, Metrics},
    observe::observe,
    problem::Problem,
    tasks,
};

/// Every route and layer of the server.
pub fn app(state: AppState) -> Router {
    let auth = auth::layer(state.verifier.clone(), state.metrics.clone());
    let tasks = get(tasks::list).post(tasks::create);
    let task = get(tasks::read).put(tasks::replace).delete(tasks::delete);
    let complete = patch(tasks::complete);

    // On the methods themselves: an unknown route stays 404 and a wrong method 405, with or without a token.
    let routes = Router::new()
        .route("/api/{user_id}/tasks", tasks.route_layer(auth.clone()))
        .route("/api/{user_id}/tasks/{id}", task.route_layer(auth.clone()))
        .route("/api/{user_id}/tasks/{id}/complete", complete.route_layer(auth))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed);

    // From the outside in.
    let layers = ServiceBuilder::new()
        .layer(middleware::from_fn_with_state(state.clone(), observe))
        .layer(CatchPanicLayer::new())
        .option_layer(cors(state.cors_origins.clone()))
        .layer(middleware::from_fn(body::limit));
    routes.layer(layers).with_state(state)
}

fn cors(origins: Vec<HeaderValue>) -> Option<CorsLayer> {
    const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    let cors = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            IDEMPOTENCY_KEY,
            REQUEST_ID,
        ])
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            REQUEST_ID,
        ])
        .max_age(Duration::from_secs(600));
    // Without origins there is no layer at all: OPTIONS is then a method like any other.
    (!origins.is_empty()).then(|| cors.allow_origin(origins))
}

/// What the server's requests share.
#[derive(Clone)]
pub struct AppState {
    pub(crate) db: DatabaseConnection,
    pub(crate) verifier: Verifier,
    pub(crate) keys: Option<RemoteKeySet>,
    pub(crate) metrics: Arc<Metrics>,
    draining: Arc<AtomicBool>,
    cors_origins: Vec<HeaderValue>,
}

impl AppState {
    /// Connects to the database and brings its tables up to date.
    ///
    /// # Errors
    /// Says in a sentence why the database cannot be used.
    pub async fn connect(database_url: &str, verifier: Verifier) -> Result<Self, Failure> {
        let db = database::connect(database_url).await?;
        Ok(Self {
            db,
            verifier,
            keys: None,
            metrics: Arc::new(Metrics::new()),
            draining: Arc::default(),
            cors_origins: Vec::new(),
        })
    }

    /// Shows on `/metrics` how these keys, which the verifier uses, are doing.
    #[must_use]
    pub fn watch_keys(mut self, keys: RemoteKeySet) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Lets pages of these origins call the API from a browser.
    #[must_use]
    pub fn allow_origins(mut self, origins: Vec<HeaderValue>) -> Self {
        self.cors_origins = origins;
        self
    }

    /// From now on `/readyz` says that the server is stopping.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
