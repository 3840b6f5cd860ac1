//! The commands: what they print, and how they end.

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

/// Asserts that the command failed with a sentence, and gives it.
#[track_caller]
fn refusal(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!output.status.success(), "{said}");
    assert!(output.stdout.is_empty());
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
    said
}

fn claims(token: &str) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap()
}

#[test]
fn serve_without_anything_to_verify_with_says_what_to_set() {
    for empty in [&[][..], &[("BETTER_AUTH_SECRET", ""), ("BETTER_AUTH_URL", "")]] {
        let said = refusal(&run(&["serve"], empty));
        for name in
            ["BETTER_AUTH_URL", "BETTER_AUTH_SECRET", "BETTER_AUTH_SECRETS", "BETTER_AUTH_JWKS_URL", "tasks-api dev"]
        {
            assert!(said.contains(name), "{said}");
        }
    }
}

#[test]
fn all_faults_of_a_configuration_come_at_once_and_show_no_secret() {
    let said = refusal(&run(
        &["serve", "--rate-limit", "many", "--better-auth-issuer", ""],
        &[
            ("BETTER_AUTH_URL", "app.example.com"),
            ("BETTER_AUTH_SECRET", "hunter2"),
            ("BETTER_AUTH_SECRETS", "2:hunter3,1"),
            ("BETTER_AUTH_JWKS_ALLOW_HTTP", "maybe"),
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
        "BETTER_AUTH_JWKS_ALLOW_HTTP",
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
        assert!(said.contains(&format!("- {name} ")), "{name} in {said}");
    }
    assert!(!said.contains("hunter"), "{said}");
}

#[test]
fn weak_and_well_known_secrets_are_refused() {
    for secret in ["short", "better-auth-secret-12345678901234567890"] {
        for (name, value) in [("BETTER_AUTH_SECRET", secret.to_owned()), ("BETTER_AUTH_SECRETS", format!("1:{secret}"))]
        {
            let said = refusal(&run(&["serve"], &[(name, &value)]));
            assert!(said.contains(name) && !said.contains(secret), "{said}");
        }
    }
}

#[test]
fn keys_without_issuer_and_audience_are_refused() {
    let url = ("BETTER_AUTH_JWKS_URL", "https://auth.example.com/jwks");
    for environment in [&[url][..], &[url, ("BETTER_AUTH_ISSUER", "https://auth.example.com")]] {
        assert!(refusal(&run(&["serve"], environment)).contains("BETTER_AUTH_AUDIENCE"));
    }
}

#[test]
fn plain_http_to_another_host_names_the_setting_that_allows_it() {
    let said = refusal(&run(&["serve"], &[("BETTER_AUTH_URL", "http://auth.internal:3000")]));
    assert!(said.contains("BETTER_AUTH_JWKS_ALLOW_HTTP=true"), "{said}");
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refusal(&run(&["serve", "--listen", &address], &[("BETTER_AUTH_SECRET", SECRET)]));
    assert!(said.contains(&address) && said.contains("TASKS_API_LISTEN"), "{said}");
}

#[test]
fn an_unusable_database_ends_the_start_soon_and_shows_no_password() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("postgres://tasks:hunter2@{}/tasks", nobody.local_addr().unwrap());
    let closed = "postgres://tasks:hunter2@127.0.0.1:1/tasks".to_owned();
    for url in [silent, closed, "sqlite:///no/such/directory/tasks.db".into(), "sqlite://tasks.db?mode=ro".into()] {
        for command in [&["serve"][..], &["migrate", "up"], &["migrate", "status"]] {
            let start = Instant::now();
            let said = refusal(&run(
                command,
                &[("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", &url), ("TASKS_API_LISTEN", "127.0.0.1:0")],
            ));
            assert!(start.elapsed() < Duration::from_secs(10), "{url} took {:?}", start.elapsed());
            assert!(said.contains("DATABASE_URL") && !said.contains("hunter2"), "{said}");
        }
    }
}

#[test]
fn token_prints_a_token_and_nothing_else() {
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
fn token_takes_life_and_session_from_the_arguments_and_issuer_and_audience_from_the_configuration() {
    let settings = ["--better-auth-secret", SECRET, "--better-auth-url", "https://app.example.com/auth"];
    let output = run(&[&["token", "ada", "--expires", "90s", "--session", "s1"][..], &settings].concat(), &[]);
    let claims = claims(String::from_utf8(output.stdout).unwrap().trim_end());
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 90);
    assert_eq!((claims["sid"].as_str(), claims["iss"].as_str()), (Some("s1"), Some("https://app.example.com")));
    assert_eq!(claims["aud"], "https://app.example.com");
}

#[test]
fn token_says_what_it_lacks() {
    assert!(refusal(&run(&["token", "ada"], &[])).contains("BETTER_AUTH_SECRET"));
    for arguments in [
        &["token"][..],
        &["token", ""],
        &["token", "ada", "--expires", "soon"],
        &["token", "ada", "--expires", "9000y"],
    ] {
        refusal(&run(arguments, &[("BETTER_AUTH_SECRET", SECRET)]));
    }
}

#[test]
fn migrate_makes_the_tables_and_ends_well_each_time() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        assert!(tasks_api(&directory).args(["migrate", "up"]).status().unwrap().success());
    }
    assert!(directory.path().join("tasks.db").exists());
}

#[test]
fn openapi_prints_the_description_and_needs_no_configuration() {
    let output = run(&["openapi"], &[]);
    assert!(output.status.success());
    let description: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
}

#[test]
fn help_shows_no_secret() {
    let output = run(
        &["serve", "--help"],
        &[("BETTER_AUTH_SECRET", "hunter2"), ("DATABASE_URL", "postgres://tasks:hunter2@db/tasks")],
    );
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("--better-auth-secret") && !help.contains("hunter2"), "{help}");
}
