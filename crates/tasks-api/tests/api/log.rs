//! The log of a server process.

use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database as SeaDatabase};

use crate::{
    connection::{Connection, request},
    database::Database,
    logout::serve,
    process::{Server, tasks_api},
    test_app::SECRET,
};

#[test]
fn requests_do_not_block_when_stderr_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = tasks_api(&directory);
    let listen = [("TASKS_API_LISTEN", "127.0.0.1:0"), ("TASKS_API_DRAIN_DELAY", "0")];
    command.arg("serve").env("BETTER_AUTH_SECRET", SECRET).envs(listen);
    let server = Server::start_with_unread_log(command);
    // The log is not read from here on: a pipe holds 64 KiB, and each request logs a line of more than 100 bytes.
    let mut connection = Connection::open(&server.address).unwrap();
    for _ in 0..2000 {
        assert_eq!(connection.send(&request("GET", "/api/ada/tasks", "")).unwrap().status, 200);
    }
    let (time, _) = server.stop("-TERM");
    assert!(time < Duration::from_secs(6), "{time:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_of_disconnected_client_is_logged_and_counted() {
    let database = Database::new();
    let server = serve(database.url(), &[("RUST_LOG", "info")]);
    // Writers wait for this transaction.
    let mut options = ConnectOptions::new(database.url());
    options.max_connections(1);
    let other = SeaDatabase::connect(options).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let client = std::net::TcpStream::connect(&server.address).unwrap();
    std::io::Write::write_all(&mut &client, request("POST", "/api/ada/tasks", r#"{"title":"t"}"#).as_bytes()).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(300)).await;
    other.execute_unprepared("ROLLBACK").await.unwrap();

    let metrics = Connection::open(&server.address).unwrap().send(&request("GET", "/metrics", "")).unwrap().body;
    let metrics = String::from_utf8(metrics).unwrap();
    let aborted = r#"http_requests_total{method="POST",route="/api/{user_id}/tasks",status="aborted"} 1"#;
    assert!(metrics.contains(aborted), "{metrics}");
    let (_, log) = server.stop("-INT");
    let line = log.lines().find(|line| line.contains("connection ended")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("request_id=") && line.contains("/api/{user_id}/tasks"), "{line}");
}
