//! `dev`: runs the server with a random secret and prints curl commands that call it.

use std::{
    io::{self, Write},
    net::SocketAddr,
    time::Duration,
};

use anyhow::Context;
use aws_lc_rs::rand;
use axum::{
    Router,
    body::Body,
    http::{
        Method, Request,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};
use uuid::Uuid;

use crate::{
    app::app,
    config::ServerConfig,
    database,
    server::{Listeners, reachable, run},
    signals::Signals,
    state::AppState,
    token::sign,
};

/// Fixed, so that the same tasks are listed after a restart.
const USER: &str = "dev";
const EXAMPLE: &str = "Try out tasks-api";

pub(crate) async fn dev(mut config: ServerConfig) -> anyhow::Result<()> {
    if config.auth.secrets.is_empty() {
        config.auth.secrets.push(random_secret()?.into());
    }
    let session = Uuid::now_v7().to_string();
    let token = sign(USER, Duration::from_secs(7 * 24 * 60 * 60), Some(&session), &config.auth)?;

    let signals = Signals::listen()?;
    let listeners = Listeners::bind(&config.http).await?;
    let _lock = database::lock(&config.database.url)?;
    let state = AppState::connect(config.app()?).await?;
    let example = example_task(&app(state.clone()), &token).with_subscriber(NoSubscriber::default()).await?;
    let database = config.database.url.describe();
    let quickstart = quickstart(listeners.address()?, &database, &token, &example);
    // A closed standard output must not stop the server.
    let _ = io::stdout().write_all(quickstart.as_bytes());
    run(listeners, state, signals, &config.http).await
}

/// Complete commands that can be run in any order. Those for one task use the example task, which exists.
fn quickstart(address: SocketAddr, database: &str, token: &str, example: &str) -> String {
    let server = format!("http://{}", reachable(address));
    let tasks = format!("{server}/api/{USER}/tasks");
    let task = format!("{tasks}/{example}");
    let curl = |about: &str, rest: String| format!("# {about}\ncurl -sS -w '\\n' {rest}\n");
    let auth = format!("-H 'Authorization: Bearer {token}'");
    let json = "-H 'Content-Type: application/json'";
    [
        format!(
            "tasks-api is listening on {server}\nTasks are stored in {database}\n\nA token of the user \"{USER}\", valid for 7 \
             days:\n{token}\n\nIn a browser: {server}/docs\n\nReady to paste:\n\n"
        ),
        curl("Is the server running?", format!("{server}/healthz")),
        curl("Create a task", format!("-X POST {tasks} {auth} {json} -d '{{\"title\":\"Buy milk\",\"description\":\"Two litres\"}}'")),
        curl("List your tasks, newest first", format!("{auth} '{tasks}?limit=20'")),
        curl("Read a task", format!("{auth} {task}")),
        curl(
            "Replace a task",
            format!("-X PUT {task} {auth} {json} -d '{{\"title\":\"{EXAMPLE}\",\"description\":\"Replaced\",\"completed\":false}}'"),
        ),
        curl("Complete a task; repeat to reopen it", format!("-X PATCH {task}/complete {auth}")),
        curl("Delete a task (the next start creates it again)", format!("-i -X DELETE {task} {auth}")),
        "\nCtrl-C stops the server; the tasks stay.\n\n".into(),
    ]
    .concat()
}

/// The id of the example task, which is created if it is missing.
async fn example_task(app: &Router, token: &str) -> anyhow::Result<String> {
    let page = call(app, token, Method::GET, None).await?;
    let mut items = page["items"].as_array().into_iter().flatten();
    let task = match items.find(|task| task["title"] == EXAMPLE) {
        Some(task) => task.clone(),
        None => call(app, token, Method::POST, Some(json!({ "title": EXAMPLE }))).await?,
    };
    task["id"].as_str().map(str::to_owned).with_context(|| format!("the example task cannot be created: {task}"))
}

async fn call(app: &Router, token: &str, method: Method, body: Option<Value>) -> anyhow::Result<Value> {
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/{USER}/tasks?limit=100"))
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json")
        .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))?;
    let Ok(response) = app.clone().oneshot(request).await;
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
    serde_json::from_slice(&body).context("the first request failed")
}

fn random_secret() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok().context("no entropy for a random secret")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
