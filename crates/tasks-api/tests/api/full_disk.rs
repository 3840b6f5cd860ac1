//! SQLite on a disk without space.
#![cfg(target_os = "linux")]

use std::{env, io, io::Write, process::Command};

use serde_json::Value;

use crate::{
    connection::{Answer, Connection, request},
    crash::titles,
    database::Database,
    process::{Server, tasks_api},
    test_app::SECRET,
};

/// Bounds the size of the files that the server may write: its soft limit, which can be lifted again.
fn limit_files(server: &Server, bytes: &str) -> io::Result<()> {
    let mut limited = Command::new("prlimit");
    limited.args(["--pid", &server.pid().to_string(), &format!("--fsize={bytes}:")]);
    let limited = limited.status()?;
    assert!(limited.success());
    Ok(())
}

fn send(server: &Server, method: &str, path: &str, body: &str) -> Answer {
    Connection::open(&server.address).unwrap().send(&request(method, path, body)).unwrap()
}

fn create(server: &Server, title: &str) -> Answer {
    send(server, "POST", "/api/ada/tasks", &format!(r#"{{"title":"{title}"}}"#))
}

#[test]
fn without_space_changes_are_503_reads_go_on_and_the_server_is_not_ready_until_there_is_space() {
    let (database, directory) = (Database::new(), tempfile::tempdir().unwrap());
    let mut command = Command::new("sh");
    // Without the signal, a write beyond the limit is an error like any other.
    let program = tasks_api(&directory).get_program().to_owned();
    command.args(["-c", r#"trap "" XFSZ; exec "$0" serve --listen 127.0.0.1:0"#]).arg(program);
    command.current_dir(&directory).env_clear().envs([
        ("PATH", env::var("PATH").unwrap_or_default().as_str()),
        ("BETTER_AUTH_SECRET", SECRET),
        ("DATABASE_URL", database.url()),
        ("RUST_LOG", "off,tasks_api::server=info"),
    ]);
    let server = Server::start(command);
    assert_eq!(create(&server, "before").status, 201);
    if limit_files(&server, "4096").is_err() {
        assert!(env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false"), "no prlimit on this machine");
        let _ = writeln!(io::stderr(), "SKIPPED: SQLite without disk space, for there is no prlimit on this machine");
        return;
    }
    for _ in 0..3 {
        let full = create(&server, "in vain");
        let problem: Value = serde_json::from_slice(&full.body).unwrap();
        assert_eq!((full.status, &problem["code"]), (503, &"unavailable".into()), "{problem}");
        assert!(full.head.to_ascii_lowercase().contains("retry-after: 2"), "{}", full.head);
    }
    assert_eq!(titles(&server.address), ["before"]);
    for _ in 0..2 {
        let not_ready = send(&server, "GET", "/readyz", "");
        assert_eq!(not_ready.status, 503);
        assert!(String::from_utf8_lossy(&not_ready.body).contains("database"));
    }

    limit_files(&server, "unlimited").unwrap();
    assert_eq!(send(&server, "GET", "/readyz", "").status, 200);
    assert_eq!(create(&server, "after").status, 201);
    assert_eq!(titles(&server.address), ["after", "before"]);
}
