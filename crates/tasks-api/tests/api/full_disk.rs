//! SQLite on a full disk.
#![cfg(target_os = "linux")]

use std::{env, io, io::Write, process::Command};

use serde_json::Value;

use crate::{
    connection::{Connection, RawResponse, request},
    crash::titles,
    database::Database,
    process::{Server, tasks_api},
    test_app::SECRET,
};

/// Sets the soft limit on the size of files that the server may write, which can be raised again.
fn limit_file_size(server: &Server, bytes: &str) -> io::Result<()> {
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &server.pid().to_string(), &format!("--fsize={bytes}:")]);
    assert!(prlimit.status()?.success());
    Ok(())
}

fn send(server: &Server, method: &str, path: &str, body: &str) -> RawResponse {
    Connection::open(&server.address).unwrap().send(&request(method, path, body)).unwrap()
}

fn create(server: &Server, title: &str) -> RawResponse {
    send(server, "POST", "/api/ada/tasks", &format!(r#"{{"title":"{title}"}}"#))
}

#[test]
fn full_disk_gives_503_for_writes_and_readyz_while_reads_succeed() {
    let (database, directory) = (Database::new(), tempfile::tempdir().unwrap());
    let mut command = Command::new("sh");
    // With SIGXFSZ ignored, a write beyond the limit fails with an error instead of killing the process.
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
    if limit_file_size(&server, "4096").is_err() {
        assert!(env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false"), "prlimit is not installed");
        let _ = writeln!(io::stderr(), "SKIPPED: SQLite on a full disk: prlimit is not installed");
        return;
    }
    for _ in 0..3 {
        let full = create(&server, "rejected");
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

    limit_file_size(&server, "unlimited").unwrap();
    assert_eq!(send(&server, "GET", "/readyz", "").status, 200);
    assert_eq!(create(&server, "after").status, 201);
    assert_eq!(titles(&server.address), ["after", "before"]);
}
