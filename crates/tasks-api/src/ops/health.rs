//! `GET /healthz` and `GET /readyz`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use better_auth_jwt::keys::Readiness;
use sea_orm::DbErr;
use serde_json::json;
use tokio::time::timeout;
use utoipa::{
    IntoResponses,
    openapi::{self, RefOr},
};

use crate::{
    database::{Database, migrate},
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
    let checks = async {
        let examined = examine(&state.database).await?;
        Ok::<_, DbErr>((examined, state.database.row_security_fits().await?))
    };
    let (database, migrations, row_security) = match timeout(TIMEOUT, checks).await {
        Ok(Ok((Examined { writable: false, .. }, _))) => (Some("database (it accepts no changes)"), None, None),
        Ok(Ok((Examined { migrated: false, .. }, _))) => {
            (None, Some("migrations (tables are missing or old: run `tasks-api migrate`)"), None)
        }
        Ok(Ok((_, false))) => {
            (None, None, Some("row-level security (it was enabled or disabled in the database: restart this server)"))
        }
        Ok(Ok((_, true))) => (None, None, None),
        Ok(Err(_)) | Err(_) => (Some("database (it does not answer)"), None, None),
    };
    let no_keys = (keys == Readiness::Unavailable).then_some("keys (none could be fetched yet)");
    let no_logouts = state.revocations.is_stale().then_some("logouts (they could not be read for too long)");
    let missing: Vec<&str> = [database, migrations, row_security, no_keys, no_logouts].into_iter().flatten().collect();
    if !missing.is_empty() {
        return Err(Problem::NotReady(format!("not ready: {}", missing.join(", ")).into()));
    }
    let keys = if keys == Readiness::Stale { "stale" } else { "ready" };
    Ok(Json(json!({ "status": "ready", "database": "ready", "migrations": "ready", "keys": keys })).into_response())
}

struct NotReady;

impl IntoResponses for NotReady {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let detail = "not ready: keys (none could be fetched yet)";
        problem::responses([Problem::NotReady(detail.into())], "/readyz")
    }
}

struct Examined {
    writable: bool,
    migrated: bool,
}

async fn examine(database: &Database) -> Result<Examined, DbErr> {
    let writable = database.writability.check(&database.connection).await?;
    Ok(Examined { writable, migrated: migrate::is_current(&database.connection).await? })
}

/// Shorter than the patience of those who ask.
const TIMEOUT: Duration = Duration::from_secs(2);
