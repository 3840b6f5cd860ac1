//! All routes and layers.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, header::CACHE_CONTROL},
    middleware,
    routing::{MethodRouter, get, patch, post_service},
};
use better_auth_jwt::PathParam;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    trace::TraceLayer,
};

use crate::{
    auth::{self, Auth},
    http::problem::Problem,
    layers,
    limits::{self, Limits},
    ops::{docs, health, metrics},
    rate_limit, revocation,
    state::AppState,
    tasks,
};

/// The router of the API. It includes probes, metrics and documentation unless they have a separate listener.
pub fn app(state: AppState) -> Router {
    let state = Arc::new(state);

    // The layers are on the method routers: an unknown route stays 404 and a wrong method 405, with or without a token.
    // The last layer is the outermost. Authentication needs only the request head, so requests without a valid token
    // take no slot and their body is not read.
    let auth = auth::layer(&state).match_user(PathParam("user_id"));
    let limits = ServiceBuilder::new()
        .option_layer(state.rate_limit.clone().map(|limit| middleware::from_fn_with_state(limit, rate_limit::apply)))
        .layer(middleware::from_fn_with_state(Limits::authenticated(state.limits), limits::apply));
    let private = SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    let protect = |auth: &Auth, methods: MethodRouter<Arc<AppState>>| {
        methods.route_layer(private.clone()).route_layer(limits.clone()).route_layer(auth.clone())
    };

    let api = Router::new()
        .route("/api/{user_id}/tasks", protect(&auth, get(tasks::list).post(tasks::create)))
        .route("/api/{user_id}/tasks/{id}", protect(&auth, get(tasks::read).put(tasks::replace).delete(tasks::delete)))
        .route("/api/{user_id}/tasks/{id}/complete", protect(&auth, patch(tasks::complete)));

    // No bearer token is required: the logout token authenticates the request. An invalid one costs a signature check.
    let logout = post_service(revocation::endpoint(&state.revocations, &state.metrics))
        .route_layer(middleware::from_fn_with_state(Limits::unauthenticated(state.limits), limits::apply));
    let api = api.route("/auth/backchannel-logout", logout);

    let routes = if state.has_admin_listener { api } else { api.merge(operation()) };
    with_layers(routes, state)
}

/// Probes, metrics and documentation, for the admin listener.
pub(crate) fn admin(state: AppState) -> Router {
    with_layers(operation(), Arc::new(state))
}

fn operation() -> Router<Arc<AppState>> {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::text))
        .route("/openapi.json", get(docs::openapi))
        .route("/docs", get(docs::index))
        .route("/docs/{asset}", get(docs::asset))
}

fn with_layers(routes: Router<Arc<AppState>>, state: Arc<AppState>) -> Router {
    // The first layer is the outermost.
    let layers = ServiceBuilder::new()
        .map_request(layers::remove_invalid_request_id)
        .layer(SetRequestIdLayer::x_request_id(layers::UuidRequestId))
        .layer(TraceLayer::new_for_http().make_span_with(layers::span).on_request(()).on_response(()).on_failure(()))
        .layer(middleware::from_fn_with_state(state.clone(), layers::record))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(middleware::from_fn_with_state(state.clone(), layers::finish_response))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .option_layer(layers::cors(&state.cors));
    routes
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(layers)
        .with_state(state)
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request};
    use better_auth_jwt::Verifier;
    use tower::ServiceExt;

    use super::*;
    use crate::{database::DatabaseConfig, state::AppConfig};

    #[tokio::test]
    async fn handler_panic_gets_500_with_problem_document() {
        let database = DatabaseConfig::new("sqlite::memory:").unwrap();
        let verifier =
            Verifier::shared_secret("0123456789abcdef0123456789abcdef").unwrap().issuer("a").audience("b").unwrap();
        let state = AppState::connect(AppConfig::new(verifier, database)).await.unwrap();
        let panics = Router::new().route("/", get(async || -> () { panic!("broken") }));
        let response = with_layers(panics, Arc::new(state)).oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        assert!(response.headers().contains_key("x-request-id") && response.headers().contains_key("x-frame-options"));
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "internal");
    }
}
