//! The tokens of the JWT plugin, which APIs accept, and the other tokens of a session, which they reject.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{ApiResponse, Issuer, Signing, User};

use super::{issuer, table::Row};
use crate::{
    rejections::{NOT_VALID, assert_nothing_was_done, assert_rejected},
    world::{World, tasks_of},
};

pub(super) async fn default_settings(line: &'static str) -> Vec<Row> {
    let world = World::of(issuer(line, [])).await;
    let ada = world.auth.sign_up("Ada").await;
    reject_session_tokens(&world, &ada).await;
    accept(&world, &ada, &ada.token, "EdDSA").await;
    assert_eq!(ada.id.len(), 32);

    let other = world.send(Method::GET, "/api/grace/tasks", &ada.token).await;
    assert_eq!(other.status, 403, "{other:?}");
    let anonymous = ApiResponse::to(world.api.request(Method::GET, &tasks_of(&ada))).await;
    assert_eq!(anonymous.status, 401, "{anonymous:?}");

    accept(&world, &ada, &world.auth.session_jwt(&ada.cookie).await, "EdDSA").await;
    vec![Row::Token, Row::OtherUser, Row::SessionJwt, Row::SessionTokens, Row::EdDsa, Row::DefaultIds]
}

pub(super) async fn es256_uuids_and_a_base_url_with_a_path(line: &'static str) -> Vec<Row> {
    let settings = [("ALG", "ES256"), ("IDS", "uuid"), ("BASE_URL", "/custom/auth"), ("COOKIE_CACHE", "compact")];
    let world = World::with_secret(issuer(line, settings)).await;
    let ada = world.auth.sign_up("Ada").await;
    assert!(world.auth.base_url().ends_with("/custom/auth"));
    assert!(!reject_cookie_cache(&world, &ada).await.contains('.'));
    accept(&world, &ada, &ada.token, "ES256").await;
    assert_eq!(ada.id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    vec![Row::Es256, Row::Uuids, Row::BaseUrlPath, Row::CompactCache]
}

pub(super) async fn es512_serial_ids_and_a_trailing_slash(line: &'static str) -> Vec<Row> {
    let settings = [("ALG", "ES512"), ("IDS", "serial"), ("BASE_URL", "/"), ("COOKIE_CACHE", "jwt")];
    let world = World::with_secret(issuer(line, settings)).await;
    let ada = world.auth.sign_up("Ada").await;
    assert_eq!(part(&reject_cookie_cache(&world, &ada).await, 0)["alg"], "HS256");
    accept(&world, &ada, &ada.token, "ES512").await;
    assert_eq!(ada.id, "1");
    vec![Row::Es512, Row::SerialIds, Row::TrailingSlash, Row::JwtCache]
}

pub(super) async fn rs256_and_another_base_path(line: &'static str) -> Vec<Row> {
    let settings = [("ALG", "RS256"), ("BASE_PATH", "/auth"), ("COOKIE_CACHE", "jwe"), ("TOKEN_LIFETIME", "7d")];
    let world = World::with_secret(issuer(line, settings)).await;
    let ada = world.auth.sign_up("Ada").await;
    assert!(world.auth.base_url().ends_with("/auth"));
    assert_eq!(part(&reject_cookie_cache(&world, &ada).await, 0)["alg"], "dir");
    accept(&world, &ada, &ada.token, "RS256").await;
    let claims = part(&ada.token, 1);
    let [iat, exp] = ["iat", "exp"].map(|name| claims[name].as_u64().expect("a time"));
    assert_eq!(exp - iat, 7 * 24 * 60 * 60);
    vec![Row::Rs256, Row::BasePath, Row::SevenDays, Row::EncryptedCache]
}

pub(super) async fn ps256_and_another_jwks_path(line: &'static str) -> Vec<Row> {
    let auth = issuer(line, [("ALG", "PS256"), ("JWKS_PATH", "/keys.json")]).start().await;
    let keys = auth.endpoint("keys.json");
    let world = World::serve(auth, &[("BETTER_AUTH_JWKS_URL", &keys)]).await;
    let ada = world.auth.sign_up("Ada").await;
    accept(&world, &ada, &ada.token, "PS256").await;
    vec![Row::Ps256, Row::JwksPath]
}

pub(super) async fn rotation(line: &'static str) -> Vec<Row> {
    let world = World::of(issuer(line, [("ROTATION_INTERVAL", "1")])).await;
    let ada = world.auth.sign_up("Ada").await;
    accept(&world, &ada, &ada.token, "EdDSA").await;
    // Better Auth creates a new key only when it issues a token.
    let start = Instant::now();
    let newer = loop {
        let token = world.auth.token(&ada.cookie).await;
        if part(&token, 0)["kid"] != part(&ada.token, 0)["kid"] {
            break token;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "no new key");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for token in [&newer, &ada.token] {
        accept(&world, &ada, token, "EdDSA").await;
    }
    vec![Row::Rotation]
}

pub(super) async fn shared_secret(line: &'static str) -> Vec<Row> {
    let world = World::of(Issuer::new(Signing::SharedSecret).line(line).with("COOKIE_CACHE", "jwt")).await;
    let ada = world.auth.sign_up("Ada").await;
    reject_session_tokens(&world, &ada).await;
    assert_eq!(part(&reject_cookie_cache(&world, &ada).await, 0)["alg"], "HS256");
    accept(&world, &ada, &ada.token, "HS256").await;
    vec![Row::SharedSecret]
}

pub(super) async fn cookie_cache_signed_with_the_keys(line: &'static str) -> Vec<Row> {
    let world = World::with_secret(issuer(line, [("COOKIE_CACHE", "jwks")])).await;
    let ada = world.auth.sign_up("Ada").await;
    let cached = part(&reject_cookie_cache(&world, &ada).await, 0);
    assert_eq!(cached["kid"], part(&ada.token, 0)["kid"]);
    accept(&world, &ada, &ada.token, "EdDSA").await;
    vec![Row::SignedCache]
}

/// Checks that the API creates and reads a task of the token's user.
async fn accept(world: &World, user: &User, token: &str, algorithm: &str) {
    assert_eq!(part(token, 0)["alg"], algorithm);
    let created = world.send_json(Method::POST, &tasks_of(user), token, &json!({ "title": "write" })).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.text("/user_id"), user.id);
    let list = world.send(Method::GET, &tasks_of(user), token).await;
    assert_eq!(list.status, 200, "{list:?}");
}

async fn reject_session_tokens(world: &World, user: &User) {
    let (_, cookie) = user.cookie.split_once('=').expect("a cookie has a name and a value");
    for mistaken in [&user.session_token, &user.signed_session_token, cookie] {
        assert_rejected(world, user, mistaken, NOT_VALID).await;
    }
    assert_nothing_was_done(world, user).await;
}

/// Returns the cookie cache, which was rejected.
async fn reject_cookie_cache(world: &World, user: &User) -> String {
    let cache = user.session_data.clone().expect("a cookie cache");
    assert_rejected(world, user, &cache, NOT_VALID).await;
    assert_nothing_was_done(world, user).await;
    cache
}

/// The header of a token (0), or its claims (1).
fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(part).unwrap_or_else(|error| panic!("{token}: {error}"));
    serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{token}: {error}"))
}
