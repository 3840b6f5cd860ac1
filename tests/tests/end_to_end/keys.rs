//! Better Auth's key pairs: all algorithms, and rotation.

use std::time::Duration;

use reqwest::Method;
use system_tests::{Issuer, Signing, node};

use crate::world::{World, tasks_of};

#[tokio::test]
async fn tokens_of_every_algorithm_of_better_auth_are_accepted() {
    if !node::ready() {
        return;
    }
    for algorithm in ["EdDSA", "ES256", "ES512", "RS256", "PS256"] {
        let world = World::of(Issuer::new(Signing::KeyPairs).with("ALG", algorithm)).await;
        let ada = world.auth.sign_up("Ada").await;
        let response = world.send(Method::GET, &tasks_of(&ada), &ada.token).await;
        assert_eq!(response.status, 200, "{algorithm}: {response:?}");
    }
}

#[tokio::test]
async fn the_first_token_of_a_new_key_is_accepted() {
    if !node::ready() {
        return;
    }
    let world = World::of(Issuer::new(Signing::KeyPairs).with("ROTATION_INTERVAL", 1)).await;
    let ada = world.auth.sign_up("Ada").await;
    let response = world.send(Method::GET, &tasks_of(&ada), &ada.token).await;
    assert_eq!(response.status, 200, "{response:?}");

    // Better Auth creates a new key only when it issues a token.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let newer = world.auth.token(&ada.cookie).await;
    assert_ne!(header(&newer), header(&ada.token), "the new key has another `kid`");
    for token in [&newer, &ada.token] {
        let response = world.send(Method::GET, &tasks_of(&ada), token).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
}

fn header(token: &str) -> &str {
    token.split('.').next().unwrap_or_default()
}
