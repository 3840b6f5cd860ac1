//! Better Auth's own key pairs: every kind that it offers, and the day it makes a new one.

use std::time::Duration;

use reqwest::Method;
use system_tests::{Issuer, Signing, node};

use crate::world::{World, tasks_of};

#[tokio::test]
async fn tokens_of_every_algorithm_that_better_auth_offers_open_the_door() {
    if !node::ready() {
        return;
    }
    for algorithm in ["EdDSA", "ES256", "ES512", "RS256", "PS256"] {
        let world = World::of(Issuer::new(Signing::OwnKeys).with("ALG", algorithm)).await;
        let ada = world.auth.sign_up("Ada").await;
        let answer = world.ask(Method::GET, &tasks_of(&ada), &ada.token).await;
        assert_eq!(answer.status, 200, "{algorithm}: {answer:?}");
    }
}

#[tokio::test]
async fn the_first_token_of_a_new_key_is_as_good_as_one_of_the_old() {
    if !node::ready() {
        return;
    }
    let world = World::of(Issuer::new(Signing::OwnKeys).with("ROTATION_INTERVAL", 1)).await;
    let ada = world.auth.sign_up("Ada").await;
    let answer = world.ask(Method::GET, &tasks_of(&ada), &ada.token).await;
    assert_eq!(answer.status, 200, "{answer:?}");

    // Better Auth makes the new key when it is asked for a token, and not before.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let newer = world.auth.token(&ada.cookie).await;
    assert_ne!(header(&newer), header(&ada.token), "another key has another `kid`");
    for token in [&newer, &ada.token] {
        let answer = world.ask(Method::GET, &tasks_of(&ada), token).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

fn header(token: &str) -> &str {
    token.split('.').next().unwrap_or_default()
}
