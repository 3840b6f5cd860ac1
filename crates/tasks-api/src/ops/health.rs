//! `GET /healthz` and `GET /readyz`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use better_auth_jwt::keys::Readiness;
use sea_orm::DbErr;
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
    let checks = async {
        let examined = examine(&state.database).await?;
        Ok::<_, DbErr>((examined, state.database.row_security_fits().await?))
    };
    let (database, migrations, row_security) = match timeout(TIMEOUT, checks).await {
        Ok(Ok((Examined { writable: false, .. }, _))) => (Some("database (it accepts no changes)"), None, None),
        Ok(Ok((Examined { migrated: false, .. }, _))) => {
            (None, Some("migrations (some are pending: run `tasks-api migrate up`)"), None)
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

struct Examined {
    writable: bool,
    migrated: bool,
}

async fn examine(database: &Database) -> Result<Examined, DbErr> {
    let writable = database.writability.check(&database.connection).await?;
    Ok(Examined { writable, migrated: Migrations::read(&database.connection).await?.pending.is_empty() })
}

/// Shorter than the patience of those who ask.
const TIMEOUT: Duration = Duration::from_secs(2);
