use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: AuthArgs,
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn parse(flags: &[&str]) -> Result<AuthConfig, ConfigErrors> {
    let Line { args } = Line::parse_from([&["tasks-api"], flags].concat());
    let mut errors = ConfigErrors::default();
    let auth = AuthConfig::parse(&args, Requires::Key, &mut errors);
    errors.into_result(auth)
}

#[test]
fn key_set_issuer_and_audience_are_derived_from_the_url() {
    for (url, origin, jwks) in [
        ("https://app.example.com", "https://app.example.com", "https://app.example.com/api/auth/jwks"),
        ("https://app.example.com/", "https://app.example.com", "https://app.example.com/api/auth/jwks"),
        ("http://localhost:3000/custom/auth/", "http://localhost:3000", "http://localhost:3000/custom/auth/jwks"),
    ] {
        let auth = parse(&["--better-auth-url", url]).unwrap();
        assert_eq!((auth.issuers, auth.audiences), (vec![origin.to_owned()], vec![origin.to_owned()]));
        assert_eq!(auth.jwks.unwrap().url, jwks);
    }
}

#[test]
fn unusable_better_auth_urls_are_rejected() {
    for url in [
        "https://a.example,https://b.example",
        "https://a.example/api/auth/jwks",
        "https://a.example/.well-known/openid-configuration",
    ] {
        assert!(parse(&["--better-auth-url", url]).is_err(), "{url}");
    }
}

#[test]
fn overrides_replace_values_derived_from_the_url() {
    let auth = parse(&[
        "--better-auth-url=https://app.example.com",
        "--better-auth-jwks-url=http://auth.internal:3000/api/auth/jwks",
        "--better-auth-allow-http",
        "--better-auth-audience=tasks,notes",
    ])
    .unwrap();
    assert_eq!(auth.issuers, ["https://app.example.com"]);
    assert_eq!(auth.audiences, ["tasks", "notes"]);
    assert_eq!(auth.jwks.unwrap().url, "http://auth.internal:3000/api/auth/jwks");
}

#[test]
fn a_secret_with_issuer_and_audience_needs_no_key_set() {
    let auth = parse(&["--better-auth-secret", SECRET, "--better-auth-issuer=a", "--better-auth-audience=b"]).unwrap();
    assert!(auth.jwks.is_none());
    assert!(auth.verifier().unwrap().1.is_none());
}

#[test]
fn rotation_secrets_are_added_to_the_single_secret_without_duplicates() {
    let newer = SECRET.replace('0', "x");
    let auth =
        parse(&["--better-auth-secret", SECRET, "--better-auth-secrets", &format!("2:{newer}, 1:{SECRET}")]).unwrap();
    assert_eq!(auth.secrets.iter().map(|secret| secret.expose_secret()).collect::<Vec<_>>(), [SECRET, &newer]);
}

#[test]
fn secrets_in_quotes_or_with_line_ends_are_rejected() {
    for secret in [format!("\"{SECRET}\""), format!("'{SECRET}'"), format!("{SECRET}\n"), format!("a\t{SECRET}")] {
        let error = parse(&["--better-auth-secret", &secret]).unwrap_err().to_string();
        assert!(error.contains("BETTER_AUTH_SECRET") && !error.contains(SECRET), "{error}");
    }
}

#[test]
fn logout_tokens_of_the_oauth_provider_are_accepted() {
    let auth =
        parse(&["--better-auth-url=https://app.example.com", "--better-auth-logout-audiences=tasks, notes"]).unwrap();
    assert_eq!(auth.logout_issuer.as_deref(), Some("https://app.example.com/api/auth"));
    assert_eq!(auth.logout_audiences, ["tasks", "notes"]);
}

#[test]
fn debug_output_contains_no_secret() {
    let shown = format!("{:?}", parse(&["--better-auth-secret", SECRET]).unwrap());
    assert!(!shown.contains(SECRET), "{shown}");
}
