//! Row-level security belongs to the database: replicas follow its state, whatever their own setting says.

use crate::{
    connection::{Connection, RawResponse, request},
    crash::titles,
    database::execute,
    logout::{get_status, serve, wait_until},
    process::Server,
    row_security::database_of_a_plain_role,
    sql::count,
};

const ON: (&str, &str) = ("TASKS_API_ROW_SECURITY", "true");

fn send(server: &Server, method: &str, path: &str, body: &str) -> RawResponse {
    Connection::open(&server.address).unwrap().send(&request(method, path, body)).unwrap()
}

fn ready(server: &Server) -> (u16, String) {
    let answer =
        Connection::open(&server.address).unwrap().send("GET /readyz HTTP/1.1\r\nHost: tasks\r\n\r\n").unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

fn create(server: &Server, title: &str) -> String {
    let created = send(server, "POST", "/api/ada/tasks", &format!(r#"{{"title":"{title}"}}"#));
    assert_eq!(created.status, 201);
    serde_json::from_slice::<serde_json::Value>(&created.body).unwrap()["id"].as_str().unwrap().to_owned()
}

#[test]
fn replica_without_setting_serves_if_row_security_is_enabled() {
    let (_database, url) = database_of_a_plain_role();
    let with = serve(&url, &[ON]);
    let without = serve(&url, &[]);
    let task = format!("/api/ada/tasks/{}", create(&with, "of the first"));
    create(&without, "of the second");
    assert_eq!(titles(&without.address), ["of the second", "of the first"]);
    assert_eq!(titles(&with.address), ["of the second", "of the first"]);
    let keyed = request("POST", "/api/ada/tasks", r#"{"title":"k"}"#).replacen("\r\n", "\r\nIdempotency-Key: k\r\n", 1);
    let [first, second] =
        [&without, &with].map(|server| Connection::open(&server.address).unwrap().send(&keyed).unwrap());
    assert_eq!((first.status, second.status, &first.body), (201, 201, &second.body));
    let whole = r#"{"title":"t","description":null,"completed":true}"#;
    for (method, path, body, status) in [
        ("GET", task.clone(), "", 200),
        ("PUT", task.clone(), whole, 200),
        ("PATCH", format!("{task}/complete"), "", 200),
        ("DELETE", task.clone(), "", 204),
        ("GET", task, "", 404),
    ] {
        assert_eq!(send(&without, method, &path, body).status, status, "{method} {path}");
    }
    assert_eq!((ready(&without).0, ready(&with).0), (200, 200));
}

#[test]
fn running_replica_is_not_ready_after_row_security_is_enabled_until_restarted() {
    let (_database, url) = database_of_a_plain_role();
    let old = serve(&url, &[]);
    let task = format!("/api/ada/tasks/{}", create(&old, "t"));
    assert_eq!(ready(&old).0, 200);
    let new = serve(&url, &[ON]);
    assert_eq!(titles(&new.address), ["t"]);

    let whole = r#"{"title":"t","description":null,"completed":true}"#;
    for _ in 0..3 {
        for (method, path, body) in [
            ("GET", "/api/ada/tasks", ""),
            ("GET", &task, ""),
            ("PUT", &task, whole),
            ("POST", "/api/ada/tasks", r#"{"title":"lost"}"#),
            ("DELETE", &task, ""),
        ] {
            let answer = send(&old, method, path, body);
            // Neither an empty list nor 404: the task is there.
            assert_eq!(answer.status, 503, "{method} {path}");
            assert!(answer.head.to_ascii_lowercase().contains("retry-after"), "{}", answer.head);
        }
    }
    let (status, body) = ready(&old);
    assert_eq!(status, 503);
    assert!(body.contains("row-level security"), "{body}");
    assert_eq!(titles(&new.address), ["t"]);

    drop(old);
    let restarted = serve(&url, &[]);
    assert_eq!(titles(&restarted.address), ["t"]);
    assert_eq!(ready(&restarted).0, 200);
}

#[test]
fn only_replica_with_setting_is_not_ready_after_row_security_is_disabled() {
    let (_database, url) = database_of_a_plain_role();
    let (with, without) = (serve(&url, &[ON]), serve(&url, &[]));
    create(&without, "t");
    for table in ["tasks", "idempotency_keys"] {
        execute(&url, &format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY"));
    }
    let (status, body) = ready(&with);
    assert!(status == 503 && body.contains("row-level security"), "{body}");
    assert_eq!((ready(&without).0, titles(&without.address)), (200, vec!["t".to_owned()]));
}

#[test]
fn old_idempotency_keys_are_deleted_with_row_security_and_without() {
    let (database, url) = database_of_a_plain_role();
    let keyed = |key: &str| {
        request("POST", "/api/ada/tasks", r#"{"title":"k"}"#).replacen(
            "\r\n",
            &format!("\r\nIdempotency-Key: {key}\r\n"),
            1,
        )
    };
    for settings in [&[][..], &[ON], &[]] {
        let server = serve(&url, settings);
        for key in ["old", "new"] {
            assert_eq!(Connection::open(&server.address).unwrap().send(&keyed(key)).unwrap().status, 201);
        }
        drop(server);
        // As a superuser, to whom no policy applies.
        execute(
            database.url(),
            "UPDATE idempotency_keys SET created_at = created_at - interval '86500 seconds' WHERE key = 'old'",
        );
        let _server = serve(&url, settings);
        wait_until(|| count(database.url(), "idempotency_keys") == 1);
    }
}

#[test]
fn superuser_without_setting_serves_if_row_security_is_enabled() {
    let (database, url) = database_of_a_plain_role();
    let with = serve(&url, &[ON]);
    create(&with, "t");
    let superuser = serve(database.url(), &[]);
    assert_eq!(
        (titles(&superuser.address), get_status(&superuser.address, "/readyz", "")),
        (vec!["t".to_owned()], 200)
    );
}
