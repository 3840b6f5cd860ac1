use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::FromRef,
    handler::Handler,
    http::{HeaderName, HeaderValue, Method, header},
    middleware,
    routing::{get, get_service, patch_service, post_service},
};
use better_auth_jwt::{Verifier, keys::RemoteKeySet};
use tower::ServiceBuilder;
use tower_http::cors::CorsLayer;

use crate::{
    auth,
    cli::Failure,
    database,
    database_url::DatabaseUrl,
    docs, health,
    limits::LimitsLayer,
    logout::{self, LogoutRules, Logouts},
    metrics::{self, Metrics},
    observe,
    problem::Problem,
    rate_limit::{self, RateLimit},
    store::Store,
    tasks,
};

/// Every route and layer of the server.
pub fn app(state: AppState) -> Router {
    // Handlers and layers clone their state for each request.
    let state = Arc::new(state);

    // From the outside in. On the methods themselves: an unknown route stays 404 and a wrong method 405, with or without a token.
    // One stack for all, around the handler: each box within a box would be cloned once more for each request.
    // Authentication comes first and needs the head alone, so that clients without a valid token take no slot and send no body.
    let guarded = ServiceBuilder::new()
        .layer(auth::layer(state.verifier.clone(), state.logouts.clone(), state.metrics.clone()))
        .option_layer(state.rate_limit.clone().map(|limit| middleware::from_fn_with_state(limit, rate_limit::apply)))
        .layer(LimitsLayer::authenticated());
    let tasks = get_service(guarded.service(tasks::list.with_state(state.clone())))
        .post_service(guarded.service(tasks::create.with_state(state.clone())));
    let task = get_service(guarded.service(tasks::read.with_state(state.clone())))
        .put_service(guarded.service(tasks::replace.with_state(state.clone())))
        .delete_service(guarded.service(tasks::delete.with_state(state.clone())));
    let complete = patch_service(guarded.service(tasks::complete.with_state(state.clone())));

    // Without a bearer token: the logout token authenticates itself. An invalid one costs a signature check.
    let logout = post_service(logout::endpoint(state.logouts.clone(), state.metrics.clone()))
        .route_layer(LimitsLayer::unauthenticated());

    let routes = Router::new()
        .route("/api/{user_id}/tasks", tasks)
        .route("/api/{user_id}/tasks/{id}", task)
        .route("/api/{user_id}/tasks/{id}/complete", complete)
        .route("/auth/backchannel-logout", logout)
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(docs::openapi))
        .route("/docs", get(docs::page))
        .route("/docs/{part}", get(docs::part))
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed);

    // From the outside in.
    let layers =
        ServiceBuilder::new().layer(observe::layer(state.clone())).option_layer(cors(state.cors_origins.clone()));
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
            rate_limit::RATE_LIMIT,
            rate_limit::POLICY,
            REQUEST_ID,
        ])
        .max_age(Duration::from_secs(600));
    // Without origins there is no layer at all: OPTIONS is then a method like any other.
    (!origins.is_empty()).then(|| cors.allow_origin(origins))
}

/// What the server's requests share.
#[derive(Clone)]
pub struct AppState {
    pub(crate) store: Store,
    pub(crate) verifier: Verifier,
    pub(crate) keys: Option<RemoteKeySet>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) logouts: Logouts,
    draining: Arc<AtomicBool>,
    rate_limit: Option<Arc<RateLimit>>,
    cors_origins: Vec<HeaderValue>,
}

impl FromRef<Arc<AppState>> for Store {
    fn from_ref(state: &Arc<AppState>) -> Self {
        state.store.clone()
    }
}

impl AppState {
    /// Connects to the database, brings its tables up to date, and learns which sessions have ended.
    ///
    /// # Errors
    /// Says in a sentence why the database cannot be used.
    pub async fn connect(database_url: &str, verifier: Verifier, logouts: LogoutRules) -> Result<Self, Failure> {
        let url =
            DatabaseUrl::parse(database_url).map_err(|fault| Failure::new(format!("the database URL {fault}.")))?;
        let (db, writability) = database::connect(&url).await?;
        let store = Store::new(db.clone(), writability.clone()).follow_row_security().await;
        let store = store.map_err(|error| Failure::new(format!("cannot read the state of the database: {error}.")))?;
        let logouts = Logouts::load(db, writability, logouts).await?;
        Ok(Self {
            store,
            verifier,
            keys: None,
            metrics: Arc::new(Metrics::new()),
            logouts,
            draining: Arc::default(),
            rate_limit: None,
            cors_origins: Vec::new(),
        })
    }

    /// Has PostgreSQL's row-level security keep the users apart, too.
    ///
    /// # Errors
    /// The database is no PostgreSQL, or its role is above policies or may not set them.
    pub async fn secure_rows(mut self) -> Result<Self, Failure> {
        self.store = self.store.secure_rows().await?;
        Ok(self)
    }

    /// Shows on `/metrics` how these keys, which the verifier uses, are doing.
    #[must_use]
    pub fn watch_keys(mut self, keys: RemoteKeySet) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Lets each user send so many requests at once, and as many again in each `window`.
    #[must_use]
    pub fn limit_rate(mut self, requests: NonZeroU32, window: Duration) -> Self {
        self.rate_limit = Some(Arc::new(RateLimit::new(requests, window)));
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
