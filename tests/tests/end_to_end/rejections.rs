//! Requests that are rejected: without a token, and with an invalid or expired one.

use reqwest::{Method, header::AUTHORIZATION};
use serde_json::json;
use system_tests::{ApiResponse, Issuer, Signing, TasksApi, User, node};

use crate::world::{TASKS_API, World, tasks_of, with_either_signing};

with_either_signing! {
    a_request_without_a_token_gets_401_with_a_challenge,
    a_truncated_token_is_rejected,
    a_token_of_another_better_auth_is_rejected,
    an_expired_token_is_rejected_with_its_own_description,
    the_log_contains_no_token,
}

pub(crate) const NOT_VALID: &str =
    r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#;
const EXPIRED: &str = r#"Bearer realm="api", error="invalid_token", error_description="the token expired""#;

async fn a_request_without_a_token_gets_401_with_a_challenge(world: World) {
    let ada = world.auth.sign_up("Ada").await;
    for authorization in [None, Some("Bearer"), Some("Basic YWRhOnBhc3N3b3Jk")] {
        let mut request = world.api.request(Method::GET, &tasks_of(&ada));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = ApiResponse::to(request).await;
        assert_eq!(response.status, 401, "{authorization:?}: {response:?}");
        assert_eq!(response.header("www-authenticate"), Some(r#"Bearer realm="api""#));
    }
    assert_nothing_was_done(&world, &ada).await;
}

async fn a_truncated_token_is_rejected(world: World) {
    let ada = world.auth.sign_up("Ada").await;
    let (signed, signature) = ada.token.rsplit_once('.').expect("a JWT has dots");
    let last_character = &ada.token[..ada.token.len() - 1];
    for cut in [last_character, signed, &format!("{signed}."), &signed[..signed.len() / 2], signature] {
        assert_rejected(&world, &ada, cut, NOT_VALID).await;
    }
    assert_nothing_was_done(&world, &ada).await;
}

async fn a_token_of_another_better_auth_is_rejected(world: World) {
    let ada = world.auth.sign_up("Ada").await;
    let other = Issuer::new(world.auth.signing()).start().await;
    let ada_elsewhere = other.sign_up("Ada").await;
    assert_rejected(&world, &ada, &ada_elsewhere.token, NOT_VALID).await;
    assert_rejected(&world, &ada_elsewhere, &ada_elsewhere.token, NOT_VALID).await;
    // Not even with the same database, keys and secret, if its base URL is another one.
    let moved = world.auth.twin().with("BASE_URL", "http://elsewhere.example").start().await;
    assert_rejected(&world, &ada, &moved.token(&ada.cookie).await, NOT_VALID).await;
    assert_nothing_was_done(&world, &ada).await;
}

async fn an_expired_token_is_rejected_with_its_own_description(world: World) {
    let ada = world.auth.sign_up("Ada").await;
    let an_hour_ago = world.auth.twin().with("TOKEN_LIFETIME", "-1h").start().await;
    assert_rejected(&world, &ada, &an_hour_ago.token(&ada.cookie).await, EXPIRED).await;
    assert_nothing_was_done(&world, &ada).await;
}

async fn the_log_contains_no_token(mut world: World) {
    let ada = world.auth.sign_up("Ada").await;
    let (signed, signature) = ada.token.rsplit_once('.').expect("a JWT has dots");
    assert_rejected(&world, &ada, signed, NOT_VALID).await;
    assert_rejected(&world, &ada, &ada.session_token, NOT_VALID).await;
    assert_nothing_was_done(&world, &ada).await;
    world.api.output("status=401").await;
    let log = world.api.output("status=200").await;
    for secret in [signed, signature, &ada.session_token, world.auth.secret()] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn one_server_accepts_tokens_of_both_kinds() {
    if !node::ready() {
        return;
    }
    let auth = Issuer::new(Signing::KeyPairs).start().await;
    let twin = auth.twin().signing(Signing::SharedSecret).start().await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let environment = [("BETTER_AUTH_URL", auth.url()), ("BETTER_AUTH_SECRET", auth.secret())];
    let api = TasksApi::start(TASKS_API, "serve", directory.path(), &environment).await;
    let ada = auth.sign_up("Ada").await;
    for token in [&ada.token, &twin.token(&ada.cookie).await] {
        let response = ApiResponse::to(api.request(Method::GET, &tasks_of(&ada)).bearer_auth(token)).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
    // With the secret alone, the server has no published keys.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let environment = [("BETTER_AUTH_SECRET", auth.secret())];
    let api = TasksApi::start(TASKS_API, "serve", directory.path(), &environment).await;
    for (token, status) in [(&ada.token, 401), (&twin.token(&ada.cookie).await, 200)] {
        let response = ApiResponse::to(api.request(Method::GET, &tasks_of(&ada)).bearer_auth(token)).await;
        assert_eq!(response.status, status, "{response:?}");
    }
}

/// Sends a read and a write request, and checks that both are rejected.
pub(crate) async fn assert_rejected(world: &World, user: &User, token: &str, challenge: &str) {
    let task = json!({ "title": "never written" });
    let read = world.send(Method::GET, &tasks_of(user), token).await;
    let write = world.send_json(Method::POST, &tasks_of(user), token, &task).await;
    for response in [read, write] {
        assert_eq!(response.status, 401, "{response:?}");
        assert_eq!(response.header("www-authenticate"), Some(challenge));
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
    }
}

/// Checks that the user's token is still accepted, and that no task was created.
pub(crate) async fn assert_nothing_was_done(world: &World, user: &User) {
    let list = world.send(Method::GET, &tasks_of(user), &user.token).await;
    assert_eq!(list.status, 200, "{list:?}");
    assert_eq!(list.body, json!({ "items": [], "next_cursor": null }));
}
