//! The output and exit status of the commands.

use std::{
    net::TcpListener,
    process::Output,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{process::tasks_api, test_app::SECRET};

fn run(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    tasks_api(&directory).args(args).envs(environment.iter().copied()).output().unwrap()
}

/// Asserts that the command failed with nothing but an error message, and returns it.
#[track_caller]
fn error_message(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!output.status.success(), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(!stderr.contains("panicked") && !stderr.contains("backtrace"), "{stderr}");
    stderr
}

fn claims(token: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap()
}

#[test]
fn serve_without_token_issuer_lists_the_settings_for_it() {
    for empty in [&[][..], &[("BETTER_AUTH_SECRET", ""), ("BETTER_AUTH_URL", "")]] {
        let stderr = error_message(&run(&["serve"], empty));
        for name in
            ["BETTER_AUTH_URL", "BETTER_AUTH_SECRET", "BETTER_AUTH_SECRETS", "BETTER_AUTH_JWKS_URL", "tasks-api dev"]
        {
            assert!(stderr.contains(name), "{stderr}");
        }
    }
}

#[test]
fn all_configuration_errors_are_reported_together_without_secrets() {
    let stderr = error_message(&run(
        &["serve", "--rate-limit", "many", "--better-auth-issuer", ""],
        &[
            ("BETTER_AUTH_URL", "app.example.com"),
            ("BETTER_AUTH_SECRET", "hunter2"),
            ("BETTER_AUTH_SECRETS", "2:hunter3,1"),
            ("BETTER_AUTH_ALLOW_HTTP", "maybe"),
            ("BETTER_AUTH_JWKS_URL", "http://auth.internal/jwks"),
            ("DATABASE_URL", "mysql://root:hunter4@localhost/tasks"),
            ("TASKS_API_LISTEN", "8000"),
            ("TASKS_API_CORS_ORIGINS", "https://app.example.com/"),
            ("TASKS_API_LOG", "xml"),
            ("TASKS_API_ROW_SECURITY", "perhaps"),
            ("TASKS_API_REQUIRE_SID", "yes please"),
            ("TASKS_API_REVOCATION_RETENTION", "long"),
            ("TASKS_API_REVOCATION_MAX_STALENESS", "2s"),
        ],
    ));
    for name in [
        "BETTER_AUTH_URL",
        "BETTER_AUTH_SECRET",
        "BETTER_AUTH_SECRETS",
        "BETTER_AUTH_ALLOW_HTTP",
        "BETTER_AUTH_JWKS_URL",
        "DATABASE_URL",
        "TASKS_API_LISTEN",
        "TASKS_API_CORS_ORIGINS",
        "TASKS_API_RATE_LIMIT",
        "TASKS_API_LOG",
        "TASKS_API_ROW_SECURITY",
        "TASKS_API_REQUIRE_SID",
        "TASKS_API_REVOCATION_RETENTION",
        "TASKS_API_REVOCATION_MAX_STALENESS",
    ] {
        assert!(stderr.contains(&format!("- {name} ")), "{name} is missing in {stderr}");
    }
    assert!(!stderr.contains("hunter"), "{stderr}");
}

#[test]
fn weak_and_well_known_secrets_are_rejected() {
    for secret in ["short", "better-auth-secret-12345678901234567890"] {
        for (name, value) in [("BETTER_AUTH_SECRET", secret.to_owned()), ("BETTER_AUTH_SECRETS", format!("1:{secret}"))]
        {
            let stderr = error_message(&run(&["serve"], &[(name, &value)]));
            assert!(stderr.contains(name) && !stderr.contains(secret), "{stderr}");
        }
    }
}

#[test]
fn jwks_url_without_issuer_and_audience_is_rejected() {
    let url = ("BETTER_AUTH_JWKS_URL", "https://auth.example.com/jwks");
    for environment in [&[url][..], &[url, ("BETTER_AUTH_ISSUER", "https://auth.example.com")]] {
        assert!(error_message(&run(&["serve"], environment)).contains("BETTER_AUTH_AUDIENCE"));
    }
}

#[test]
fn plain_http_error_mentions_the_setting_that_allows_it() {
    let stderr = error_message(&run(&["serve"], &[("BETTER_AUTH_URL", "http://auth.internal:3000")]));
    assert!(stderr.contains("BETTER_AUTH_ALLOW_HTTP=true"), "{stderr}");
}

#[test]
fn sessions_need_a_server_that_exchanges_them() {
    let accept = ("TASKS_API_SESSION_EXCHANGE", "bearer,cookie");
    let stderr = error_message(&run(&["serve"], &[accept, ("BETTER_AUTH_SECRET", SECRET)]));
    assert!(stderr.contains("TASKS_API_SESSION_EXCHANGE needs BETTER_AUTH_URL"), "{stderr}");

    let url = ("BETTER_AUTH_URL", "https://app.example.com");
    let stderr = error_message(&run(&["serve"], &[url, ("TASKS_API_SESSION_EXCHANGE", "cookies")]));
    assert!(stderr.contains("TASKS_API_SESSION_EXCHANGE must be bearer, cookie, or bearer,cookie"), "{stderr}");

    let token_url = ("BETTER_AUTH_TOKEN_URL", "http://auth.internal:3000/api/auth/token");
    let stderr = error_message(&run(&["serve"], &[url, token_url]));
    assert!(stderr.contains("BETTER_AUTH_TOKEN_URL is not used unless TASKS_API_SESSION_EXCHANGE is set"), "{stderr}");
    let stderr = error_message(&run(&["serve"], &[url, accept, token_url]));
    assert!(stderr.contains("BETTER_AUTH_TOKEN_URL cannot be used"), "{stderr}");
    assert!(stderr.contains("BETTER_AUTH_ALLOW_HTTP=true"), "{stderr}");
}

#[test]
fn address_in_use_error_mentions_address_and_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let stderr = error_message(&run(&["serve", "--listen", &address], &[("BETTER_AUTH_SECRET", SECRET)]));
    assert!(stderr.contains(&address) && stderr.contains("TASKS_API_LISTEN"), "{stderr}");
}

#[test]
fn unusable_database_fails_startup_within_ten_seconds_without_printing_password() {
    let unresponsive = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("postgres://tasks:hunter2@{}/tasks", unresponsive.local_addr().unwrap());
    let closed = "postgres://tasks:hunter2@127.0.0.1:1/tasks".to_owned();
    for url in [silent, closed, "sqlite:///no/such/directory/tasks.db".into(), "sqlite://tasks.db?mode=ro".into()] {
        for command in [&["serve"][..], &["migrate", "up"], &["migrate", "status"]] {
            let start = Instant::now();
            let stderr = error_message(&run(
                command,
                &[("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", &url), ("TASKS_API_LISTEN", "127.0.0.1:0")],
            ));
            assert!(start.elapsed() < Duration::from_secs(10), "{url} took {:?}", start.elapsed());
            assert!(stderr.contains("DATABASE_URL") && !stderr.contains("hunter2"), "{stderr}");
        }
    }
}

#[test]
fn token_prints_only_the_token() {
    let output = run(&["token", "ada"], &[("BETTER_AUTH_SECRET", SECRET)]);
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), 1);
    let claims = claims(printed.trim_end());
    assert_eq!(claims["sub"], "ada");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 7 * 24 * 60 * 60);
    assert!(claims.get("iss").is_none() && claims.get("aud").is_none() && claims.get("sid").is_none());
}

#[test]
fn token_uses_arguments_for_lifetime_and_session_and_settings_for_issuer_and_audience() {
    let settings = ["--better-auth-secret", SECRET, "--better-auth-url", "https://app.example.com/auth"];
    let output = run(&[&["token", "ada", "--expires", "90s", "--session", "s1"][..], &settings].concat(), &[]);
    let claims = claims(String::from_utf8(output.stdout).unwrap().trim_end());
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 90);
    assert_eq!((claims["sid"].as_str(), claims["iss"].as_str()), (Some("s1"), Some("https://app.example.com")));
    assert_eq!(claims["aud"], "https://app.example.com");
}

#[test]
fn token_without_secret_or_with_invalid_arguments_fails() {
    assert!(error_message(&run(&["token", "ada"], &[])).contains("BETTER_AUTH_SECRET"));
    for arguments in [
        &["token"][..],
        &["token", ""],
        &["token", "ada", "--expires", "soon"],
        &["token", "ada", "--expires", "9000y"],
    ] {
        error_message(&run(arguments, &[("BETTER_AUTH_SECRET", SECRET)]));
    }
}

#[test]
fn migrate_up_can_be_repeated() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        assert!(tasks_api(&directory).args(["migrate", "up"]).status().unwrap().success());
    }
    assert!(directory.path().join("tasks.db").exists());
}

#[test]
fn openapi_prints_the_document_without_configuration() {
    let output = run(&["openapi"], &[]);
    assert!(output.status.success());
    let description: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
}

#[test]
fn help_does_not_show_secrets() {
    let output = run(
        &["serve", "--help"],
        &[("BETTER_AUTH_SECRET", "hunter2"), ("DATABASE_URL", "postgres://tasks:hunter2@db/tasks")],
    );
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("--better-auth-secret") && !help.contains("hunter2"), "{help}");
}
