//! Sessions: in place of a JWT, and after they have ended.

use std::time::{Duration, Instant};

use reqwest::{
    Method,
    header::{COOKIE, ORIGIN},
};
use serde_json::json;
use system_tests::ApiResponse;

use super::{issuer, table::Row};
use crate::world::{World, tasks_of};

pub(super) async fn exchange(line: &'static str) -> Vec<Row> {
    let world = World::with(issuer(line, []), &[("TASKS_API_SESSION_EXCHANGE", "bearer,cookie")]).await;
    let ada = world.auth.sign_up("Ada").await;
    let tasks = tasks_of(&ada);
    for session in [&ada.session_token, &ada.signed_session_token] {
        let created = world.send_json(Method::POST, &tasks, session, &json!({ "title": "write" })).await;
        assert_eq!(created.status, 201, "{created:?}");
    }
    let request = world.api.request(Method::POST, &tasks).header(COOKIE, &ada.cookie);
    let created = request.header(ORIGIN, world.auth.url()).json(&json!({ "title": "write" }));
    let created = ApiResponse::to(created).await;
    assert_eq!(created.status, 201, "{created:?}");
    let list = ApiResponse::to(world.api.request(Method::GET, &tasks).header(COOKIE, &ada.cookie)).await;
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(3), "{list:?}");

    let other_device = world.auth.sign_in("Ada").await;
    world.auth.sign_out(&other_device).await;
    let ended = ApiResponse::to(world.api.request(Method::GET, &tasks).header(COOKIE, other_device)).await;
    assert_eq!(ended.status, 401, "{ended:?}");
    vec![Row::Exchange]
}

pub(super) async fn logout(line: &'static str) -> Vec<Row> {
    let world = World::with_logout(issuer(line, []), &[]).await;
    let ada = world.auth.sign_up("Ada").await;
    let other_device = world.auth.token(&world.auth.sign_in("Ada").await).await;
    let status = async |token: &str| world.send(Method::GET, &tasks_of(&ada), token).await.status;
    assert_eq!(status(&ada.token).await, 200);
    world.auth.sign_out(&ada.cookie).await;
    let start = Instant::now();
    while status(&ada.token).await == 200 {
        assert!(start.elapsed() < Duration::from_secs(20), "the token is still accepted");
    }
    assert_eq!(status(&ada.token).await, 401);
    assert_eq!(status(&other_device).await, 200);
    vec![Row::Logout]
}
