//! A database that goes away and comes back.

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    crash::{create_tasks_until_disconnected, titles},
    database::{Database, own_cluster},
    process::Server,
    test_app::{SECRET, TestApp, state},
};

#[tokio::test]
async fn without_its_database_the_server_says_so_within_5_seconds_and_recovers_by_itself() {
    let Some(mut cluster) = own_cluster() else { return };
    let unused = Database::new();
    let state = state(cluster.url().as_str()).await;
    let app = TestApp::from_state(state, unused);
    let ada = app.user("ada");
    let mut kept = vec![ada.task("before").await];

    for signal in ["INT", "KILL", "STOP"] {
        cluster.stop(signal);
        for request in [("GET", "tasks", ""), ("POST", "tasks", r#"{"title":"t"}"#), ("GET", "/readyz", "")] {
            let start = Instant::now();
            let answer = ada.raw(request.0, request.1, request.2).await;
            assert!(start.elapsed() < Duration::from_secs(5), "{signal} {request:?} took {:?}", start.elapsed());
            match request.1 {
                "/readyz" => {
                    answer.assert_problem(503, "not_ready");
                    assert!(answer.body["detail"].as_str().unwrap().contains("database"), "{answer:?}");
                }
                // The statement was sent on a connection that the server did not yet know to be broken.
                _ if request.0 == "POST" && answer.status == 504 => {
                    answer.assert_problem(504, "outcome_unknown");
                }
                _ => {
                    answer.assert_problem(503, "unavailable");
                    assert_eq!(answer.header("retry-after"), "2");
                }
            }
        }
        app.client("", &[]).get("/healthz").await.assert_status(200);
        ada.get("/api/bob/tasks").await.assert_problem(403, "forbidden");

        cluster.start();
        // The announced time, and not one failure more.
        tokio::time::sleep(Duration::from_secs(2)).await;
        app.client("", &[]).get("/readyz").await.assert_status(200);
        for id in &kept {
            assert_eq!(ada.get(&format!("tasks/{id}")).await.body["id"], json!(id), "after {signal}");
        }
        kept.push(ada.task("after").await);
    }
}

#[test]
fn killed_database_loses_no_acknowledged_write() {
    let Some(mut cluster) = own_cluster() else { return };
    let database = cluster.url();
    let environment = [
        ("BETTER_AUTH_SECRET", SECRET),
        ("DATABASE_URL", database.as_str()),
        ("RUST_LOG", "off,tasks_api::server=info"),
    ];
    let server = Server::serve(&tempfile::tempdir().unwrap(), &environment);
    let mut acknowledged = HashSet::new();
    for round in 0..3 {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let address = server.address.clone();
                thread::spawn(move || create_tasks_until_disconnected(&address, &format!("{round}-{writer}")))
            })
            .collect();
        thread::sleep(Duration::from_millis(200));
        cluster.stop("KILL");
        for writer in writers {
            acknowledged.extend(writer.join().unwrap());
        }
        cluster.start();
        thread::sleep(Duration::from_secs(2));
    }
    assert!(acknowledged.len() > 30, "{}", acknowledged.len());
    let kept = titles(&server.address).into_iter().collect();
    let lost: Vec<&String> = acknowledged.difference(&kept).collect();
    assert!(lost.is_empty(), "{lost:?} of {}", acknowledged.len());
}
