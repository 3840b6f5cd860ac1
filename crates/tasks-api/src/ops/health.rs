//! `GET /healthz` and `GET /readyz`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use better_auth_jwt::keys::Readiness;
use serde_json::json;
use tokio::time::timeout;
use utoipa::{
    IntoResponses,
    openapi::{self, RefOr},
};

use crate::{
    database::{Database, migrate::Migrations},
    http::problem::{self, Problem},
    state::AppState,
};

/// Liveness
///
/// The process is running.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "isAlive",
    tag = "operation",
    security(),
    responses((status = 200, description = "Alive", body = String)),
)]
pub(crate) async fn alive() -> &'static str {
    "ok"
}

/// Readiness
///
/// Whether a load balancer should send requests here. If not, `detail` lists each failed check.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "isReady",
    tag = "operation",
    security(),
    responses((status = 200, description = "Ready", body = Object), NotReady),
)]
pub(crate) async fn ready(State(state): State<Arc<AppState>>) -> Result<Response, Problem> {
    if state.is_draining() {
        return Err(Problem::NotReady("not ready: stopping".into()));
    }
    let keys = state.verifier.readiness();
    let no_keys = (keys == Readiness::Unavailable).then_some("keys (none could be fetched yet)");
    let no_logouts = state.revocations.is_stale().then_some("logouts (they could not be read for too long)");
    let missing: Vec<&str> = [missing(&state.database).await, no_keys, no_logouts].into_iter().flatten().collect();
    if !missing.is_empty() {
        return Err(Problem::NotReady(format!("not ready: {}", missing.join(", ")).into()));
    }
    let keys = if keys == Readiness::Stale { "stale" } else { "ready" };
    Ok(Json(json!({ "status": "ready", "database": "ready", "migrations": "ready", "keys": keys })).into_response())
}

/// What the database lacks. The response does not wait for a database that is known to be unavailable.
async fn missing(database: &Database) -> Option<&'static str> {
    const NO_RESPONSE: &str = "database (it does not respond)";
    let availability = &database.availability;
    let checks = availability.watch(async {
        Ok(if !availability.writability().check(&database.connection).await? {
            Some("database (it accepts no changes)")
        } else if !Migrations::read(&database.connection).await?.pending.is_empty() {
            Some("migrations (some are pending: run `tasks-api migrate up`)")
        } else if !database.row_security_fits().await? {
            Some("row-level security (it was enabled or disabled in the database: restart this server)")
        } else {
            None
        })
    });
    tokio::select! {
        checked = timeout(TIMEOUT, checks) => checked.map_or(Some(NO_RESPONSE), |checked| checked.unwrap_or(Some(NO_RESPONSE))),
        () = availability.unavailable() => Some(NO_RESPONSE),
    }
}

struct NotReady;

impl IntoResponses for NotReady {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let detail = "not ready: keys (none could be fetched yet)";
        problem::responses([Problem::NotReady(detail.into())], "/readyz")
    }
}

/// Shorter than the timeouts of balancers.
const TIMEOUT: Duration = Duration::from_secs(2);
