//! Settings: documentation, secret files, and effects.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    process::Output,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    connection::{Connection, RawResponse},
    process::{Server, run, tasks_api},
    test_app::{SECRET, TestApp, token},
};

/// The environment variables in a text: the upper-case words with these prefixes.
fn variables(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    let prefixes = ["TASKS_API_", "BETTER_AUTH_", "DATABASE_URL"];
    words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix))).map(str::to_owned).collect()
}

fn help(command: &str) -> String {
    let output = run(tasks_api(&tempfile::tempdir().unwrap()).args([command, "--help"]));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn readme_lists_every_setting() {
    let help = help("serve");
    let in_help: BTreeSet<_> =
        help.lines().filter_map(|line| line.split("[env: ").nth(1)).flat_map(variables).collect();
    let readme = include_str!("../../README.md");
    let table = readme.split("| setting | default | |").nth(1).unwrap().split("\n\n").next().unwrap();
    let first_column = table.lines().filter_map(|row| row.split('|').nth(1));
    let in_readme: BTreeSet<_> = first_column.flat_map(variables).collect();
    assert!(in_help.len() > 30, "{in_help:?}");
    assert_eq!(in_help, in_readme);
}

#[test]
fn readme_defaults_match_help() {
    let help = help("serve").split_whitespace().collect::<Vec<_>>().join(" ");
    let readme = include_str!("../../README.md");
    let table = readme.split("| setting | default | |").nth(1).unwrap().split("\n\n").next().unwrap();
    for row in table.lines() {
        let mut columns = row.split('|').skip(1).map(str::trim);
        let (Some(name), Some(default)) = (columns.next(), columns.next()) else { continue };
        let (Some(name), Some(default)) =
            (name.strip_prefix('`').and_then(|name| name.split('`').next()), default.strip_prefix('`'))
        else {
            continue;
        };
        let default = default.trim_end_matches('`');
        let Some(about) = help.split(&format!("[env: {name}]")).next().filter(|about| about.len() < help.len()) else {
            assert_eq!(name, "RUST_LOG");
            continue;
        };
        let about = &about[about.rfind("[env: ").unwrap_or(0)..];
        assert!(default == "false" || about.contains(&format!("[default: {default}]")), "{name} {default}: {about}");
    }
}

#[test]
fn help_omits_settings_of_other_commands() {
    assert!(!help("token").contains("DATABASE_URL") && !help("openapi").contains("BETTER_AUTH"));
}

fn token_command(settings: &[(&str, &str)]) -> Output {
    run(tasks_api(&tempfile::tempdir().unwrap()).args(["token", "ada"]).envs(settings.iter().copied()))
}

#[test]
fn secret_file_is_read_without_trailing_newline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    let server = Server::serve(&directory, &[("BETTER_AUTH_SECRET_FILE", path.to_str().unwrap())]);
    let printed = token_command(&[("BETTER_AUTH_SECRET", SECRET)]);
    let token = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(get(&server.address, "/api/ada/tasks", token.trim()).status, 200);
}

#[test]
fn unusable_secret_file_is_reported_without_secret() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty");
    fs::write(&empty, "\n").unwrap();
    for (settings, expected) in [
        (&[("BETTER_AUTH_SECRET_FILE", "/no/such/file-Hunt3r")][..], "cannot be read"),
        (&[("BETTER_AUTH_SECRET_FILE", empty.to_str().unwrap())], "empty"),
        (&[("BETTER_AUTH_SECRET_FILE", "/dev/null"), ("BETTER_AUTH_SECRET", SECRET)], "both set"),
    ] {
        let output = token_command(settings);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains("BETTER_AUTH_SECRET_FILE"), "{stderr}");
        assert!(stderr.contains(expected) && !stderr.contains("Hunt3r") && !stderr.contains(SECRET), "{stderr}");
    }
}

#[test]
fn request_timeout_shorter_than_database_timeouts_is_rejected() {
    let settings = [("BETTER_AUTH_SECRET", SECRET), ("TASKS_API_REQUEST_TIMEOUT", "4s")];
    let output = run(tasks_api(&tempfile::tempdir().unwrap()).arg("serve").envs(settings));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains("TASKS_API_STATEMENT_TIMEOUT"), "{stderr}");
}

#[test]
fn invalid_log_filter_is_rejected() {
    for filter in ["tasks_api=loud", "inof", "a=b=c"] {
        let settings = [("BETTER_AUTH_SECRET", SECRET), ("RUST_LOG", filter)];
        let output = run(tasks_api(&tempfile::tempdir().unwrap()).arg("serve").envs(settings));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains("RUST_LOG"), "{filter}: {stderr}");
    }
}

#[test]
fn token_larger_than_max_token_size_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let environment = [("BETTER_AUTH_SECRET", SECRET), ("TASKS_API_MAX_TOKEN_SIZE", "256")];
    let server = Server::serve(&directory, &environment);
    let long = "a".repeat(200);
    assert_eq!(get(&server.address, "/api/ada/tasks", &token("ada")).status, 200);
    assert_eq!(get(&server.address, &format!("/api/{long}/tasks"), &token(&long)).status, 401);
}

#[test]
fn missing_sqlite_file_is_not_created_with_mode_rw() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(tasks_api(&directory)
        .arg("serve")
        .envs([("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", "sqlite://typo.db?mode=rw")]));
    assert!(!output.status.success());
    assert!(!directory.path().join("typo.db").exists());
}

#[test]
fn admin_listener_serves_probes_metrics_and_docs_instead_of_api_listener() {
    let admin = free_address();
    let directory = tempfile::tempdir().unwrap();
    let environment = [("BETTER_AUTH_SECRET", SECRET), ("TASKS_API_ADMIN_LISTEN", &admin)];
    let server = Server::serve(&directory, &environment);
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"] {
        assert_eq!((get(&admin, path, "").status, get(&server.address, path, "").status), (200, 404), "{path}");
    }
    let tasks = "/api/ada/tasks";
    assert_eq!(
        (get(&admin, tasks, &token("ada")).status, get(&server.address, tasks, &token("ada")).status),
        (404, 200)
    );
    let metrics = String::from_utf8(get(&admin, "/metrics", "").body).unwrap();
    for series in [
        "db_pool_connections 1\n",
        "db_pool_max_connections 1\n",
        "log_lines_dropped_total 0\n",
        concat!("tasks_api_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n"),
        r#"http_requests_total{method="GET",route="/api/{user_id}/tasks",status="200"} 1"#,
        #[cfg(target_os = "linux")]
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(series), "{series} is missing in {metrics}");
    }
}

#[test]
fn healthcheck_succeeds_while_the_server_responds() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::serve(&directory, &[("BETTER_AUTH_SECRET", SECRET)]);
    let address = server.address.clone();
    let check = |arguments: &[&str]| {
        run(tasks_api(&directory).arg("healthcheck").args(arguments).env("TASKS_API_LISTEN", &address))
    };
    assert!(check(&[]).status.success());
    assert!(check(&["--ready"]).status.success());
    server.stop("-INT");
    let output = check(&[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains("TASKS_API_LISTEN"), "{stderr}");
}

#[test]
fn second_signal_stops_server_immediately() {
    let directory = tempfile::tempdir().unwrap();
    let environment = [("BETTER_AUTH_SECRET", SECRET), ("TASKS_API_DRAIN_DELAY", "30s")];
    let server = Server::serve(&directory, &environment);
    server.signal("-TERM");
    // As supervisors do that signal a process and then its group.
    server.signal("-TERM");
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(get(&server.address, "/healthz", "").status, 200, "the server drains");
    let (status, time, log) = server.wait_after("-TERM");
    assert!(!status.success() && time < Duration::from_secs(5), "{status} after {time:?}");
    assert!(log.contains("second signal"), "{log}");
}

#[test]
fn hangup_stops_server_gracefully() {
    let directory = tempfile::tempdir().unwrap();
    let environment = [("BETTER_AUTH_SECRET", SECRET), ("TASKS_API_DRAIN_DELAY", "0")];
    let (_, log) = Server::serve(&directory, &environment).stop("-HUP");
    assert!(log.contains("draining") && log.contains("stopped"), "{log}");
}

#[test]
fn misspelt_setting_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let environment = [("BETTER_AUTH_SECRET", SECRET), ("TASKS_API_POOLSIZE", "Hunt3r")];
    let (_, log) = Server::serve(&directory, &environment).stop("-INT");
    assert!(log.contains("TASKS_API_POOLSIZE") && !log.contains("Hunt3r"), "{log}");
}

#[test]
fn start_is_logged_with_database_and_version_and_without_password() {
    let directory = tempfile::tempdir().unwrap();
    let (_, log) = Server::serve(&directory, &[("BETTER_AUTH_SECRET", SECRET)]).stop("-INT");
    let line = log.lines().find(|line| line.contains("serving")).unwrap();
    assert!(line.contains("SQLite tasks.db") && line.contains(env!("CARGO_PKG_VERSION")), "{line}");
}

#[test]
fn status_of_a_missing_database_creates_none() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(tasks_api(&directory).args(["migrate", "status"]));
    assert!(!output.status.success());
    assert!(!directory.path().join("tasks.db").exists());
}

#[test]
fn signal_during_startup_stops_server_immediately() {
    // A database that accepts connections and never responds.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let url = format!("postgres://tasks@{}/tasks", silent.local_addr().unwrap());
    let mut server = tasks_api(&directory)
        .arg("serve")
        .envs([("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", &url), ("TASKS_API_LISTEN", "127.0.0.1:0")])
        .spawn()
        .unwrap();
    let _connection = silent.accept().unwrap();
    let start = Instant::now();
    let pid = server.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = server.wait().unwrap();
    assert!(status.success() && start.elapsed() < Duration::from_secs(4), "{status} after {:?}", start.elapsed());
}

#[tokio::test]
async fn cors_allows_trace_context_and_configured_headers() {
    let app = TestApp::with(|config| {
        config.cors.origins = vec!["https://app.example.com".parse().unwrap()];
        config.cors.extra_headers = vec!["x-tenant".parse().unwrap()];
    })
    .await;
    let preflight = app.client(
        "ada",
        &[
            ("origin", "https://app.example.com"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "traceparent,baggage,sentry-trace,x-tenant"),
        ],
    );
    let response = preflight.send("OPTIONS", "tasks", "".into()).await;
    let allowed = response.header("access-control-allow-headers");
    for header in ["traceparent", "tracestate", "baggage", "sentry-trace", "x-tenant", "authorization"] {
        assert!(allowed.split(',').any(|allowed| allowed == header), "{header} in {allowed}");
    }
}

#[test]
fn json_log_contains_only_json_lines() {
    let directory = tempfile::tempdir().unwrap();
    let environment = [("BETTER_AUTH_SECRET", SECRET), ("TASKS_API_LOG", "json"), ("RUST_LOG", "trace")];
    let server = Server::serve(&directory, &environment);
    get(&server.address, "/api/ada/tasks", "no token");
    let (_, log) = server.stop("-INT");
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}

fn get(address: &str, path: &str, token: &str) -> RawResponse {
    let request = format!("GET {path} HTTP/1.1\r\nHost: tasks\r\nAuthorization: Bearer {token}\r\n\r\n");
    Connection::open(address).unwrap().send(&request).unwrap()
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
