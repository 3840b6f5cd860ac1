//! POST with an `Idempotency-Key`.

use serde_json::json;
use tokio::task::JoinSet;

use crate::test_app::{Client, TestApp};

fn with_key(client: &Client, key: &str) -> Client {
    client.clone().header("idempotency-key", key)
}

/// Moves the creation time of all stored keys into the past.
fn age_keys(app: &TestApp, seconds: u32) {
    let older = match app.database.url().starts_with("postgres") {
        true => format!("created_at - interval '{seconds} seconds'"),
        false => format!("strftime('%Y-%m-%dT%H:%M:%fZ', created_at, '-{seconds} seconds')"),
    };
    app.execute(&format!("UPDATE idempotency_keys SET created_at = {older}"));
}

async fn count(client: &Client) -> usize {
    client.get("tasks?limit=100").await.body["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn repeated_post_returns_stored_response_after_task_was_changed_or_deleted() {
    let app = TestApp::new().await;
    let ada = with_key(&app.user("ada"), "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");
    let body = json!({ "title": " once ", "description": "d" });
    let first = ada.post("tasks", body.clone()).await;
    first.assert_status(201);
    let mut repeated = vec![ada.raw("POST", "tasks", r#"{"description":"d",  "title":"once"}"#).await];
    let task = first.header("location").to_owned();
    ada.patch(&format!("{task}/complete")).await.assert_status(200);
    repeated.push(ada.post("tasks", body.clone()).await);
    ada.delete(&task).await.assert_status(204);
    repeated.push(ada.post("tasks", body).await);
    for replayed in repeated {
        replayed.assert_status(201);
        assert_eq!(replayed.body, first.body);
        for name in ["location", "etag", "cache-control", "content-type"] {
            assert_eq!(replayed.header(name), first.header(name), "{name}");
        }
    }
    assert_eq!(count(&ada).await, 0);
}

#[tokio::test]
async fn key_is_bound_to_body_and_scoped_to_user() {
    let app = TestApp::new().await;
    let (ada, bob) = (with_key(&app.user("ada"), "k"), with_key(&app.user("bob"), "k"));
    ada.post("tasks", json!({ "title": "a" })).await.assert_status(201);
    for other in [json!({ "title": "b" }), json!({ "title": "a", "description": "" })] {
        ada.post("tasks", other).await.assert_problem(422, "idempotency_key_reused");
    }
    ada.post("tasks", json!({ "title": "a", "description": null })).await.assert_status(201);
    bob.post("tasks", json!({ "title": "b" })).await.assert_status(201);
    with_key(&ada, "K").post("tasks", json!({ "title": "b" })).await.assert_status(201);
    assert_eq!((count(&ada).await, count(&bob).await), (2, 1));
}

#[tokio::test]
async fn rejected_request_does_not_store_key() {
    let app = TestApp::new().await;
    let ada = with_key(&app.user("ada"), "k");
    ada.post("tasks", json!({ "title": "" })).await.assert_problem(422, "validation_failed");
    ada.post("tasks", json!({ "title": "t" })).await.assert_status(201);
}

#[tokio::test]
async fn key_must_be_1_to_255_visible_ascii_characters() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let longest: String = "!~".repeat(200)[..255].into();
    with_key(&ada, &longest).post("tasks", json!({ "title": "t" })).await.assert_status(201);
    for invalid in ["", " ", "a b", "a\tb", &format!("{longest}!")] {
        let response = with_key(&ada, invalid).post("tasks", json!({ "title": "t" })).await;
        response.assert_problem(400, "invalid_idempotency_key");
    }
    let twice = app.client(
        "ada",
        &[
            ("authorization", &format!("Bearer {}", crate::test_app::token("ada"))),
            ("idempotency-key", "a"),
            ("idempotency-key", "a"),
        ],
    );
    twice.post("tasks", json!({ "title": "t" })).await.assert_problem(400, "invalid_idempotency_key");
    // Other methods than POST ignore the header.
    with_key(&ada, "").get("tasks").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_posts_with_same_key_create_one_task() {
    let app = TestApp::new().await;
    let ada = with_key(&app.user("ada"), "k");
    let mut posts = JoinSet::new();
    for _ in 0..20 {
        let ada = ada.clone();
        posts.spawn(async move { ada.post("tasks", json!({ "title": "t" })).await });
    }
    let (mut created, mut in_flight) = (Vec::new(), 0);
    for response in posts.join_all().await {
        match response.status.as_u16() {
            201 => created.push(response.body),
            _ => {
                response.assert_problem(409, "idempotency_key_in_use");
                assert_eq!(response.header("retry-after"), "2");
                in_flight += 1;
            }
        }
    }
    assert_eq!(created.len() + in_flight, 20);
    created.dedup();
    assert_eq!((created.len(), count(&ada).await), (1, 1));
}

#[tokio::test]
async fn key_expires_after_24_hours() {
    let app = TestApp::new().await;
    let ada = with_key(&app.user("ada"), "k");
    for (seconds, tasks) in [(0, 1), (86_300, 1), (200, 2)] {
        age_keys(&app, seconds);
        ada.post("tasks", json!({ "title": "t" })).await.assert_status(201);
        assert_eq!(count(&ada).await, tasks);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_posts_with_expired_key_create_one_task() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    // Several rounds, since the race does not occur in each.
    for (round, key) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let ada = with_key(&ada, key);
        ada.post("tasks", json!({ "title": "t" })).await.assert_status(201);
        age_keys(&app, 90_000);
        let mut posts = JoinSet::new();
        for _ in 0..16 {
            let ada = ada.clone();
            posts.spawn(async move { ada.post("tasks", json!({ "title": "t" })).await });
        }
        let mut created = Vec::new();
        for response in posts.join_all().await {
            match response.status.as_u16() {
                201 => created.push(response.body),
                _ => {
                    response.assert_problem(409, "idempotency_key_in_use");
                }
            }
        }
        created.dedup();
        assert_eq!((created.len(), count(&ada).await), (1, 2 * (round + 1)), "{created:?}");
        // The key is stored again with its new response.
        assert_eq!(ada.post("tasks", json!({ "title": "t" })).await.body, created[0]);
    }
}
