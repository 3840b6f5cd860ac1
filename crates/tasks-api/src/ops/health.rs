//! `GET /healthz` and `GET /readyz`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use better_auth_jwt::keys::Readiness;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    database::{Database, migrate::Migrations},
    http::problem::Problem,
    state::AppState,
};

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> &'static str {
    "ok"
}

/// `GET /readyz`: should a balancer send requests here? It says for each part what keeps it from working.
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
        Ok(if !availability.accepts_changes(&database.connection).await? {
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

/// Shorter than the timeouts of balancers.
const TIMEOUT: Duration = Duration::from_secs(2);
