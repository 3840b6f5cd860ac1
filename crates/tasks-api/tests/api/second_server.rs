//! A SQLite file is locked by one server: a second one would not see the revocations of the first.

use std::{
    os::unix::fs::symlink,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::{
    logout::{list_status, logout_token, send_logout, token_with_session},
    process::{Server, run, tasks_api},
    test_app::SECRET,
};

fn command(directory: &TempDir, arguments: &[&str], database: &str) -> Command {
    let mut command = tasks_api(directory);
    let environment =
        [("BETTER_AUTH_SECRET", SECRET), ("RUST_LOG", "warn,tasks_api::server=info"), ("DATABASE_URL", database)];
    command.args(arguments).envs(environment).stdin(Stdio::null());
    command
}

fn serve(directory: &TempDir, database: &str) -> Server {
    Server::start(command(directory, &["serve", "--listen", "127.0.0.1:0"], database))
}

/// Asserts that the server does not start because the database is in use, and that the error explains it.
#[track_caller]
fn assert_rejected(directory: &TempDir, name: &str, database: &str) {
    let Output { status, stderr, .. } = run(&mut command(directory, &[name, "--listen", "127.0.0.1:0"], database));
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{name} {database}: {stderr}");
    for part in ["tasks.db", "another", "DATABASE_URL", "PostgreSQL"] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}

#[test]
fn second_server_on_same_sqlite_file_does_not_start_and_first_one_continues() {
    let directory = tempfile::tempdir().unwrap();
    let first = serve(&directory, "sqlite://tasks.db?mode=rwc");
    let path = directory.path().canonicalize().unwrap().join("tasks.db");
    symlink(&path, directory.path().join("link.db")).unwrap();
    let absolute = format!("sqlite://{}", path.display());
    for database in ["sqlite://tasks.db?mode=rwc", "sqlite:./tasks.db", "sqlite://link.db", &absolute] {
        for name in ["serve", "dev"] {
            assert_rejected(&directory, name, database);
        }
    }
    assert_eq!(send_logout(&first.address, &logout_token("phone")), 200);
    assert_eq!(list_status(&first.address, &token_with_session("phone")), 401);
}

#[test]
fn server_can_be_restarted_after_signal() {
    let directory = tempfile::tempdir().unwrap();
    let database = "sqlite://tasks.db?mode=rwc";
    for signal in ["-KILL", "-TERM", "-INT"] {
        let server = serve(&directory, database);
        assert_eq!(list_status(&server.address, &token_with_session("phone")), 200);
        match signal {
            "-KILL" => {
                server.signal(signal);
                drop(server);
            }
            _ => drop(server.stop(signal)),
        }
    }
    drop(serve(&directory, database));
}

#[test]
fn other_commands_and_servers_of_other_databases_start_while_server_runs() {
    let directory = tempfile::tempdir().unwrap();
    let database = "sqlite://tasks.db?mode=rwc";
    let _first = serve(&directory, database);
    for arguments in [&["migrate", "up"][..], &["token", "ada"], &["openapi"]] {
        let output = command(&directory, arguments, database).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let _others = ["sqlite://other.db?mode=rwc", "sqlite::memory:", "sqlite::memory:", "sqlite://tasks.db?mode=memory"]
        .map(|database| serve(&directory, database));
}
