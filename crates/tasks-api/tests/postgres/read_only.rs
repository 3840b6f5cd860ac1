//! A PostgreSQL that is read-only: a standby, or a primary that was demoted.

use std::{thread, time::Duration};

use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    connection::{Connection, request},
    database::{Database, administer, execute},
    logout::{get_status, serve, wait_until},
    test_app::TestApp,
};

/// Has all sessions of the app be read-only.
async fn demote_under(app: &TestApp) {
    demote(&app.database);
    // Connections that were idle this long are tested before their next use.
    sleep(Duration::from_millis(1100)).await;
    let mut reads = JoinSet::new();
    for _ in 0..20 {
        let ada = app.user("ada");
        reads.spawn(async move { ada.get("tasks").await.status.as_u16() });
    }
    assert_eq!(reads.join_all().await, [200; 20]);
}

/// Has all new sessions be read-only, and ends the others, since sessions keep the setting that they began with.
fn demote(database: &Database) {
    administer(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", name(database)));
    execute(
        database.url(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
}

/// Has new sessions not be read-only any more. Those of the app still are.
fn promote(database: &Database) {
    administer(&format!("ALTER DATABASE {} RESET default_transaction_read_only", name(database)));
}

fn name(database: &Database) -> String {
    url::Url::parse(database.url()).unwrap().path()[1..].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_read_only_changes_are_503_and_the_server_is_not_ready() {
    let app = TestApp::new().await;
    let (ada, probe) = (app.user("ada"), app.client("", &[]));
    let id = ada.task("t").await;
    demote_under(&app).await;
    let keyed = ada.clone().header("idempotency-key", "k");
    let path = format!("tasks/{id}");
    for answer in [
        ada.post("tasks", json!({ "title": "t" })).await,
        keyed.post("tasks", json!({ "title": "t" })).await,
        ada.patch(&format!("{path}/complete")).await,
        ada.put(&path, json!({ "title": "u", "description": null, "completed": true })).await,
        ada.delete(&path).await,
    ] {
        answer.assert_problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "2");
    }
    ada.get(&path).await.assert_status(200);
    let not_ready = probe.get("/readyz").await;
    not_ready.assert_problem(503, "not_ready");
    assert!(not_ready.body["detail"].as_str().unwrap().contains("database"), "{not_ready:?}");

    promote(&app.database);
    // The time that clients were told to wait.
    sleep(Duration::from_secs(2)).await;
    probe.get("/readyz").await.assert_status(200);
    keyed.post("tasks", json!({ "title": "t" })).await.assert_status(201);
    ada.patch(&format!("{path}/complete")).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_connections_are_not_reused() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    demote_under(&app).await;
    promote(&app.database);
    ada.post("tasks", json!({ "title": "t" })).await.assert_problem(503, "unavailable");
    sleep(Duration::from_secs(2)).await;
    let mut creations = JoinSet::new();
    for _ in 0..20 {
        let ada = ada.clone();
        creations.spawn(async move { ada.task("t").await });
    }
    assert_eq!(creations.join_all().await.len(), 20);
}

#[test]
fn idle_server_replaces_read_only_connections() {
    let database = Database::new();
    let server = serve(database.url(), &[]);
    demote(&database);
    // The server reads the logouts every two seconds.
    thread::sleep(Duration::from_secs(3));
    promote(&database);
    thread::sleep(Duration::from_secs(2));
    let mut connection = Connection::open(&server.address).unwrap();
    for _ in 0..5 {
        let created = connection.send(&request("POST", "/api/ada/tasks", r#"{"title":"t"}"#)).unwrap();
        assert_eq!(created.status, 201);
    }
}

#[test]
fn read_only_database_is_logged_once_at_its_start_and_once_at_its_end() {
    let database = Database::new();
    let server = serve(database.url(), &[("RUST_LOG", "info")]);
    let create = || {
        let create = request("POST", "/api/ada/tasks", r#"{"title":"t"}"#);
        Connection::open(&server.address).unwrap().send(&create).unwrap().status
    };
    assert_eq!(create(), 201);
    demote(&database);
    wait_until(|| create() == 503 && get_status(&server.address, "/readyz", "") == 503);
    for _ in 0..20 {
        assert_eq!(create(), 503);
    }
    promote(&database);
    wait_until(|| create() == 201);
    thread::sleep(Duration::from_millis(600));
    assert_eq!(create(), 201);
    let (_, log) = server.stop("-TERM");
    for line in ["the database is read-only; changes fail", "the database accepts changes again"] {
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
    assert_eq!(log.matches(" ERROR ").count(), 1, "{log}");
}
