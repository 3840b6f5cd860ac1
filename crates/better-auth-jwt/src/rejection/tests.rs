use std::time::Duration;

use http::header::{CACHE_CONTROL, RETRY_AFTER};

use super::*;

#[test]
fn challenges_follow_rfc_6750() {
    let mut challenges = Challenges::new();
    let of = |challenges: &Challenges, kind: ErrorKind| {
        challenges.get(&kind.into()).map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(of(&challenges, ErrorKind::MissingToken).unwrap(), r#"Bearer realm="api""#);
    assert_eq!(
        of(&challenges, ErrorKind::InvalidSignature).unwrap(),
        r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#
    );
    assert_eq!(
        of(&challenges, ErrorKind::Expired).unwrap(),
        r#"Bearer realm="api", error="invalid_token", error_description="the token expired""#
    );
    assert_eq!(of(&challenges, ErrorKind::UserMismatch), None);
    assert_eq!(of(&challenges, ErrorKind::KeysUnavailable), None);
    assert_eq!(of(&challenges, ErrorKind::InvalidPath), None);

    challenges.set_realm("tasks").unwrap();
    challenges.set_resource_metadata("https://api.example.com/.well-known/oauth-protected-resource").unwrap();
    assert_eq!(
        of(&challenges, ErrorKind::MissingToken).unwrap(),
        r#"Bearer realm="tasks", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource""#
    );
}

#[test]
fn an_insufficient_scope_challenge_contains_the_missing_scopes() {
    let error = Error::from(ErrorKind::InsufficientScope).with_missing_scopes("tasks:read tasks:write");
    assert_eq!(
        Challenges::new().get(&error).unwrap(),
        r#"Bearer realm="api", error="insufficient_scope", error_description="the token lacks a required scope", scope="tasks:read tasks:write""#
    );
    let unquotable = Error::from(ErrorKind::InsufficientScope).with_missing_scopes("a\"b");
    assert!(!Challenges::new().get(&unquotable).unwrap().to_str().unwrap().contains("scope=\""));
}

#[test]
fn characters_that_would_end_the_quoted_string_are_rejected() {
    for realm in ["", "a\"b", "a\\b", "a\nb", "é", "a\tb"] {
        assert!(Challenges::new().set_realm(realm).is_err(), "{realm:?}");
    }
}

#[test]
fn grpc_responses_carry_a_grpc_status() {
    for (kind, code) in [
        (ErrorKind::Expired, "16"),
        (ErrorKind::MissingToken, "16"),
        (ErrorKind::InvalidRequest, "3"),
        (ErrorKind::InvalidPath, "3"),
        (ErrorKind::UserMismatch, "7"),
        (ErrorKind::KeysUnavailable, "14"),
    ] {
        let response: Response<String> = GrpcRejection.response(&Error::from(kind));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], code);
        assert!(!response.headers().contains_key("grpc-retry-pushback-ms"));
    }
    let away = Error::from(ErrorKind::KeysUnavailable).with_retry_after(Duration::from_millis(1500));
    let response: Response<String> = GrpcRejection.response(&away);
    assert_eq!(response.headers()["grpc-retry-pushback-ms"], "1500");
}

#[test]
fn a_problem_document_is_json() {
    let response: Response<String> = ProblemRejection.response(&Error::from(ErrorKind::Expired));
    let body: serde_json::Value = serde_json::from_str(response.body()).unwrap();
    assert_eq!(body["status"], 401);
    assert_eq!(body["title"], "Unauthorized");
    assert_eq!(body["detail"], "the token expired");
}

#[test]
fn retry_after_is_rounded_up() {
    let error = Error::from(ErrorKind::KeysUnavailable).with_retry_after(Duration::from_millis(1001));
    let response: Response<String> = BearerRejection.response(&error);
    assert_eq!(response.headers()[RETRY_AFTER], "2");
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
}
