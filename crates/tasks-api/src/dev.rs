use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

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
    cli::Failure,
    config::{Config, Redacted},
    database,
    router::app,
    serve::{Signals, listen, run, state},
    token::sign,
};

/// Always the same, so that the tasks are there again after a restart.
const USER: &str = "dev";
const EXAMPLE: &str = "Try out tasks-api";

pub(crate) async fn dev(mut config: Config) -> Result<(), Failure> {
    if config.auth.secrets.is_empty() {
        config.auth.secrets.push(Redacted::new(random_secret()?));
    }
    let session = Uuid::now_v7().to_string();
    let token = sign(USER, Duration::from_secs(7 * 24 * 60 * 60), Some(&session), &config.auth)?;

    let signals = Signals::listen()?;
    let listener = listen(config.listen).await?;
    let address = listener.local_addr().map_err(|error| Failure::new(format!("the address is not known: {error}.")))?;
    let _lock = database::lock(&config.database_url)?;
    let state = state(&config).await?;
    let example = example_task(&app(state.clone()), &token).with_subscriber(NoSubscriber::default()).await?;
    // Nobody may be reading, and the server is of use all the same.
    let _ = io::stdout().write_all(tour(address, &token, &example).as_bytes());
    run(listener, state, signals).await;
    Ok(())
}

/// Lines to paste, in any order, each whole in itself; so those on one task name a task that is there.
fn tour(address: SocketAddr, token: &str, example: &str) -> String {
    let server = format!("http://{}", reachable(address));
    let tasks = format!("{server}/api/{USER}/tasks");
    let task = format!("{tasks}/{example}");
    let curl = |about: &str, rest: String| format!("# {about}\ncurl -sS -w '\\n' {rest}\n");
    let auth = format!("-H 'Authorization: Bearer {token}'");
    let json = "-H 'Content-Type: application/json'";
    [
        format!("tasks-api is listening on {server}\n\nA token of the user \"{USER}\", good for 7 days:\n{token}\n\nIn a browser: {server}/docs\n\nReady to paste:\n\n"),
        curl("Is it up?", format!("{server}/healthz")),
        curl("Create a task", format!("-X POST {tasks} {auth} {json} -d '{{\"title\":\"Buy milk\",\"description\":\"Two litres\"}}'")),
        curl("List your tasks, the newest first", format!("{auth} '{tasks}?limit=20'")),
        curl("Read one", format!("{auth} {task}")),
        curl(
            "Replace it",
            format!("-X PUT {task} {auth} {json} -d '{{\"title\":\"{EXAMPLE}\",\"description\":\"Replaced\",\"completed\":false}}'"),
        ),
        curl("Complete it; once more, and it is open again", format!("-X PATCH {task}/complete {auth}")),
        curl("Delete it (the next start makes it anew)", format!("-i -X DELETE {task} {auth}")),
        "\nCtrl-C stops the server; the tasks stay.\n\n".into(),
    ]
    .concat()
}

/// The id of the task that the tour is about, made where it is missing.
async fn example_task(app: &Router, token: &str) -> Result<String, Failure> {
    let page = call(app, token, Method::GET, None).await?;
    let mut items = page["items"].as_array().into_iter().flatten();
    let task = match items.find(|task| task["title"] == EXAMPLE) {
        Some(task) => task.clone(),
        None => call(app, token, Method::POST, Some(json!({ "title": EXAMPLE }))).await?,
    };
    match task["id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => Err(Failure::new(format!("the example task could not be made: {task}"))),
    }
}

async fn call(app: &Router, token: &str, method: Method, body: Option<Value>) -> Result<Value, Failure> {
    let failure = |error: &dyn std::fmt::Display| Failure::new(format!("the first request failed: {error}."));
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/{USER}/tasks?limit=100"))
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json")
        .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
        .map_err(|error| failure(&error))?;
    let Ok(response) = app.clone().oneshot(request).await;
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.map_err(|error| failure(&error))?;
    serde_json::from_slice(&body).map_err(|error| failure(&error))
}

/// Listening on every address is no address to call.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    address
}

fn random_secret() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Failure::new("the system gives no random numbers."))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
