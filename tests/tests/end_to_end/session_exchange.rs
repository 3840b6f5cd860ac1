//! Clients that never call `/token`: they send their session cookie or session token.

use std::{process::Command, sync::Arc, time::Duration};

use reqwest::{
    Method,
    header::{COOKIE, ORIGIN, RETRY_AFTER},
};
use serde_json::{Value, json};
use system_tests::{ApiResponse, Issuer, Signing, User, node};
use tokio::time::Instant;

use crate::world::{World, tasks_of};

const FORMS: (&str, &str) = ("TASKS_API_SESSION_EXCHANGE", "bearer,cookie");

async fn world(issuer: Issuer) -> World {
    World::with(issuer, &[FORMS]).await
}

async fn list(world: &World, user: &User, session: &str) -> ApiResponse {
    world.send(Method::GET, &tasks_of(user), session).await
}

/// The number of exchanges with this result.
async fn exchanges(world: &World, result: &str) -> u64 {
    let response = world.api.request(Method::GET, "/metrics").send().await.expect("the server responds");
    let metrics = response.text().await.expect("a text");
    let name = format!("auth_session_exchanges_total{{result=\"{result}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.expect("the metric").parse().expect("a number")
}

#[tokio::test]
async fn a_session_token_is_accepted_with_and_without_its_signature() {
    if !node::ready() {
        return;
    }
    for signing in [Signing::KeyPairs, Signing::SharedSecret] {
        let world = world(Issuer::new(signing)).await;
        let (ada, bob) = (world.auth.sign_up("Ada").await, world.auth.sign_up("Bob").await);
        let task = json!({ "title": "Buy milk" });
        let created = world.send_json(Method::POST, &tasks_of(&ada), &ada.session_token, &task).await;
        assert_eq!(created.status, 201, "{created:?}");
        let listed = list(&world, &ada, &ada.signed_session_token).await;
        assert_eq!(listed.body["items"], json!([created.body]));
        // And a JWT, beside them.
        assert_eq!(list(&world, &ada, &ada.token).await.body["items"], json!([created.body]));
        assert_eq!(list(&world, &ada, &bob.session_token).await.status, 403);
        let made_up: String = ada.session_token.chars().rev().collect();
        assert_eq!(list(&world, &ada, &made_up).await.status, 401);
        assert_eq!((exchanges(&world, "ok").await, exchanges(&world, "rejected").await), (3, 1));
    }
}

#[tokio::test]
async fn the_session_cookie_is_accepted_from_pages_of_better_auth_only() {
    if !node::ready() {
        return;
    }
    let world = world(Issuer::new(Signing::KeyPairs)).await;
    let ada = world.auth.sign_up("Ada").await;
    let create = |origin: Option<&str>| {
        let mut request = world.api.request(Method::POST, &tasks_of(&ada)).header(COOKIE, &ada.cookie);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        ApiResponse::to(request.json(&json!({ "title": "Buy milk" })))
    };
    for origin in [None, Some("https://evil.example.net"), Some("null")] {
        assert_eq!(create(origin).await.status, 403, "{origin:?}");
    }
    let created = create(Some(world.auth.url())).await;
    assert_eq!(created.status, 201, "{created:?}");
    let read = world.api.request(Method::GET, &tasks_of(&ada)).header(COOKIE, &ada.cookie);
    assert_eq!(ApiResponse::to(read).await.body["items"], json!([created.body]));
}

#[tokio::test]
async fn of_1000_first_requests_of_a_session_at_once_one_reaches_better_auth() {
    if !node::ready() {
        return;
    }
    let world = Arc::new(world(Issuer::new(Signing::KeyPairs)).await);
    let ada = world.auth.sign_up("Ada").await;
    let requests: Vec<_> = (0..1000)
        .map(|_| {
            let (world, ada) = (world.clone(), ada.clone());
            tokio::spawn(async move { list(&world, &ada, &ada.session_token).await.status })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.expect("no panic"), 200);
    }
    assert_eq!(exchanges(&world, "ok").await, 1);
}

#[tokio::test]
async fn a_session_that_has_ended_is_rejected_at_once_if_better_auth_sends_logout_tokens() {
    if !node::ready() {
        return;
    }
    let world = World::with_logout(Issuer::new(Signing::KeyPairs), &[FORMS]).await;
    let ada = world.auth.sign_up("Ada").await;
    let other_device = world.auth.sign_in("Ada").await;

    let send = |cookie: &str| ApiResponse::to(world.api.request(Method::GET, &tasks_of(&ada)).header(COOKIE, cookie));
    assert_eq!(send(&ada.cookie).await.status, 200);
    assert_eq!(send(&other_device).await.status, 200);
    world.auth.sign_out(&ada.cookie).await;
    let start = Instant::now();
    while send(&ada.cookie).await.status == 200 {
        assert!(start.elapsed() < Duration::from_secs(10), "the session is still accepted");
    }
    assert_eq!(send(&ada.cookie).await.status, 401);
    assert_eq!(send(&other_device).await.status, 200);
}

#[tokio::test]
async fn a_session_that_ended_before_its_first_request_is_rejected() {
    if !node::ready() {
        return;
    }
    let world = world(Issuer::new(Signing::KeyPairs)).await;
    let ada = world.auth.sign_up("Ada").await;
    world.auth.sign_out(&ada.cookie).await;
    assert_eq!(list(&world, &ada, &ada.session_token).await.status, 401);
    let read = world.api.request(Method::GET, &tasks_of(&ada)).header(COOKIE, &ada.cookie);
    assert_eq!(ApiResponse::to(read).await.status, 401);
}

#[tokio::test]
async fn while_better_auth_hangs_or_is_gone_new_sessions_get_503_and_others_are_served() {
    if !node::ready() {
        return;
    }
    let world = world(Issuer::new(Signing::KeyPairs)).await;
    let (ada, bob) = (world.auth.sign_up("Ada").await, world.auth.sign_up("Bob").await);
    assert_eq!(list(&world, &ada, &ada.session_token).await.status, 200);

    let signal = |name: &str| {
        let id = world.auth.process_id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill runs").success());
    };
    signal("-STOP");
    let unavailable = list(&world, &bob, &bob.session_token).await;
    assert_eq!(unavailable.status, 503, "{unavailable:?}");
    assert_eq!(unavailable.body["code"], "unavailable");
    assert!(unavailable.headers.contains_key(RETRY_AFTER));
    assert_eq!(list(&world, &ada, &ada.session_token).await.status, 200);
    assert_eq!(list(&world, &bob, &bob.token).await.status, 200);
    signal("-CONT");
    let start = Instant::now();
    while list(&world, &bob, &bob.session_token).await.status != 200 {
        assert!(start.elapsed() < Duration::from_secs(30), "Bob's session is still not accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let World { auth, api, .. } = world;
    auth.stop().await;
    let send = |session: &str| ApiResponse::to(api.request(Method::GET, &tasks_of(&ada)).bearer_auth(session));
    assert_eq!(send("another session").await.status, 401);
    assert_eq!(send(&ada.signed_session_token).await.status, 503);
    assert_eq!(send(&ada.session_token).await.status, 200);
}

#[tokio::test]
async fn a_flood_of_made_up_sessions_is_limited_and_does_not_affect_users_who_are_signed_in() {
    if !node::ready() {
        return;
    }
    let world = Arc::new(world(Issuer::new(Signing::KeyPairs)).await);
    let ada = world.auth.sign_up("Ada").await;
    assert_eq!(list(&world, &ada, &ada.session_token).await.status, 200);
    let start = Instant::now();
    let flood: Vec<_> = (0..20)
        .map(|client| {
            let (world, ada) = (world.clone(), ada.clone());
            tokio::spawn(async move {
                for number in 0..100 {
                    let status = list(&world, &ada, &format!("made-up-{client}-{number}")).await.status;
                    assert!(status == 401 || status == 503, "{status}");
                }
            })
        })
        .collect();
    while flood.iter().any(|client| !client.is_finished()) {
        assert_eq!(list(&world, &ada, &ada.session_token).await.status, 200);
    }
    for client in flood {
        client.await.expect("only 401 and 503");
    }
    let allowed = 100 + start.elapsed().as_millis() as u64 / 20;
    let reached = exchanges(&world, "rejected").await + exchanges(&world, "failed").await;
    assert!(reached <= allowed, "{reached} requests reached Better Auth, {allowed} are allowed");
    assert_eq!(reached + exchanges(&world, "limited").await, 2000);
}

#[tokio::test]
async fn better_auths_rate_limit_causes_503_unless_token_is_excepted() {
    if !node::ready() {
        return;
    }
    for (except, statuses) in [(None, [200, 200, 503]), (Some("/token"), [200, 200, 200])] {
        // Signing up fetches a token: that is one request more, of three.
        let mut issuer = Issuer::new(Signing::KeyPairs).with("RATE_LIMIT", 3);
        if let Some(path) = except {
            issuer = issuer.with("RATE_LIMIT_EXCEPT", path);
        }
        let world = world(issuer).await;
        let ada = world.auth.sign_up("Ada").await;
        let sessions: [&str; 3] = [&ada.session_token, &ada.signed_session_token, &world.auth.sign_in("Ada").await];
        for (session, status) in sessions.into_iter().zip(statuses) {
            let request = world.api.request(Method::GET, &tasks_of(&ada));
            let is_cookie = session.contains("session_token=");
            let request = if is_cookie { request.header(COOKIE, session) } else { request.bearer_auth(session) };
            let response = ApiResponse::to(request).await;
            assert_eq!(response.status, status, "{except:?}: {response:?}");
            if status == 503 {
                let wait: Value = response.header("retry-after").expect("a time").parse().expect("a number");
                assert!((1..=10).contains(&wait.as_u64().expect("seconds")), "{wait}");
            }
        }
    }
}
