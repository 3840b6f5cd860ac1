//! Output, errors and logs contain no secrets, even if the configuration is invalid.

use std::{
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt, fs::PermissionsExt},
    process::Output,
    thread,
};

use crate::{
    connection::{Connection, request},
    process::{Server, run, tasks_api},
    test_app::{SECRET, sign, token},
};

/// The two halves of every secret in this file. Each is searched for separately, since a parser may split a secret.
const HALVES: [&str; 2] = ["Hunt3r", "S3cret"];

#[track_caller]
fn assert_no_secret(what: &str, output: &Output) -> String {
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!HALVES.iter().any(|half| printed.contains(half)), "{what} printed {printed}");
    printed
}

/// Runs each case on its own thread, since some wait for a database that does not exist.
fn for_each<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| check(case));
        }
    });
}

#[test]
fn unusable_database_url_is_not_printed() {
    let in_password = "/ # ? @ : % & = [ ] { } | \\ ^ \" ' < > ` ; , + ! $ ( ) * ~ é %zz %ff".split(' ');
    let in_password = in_password.chain([" ", "\t", "\n", "/?#[]@", "@a/b@", "1/"]);
    let mut urls: Vec<String> =
        in_password.map(|c| format!("postgres://tasks:Hunt3r{c}S3cret@127.0.0.1:1/tasks")).collect();
    urls.extend(
        [
            // The text before the reserved character is parsed as a port.
            "postgres://127.0.0.1:1/S3cret@db/tasks",
            "postgres://127.0.0.1:1?S3cret@db/tasks",
            "postgres://127.0.0.1:1?S3=cret&Hunt3r@db/tasks",
            "postgres://127.0.0.1:1?Hunt3r=S3cret@db/tasks",
            "postgres://127.0.0.1:1#S3cret@db/tasks",
            "postgres://Hunt3r@S3cret:1/Hunt3r@db/tasks",
            "postgres://tasks:Hunt3rS3cret@127.0.0.1:99999/tasks",
            "postgres://tasks:Hunt3rS3cret@127.0.0.1:port/tasks",
            "postgres://tasks:Hunt3rS3cret@/tasks",
            "postgres://tasks:Hunt3rS3cret@[::1/tasks",
            "postgres://tasks:Hunt3rS3cret@a b/tasks",
            "postgres://tasks:Hunt3rS3cret@a:1,b:1/tasks",
            "postgres:/tasks:Hunt3rS3cret@127.0.0.1:1/tasks",
            "postgres:tasks:Hunt3rS3cret@127.0.0.1:1/tasks",
            "postgresql+asyncpg://tasks:Hunt3rS3cret@127.0.0.1:1/tasks",
            "Postgres://tasks:Hunt3rS3cret@127.0.0.1:1/tasks",
            "\"postgres://tasks:Hunt3rS3cret@127.0.0.1:1/tasks\"",
            "DATABASE_URL=postgres://tasks:Hunt3rS3cret@127.0.0.1:1/tasks",
            "mysql://tasks:Hunt3rS3cret@127.0.0.1:1/tasks",
            "jdbc:postgresql://127.0.0.1:1/tasks?password=Hunt3rS3cret",
            "tasks:Hunt3rS3cret@127.0.0.1:1/tasks",
            "postgres://127.0.0.1:1/tasks?user=tasks&password=Hunt3rS3cret",
            "postgres://127.0.0.1:1/tasks?user=tasks&passwd=Hunt3rS3cret",
            "postgres://127.0.0.1:1/tasks?password=Hunt3r%ffS3cret",
            "postgres://127.0.0.1:1/tasks?sslmode=Hunt3rS3cret",
            "postgres://127.0.0.1:1/tasks?port=Hunt3rS3cret",
            "postgres://127.0.0.1:1/tasks?hostaddr=Hunt3rS3cret",
            "postgres://127.0.0.1:1/tasks?statement-cache-capacity=Hunt3rS3cret",
            "postgres://127.0.0.1:1/tasks?options=-c%20x.y=Hunt3rS3cret",
            "postgres://127.0.0.1:1/tasks?sslmode=require&sslkey=-----BEGIN%20PRIVATE%20KEY-----%0AHunt3rS3cret%0A-----END%20PRIVATE%20KEY-----",
            "sqlite://tasks.db?Hunt3rS3cret",
            "sqlite://tasks.db?key=Hunt3rS3cret",
            "sqlite://tasks.db?mode=Hunt3rS3cret",
            "sqlite://tasks.db?cache=Hunt3rS3cret",
            "sqlite://tasks:Hunt3r/S3cret@tasks.db",
            "sqlite::memory:?Hunt3rS3cret",
        ]
        .map(str::to_owned),
    );
    for_each(&urls, |url| {
        let directory = tempfile::tempdir().unwrap();
        let mut migrate = tasks_api(&directory);
        migrate.args(["migrate", "up"]).env("RUST_LOG", "trace").env("DATABASE_URL", url);
        let output = run(&mut migrate);
        let printed = assert_no_secret(url, &output);
        assert!(!output.status.success() && printed.contains("DATABASE_URL"), "{url} printed {printed}");
        assert!(!printed.contains("panicked"), "{url} printed {printed}");
    });
}

#[test]
fn unparsable_database_url_error_explains_percent_encoding() {
    for c in ["/", "#", "?", "@h/"] {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("postgres://tasks:Hunt3r{c}S3cret@127.0.0.1:1/tasks");
        for command in [&["serve"][..], &["migrate", "up"], &["migrate", "down"], &["migrate", "status"], &["dev"]] {
            let output = run(tasks_api(&directory).args(command).envs([
                ("DATABASE_URL", url.as_str()),
                ("BETTER_AUTH_SECRET", SECRET),
                ("TASKS_API_LISTEN", "127.0.0.1:0"),
            ]));
            let printed = assert_no_secret(&url, &output);
            assert!(!output.status.success(), "{printed}");
            assert!(
                printed.contains("DATABASE_URL") && printed.contains("percent-encode") && printed.contains("%2F"),
                "{printed}"
            );
        }
    }
}

#[test]
fn percent_encoded_password_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    // Nothing listens on this port: the URL is valid, and the connection fails.
    let url = "postgres://tasks:%2F%23%3F%40%3A%25%5B%5D%20%5C@127.0.0.1:1/tasks";
    let output = run(tasks_api(&directory).args(["migrate", "up"]).env("DATABASE_URL", url));
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("DATABASE_URL") && !printed.contains("percent-encode"), "{printed}");
}

#[test]
fn unknown_database_url_parameter_is_reported_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let url = "postgres://tasks@127.0.0.1:1/tasks?sslmod=Hunt3rS3cret";
    let printed = assert_no_secret(url, &run(tasks_api(&directory).args(["migrate", "up"]).env("DATABASE_URL", url)));
    assert!(printed.contains("sslmod"), "{printed}");
}

#[test]
fn invalid_setting_is_not_printed() {
    let secret = "Hunt3r/S3cret@Hunt3r";
    let url = |scheme: &str| format!("{scheme}://tasks:Hunt3rS3cret@app.example.com");
    let settings = [
        ("BETTER_AUTH_SECRET", secret.to_owned()),
        ("BETTER_AUTH_SECRETS", secret.to_owned()),
        ("BETTER_AUTH_SECRETS", format!("1:{secret}")),
        ("BETTER_AUTH_SECRETS", format!("{secret}:1")),
        ("BETTER_AUTH_SECRETS", format!("1:{secret},{secret}")),
        ("BETTER_AUTH_SECRETS", format!("1:{secret}{SECRET},1:{secret}{SECRET}")),
        ("BETTER_AUTH_URL", secret.to_owned()),
        ("BETTER_AUTH_URL", url("https")),
        ("BETTER_AUTH_URL", url("http")),
        ("BETTER_AUTH_JWKS_URL", url("https")),
        ("BETTER_AUTH_JWKS_URL", secret.to_owned()),
        ("BETTER_AUTH_TOKEN_URL", url("https")),
        ("TASKS_API_SESSION_EXCHANGE", secret.to_owned()),
        ("TASKS_API_LISTEN", secret.to_owned()),
        ("TASKS_API_CORS_ORIGINS", url("https")),
        ("TASKS_API_RATE_LIMIT", secret.to_owned()),
        ("TASKS_API_ROW_SECURITY", secret.to_owned()),
        ("TASKS_API_LOG", secret.to_owned()),
        ("TASKS_API_REVOCATION_RETENTION", secret.to_owned()),
    ];
    for_each(&settings, |(name, value)| {
        let directory = tempfile::tempdir().unwrap();
        let output = run(tasks_api(&directory).arg("serve").env(name, value));
        let printed = assert_no_secret(&format!("{name}={value}"), &output);
        assert!(!output.status.success() && printed.contains(name), "{name}={value} printed {printed}");
    });
    let directory = tempfile::tempdir().unwrap();
    let not_utf8 = OsString::from_vec(b"Hunt3r\xffS3cret-Hunt3rS3cret-Hunt3rS3cret".to_vec());
    for name in ["BETTER_AUTH_SECRET", "DATABASE_URL"] {
        assert_no_secret(name, &run(tasks_api(&directory).arg("serve").env(name, &not_utf8)));
    }
}

#[test]
fn misplaced_secret_on_command_line_is_not_printed() {
    let url = "postgres://tasks:Hunt3rS3cret@127.0.0.1:1/tasks";
    let lines: &[&[&str]] = &[
        &["serve", "--better-auth-secret", "Hunt3r", "S3cret"],
        &["serve", "--better-auth-secert", "Hunt3rS3cret"],
        &["serve", "--better-auth-secert=Hunt3rS3cret"],
        &["serve", "--better-auth-secret=Hunt3rS3cret", "--better-auth-secret=Hunt3rS3cret"],
        &["serve", "--better-auth-secretHunt3rS3cret"],
        &["serve", "--better-auth-secret:Hunt3rS3cret"],
        &["serve", "-Hunt3rS3cret"],
        &["serve", "Hunt3rS3cret"],
        &["Hunt3rS3cret"],
        &["serve", url],
        &[url],
        &["migrate", "up", "--databse-url", url],
        &["migrate", "up", "--database", url],
        &["token", "ada", "Hunt3rS3cret"],
        &["token", "ada", "--expires", "Hunt3rS3cret"],
        &["serve", "--listen", "Hunt3rS3cret"],
    ];
    for_each(lines, |line| {
        let output = run(tasks_api(&tempfile::tempdir().unwrap()).args(*line));
        assert!(!output.status.success());
        let printed = assert_no_secret(&format!("{line:?}"), &output);
        assert!(!printed.is_empty(), "{line:?}");
    });
}

#[test]
fn help_does_not_show_environment_values() {
    let names =
        ["BETTER_AUTH_URL", "BETTER_AUTH_JWKS_URL", "BETTER_AUTH_SECRET", "BETTER_AUTH_SECRETS", "DATABASE_URL"];
    for arguments in [&["serve", "--help"][..], &["help", "token"], &["dev", "-h"]] {
        let environment = names.map(|name| (name, "https://tasks:Hunt3rS3cret@app.example.com"));
        let output = run(tasks_api(&tempfile::tempdir().unwrap()).args(arguments).envs(environment));
        let printed = assert_no_secret(&format!("{arguments:?}"), &output);
        assert!(output.status.success() && printed.contains("--better-auth-secret"), "{printed}");
    }
}

#[test]
fn malformed_password_file_is_not_printed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pgpass");
    fs::write(&file, "Hunt3rS3cret\n127.0.0.1:1:tasks:Hunt3rS3cret\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let output = run(tasks_api(&directory)
        .args(["migrate", "up"])
        .envs([("DATABASE_URL", "postgres://tasks@127.0.0.1:1/tasks"), ("RUST_LOG", "trace")])
        .env("PGPASSFILE", &file));
    assert_no_secret("the password file", &output);
}

#[test]
fn trace_log_contains_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let secret = "Hunt3r-S3cret-Hunt3r-S3cret-Hunt3r-S3cret";
    let environment = [("BETTER_AUTH_SECRET", secret), ("RUST_LOG", "trace")];
    let mut command = tasks_api(&directory);
    command.args(["serve", "--listen", "127.0.0.1:0"]).envs(environment);
    let server = Server::start(command);
    let claims = serde_json::json!({ "sub": "ada", "exp": 4_000_000_000_u64 });
    let (valid, invalid) = (sign(&claims, secret), token("ada"));
    for token in [&valid, &invalid] {
        let request = request("POST", "/api/ada/tasks", r#"{"title":"t"}"#);
        let request = request.replace(&invalid, token);
        Connection::open(&server.address).unwrap().send(&request).unwrap();
    }
    let (_, log) = server.stop("-INT");
    assert!(log.contains("status=201") && log.contains("status=401"), "{log}");
    for secret in HALVES.iter().chain([&valid.as_str(), &invalid.as_str()]) {
        assert!(!log.contains(secret), "{secret} in the log");
    }
}
