//! POST with an `Idempotency-Key`.

use serde_json::json;
use tokio::task::JoinSet;

use crate::test_app::{Client, TestApp};

fn with_key(client: &Client, key: &str) -> Client {
    client.clone().header("idempotency-key", key)
}

/// Makes all stored keys older.
fn age(app: &TestApp, seconds: u32) {
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
async fn a_repeated_post_gets_the_first_answer_whatever_became_of_the_task() {
    let app = TestApp::new().await;
    let ada = with_key(&app.user("ada"), "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");
    let body = json!({ "title": " once ", "description": "d" });
    let first = ada.post("tasks", body.clone()).await;
    first.assert_status(201);
    let mut replayed = vec![ada.raw("POST", "tasks", r#"{"description":"d",  "title":"once"}"#).await];
    let task = first.header("location").to_owned();
    ada.patch(&format!("{task}/complete")).await.assert_status(200);
    replayed.push(ada.post("tasks", body.clone()).await);
    ada.delete(&task).await.assert_status(204);
    replayed.push(ada.post("tasks", body).await);
    for again in replayed {
        again.assert_status(201);
        assert_eq!(again.body, first.body);
        for name in ["location", "etag", "cache-control", "content-type"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
    }
    assert_eq!(count(&ada).await, 0);
}

#[tokio::test]
async fn a_key_is_for_one_body_and_one_user() {
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
async fn a_refused_request_uses_no_key_up() {
    let app = TestApp::new().await;
    let ada = with_key(&app.user("ada"), "k");
    ada.post("tasks", json!({ "title": "" })).await.assert_problem(422, "validation_failed");
    ada.post("tasks", json!({ "title": "t" })).await.assert_status(201);
}

#[tokio::test]
async fn keys_are_visible_ascii_up_to_255() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let longest: String = "!~".repeat(200)[..255].into();
    with_key(&ada, &longest).post("tasks", json!({ "title": "t" })).await.assert_status(201);
    for refused in ["", " ", "a b", "a\tb", &format!("{longest}!")] {
        let answer = with_key(&ada, refused).post("tasks", json!({ "title": "t" })).await;
        answer.assert_problem(400, "invalid_idempotency_key");
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
    // Only POST knows them.
    with_key(&ada, "").get("tasks").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_makes_the_task_and_none_another() {
    let app = TestApp::new().await;
    let ada = with_key(&app.user("ada"), "k");
    let mut posts = JoinSet::new();
    for _ in 0..20 {
        let ada = ada.clone();
        posts.spawn(async move { ada.post("tasks", json!({ "title": "t" })).await });
    }
    let (mut made, mut in_flight) = (Vec::new(), 0);
    for answer in posts.join_all().await {
        match answer.status.as_u16() {
            201 => made.push(answer.body),
            _ => {
                answer.assert_problem(409, "idempotency_key_in_use");
                assert_eq!(answer.header("retry-after"), "2");
                in_flight += 1;
            }
        }
    }
    assert_eq!(made.len() + in_flight, 20);
    made.dedup();
    assert_eq!((made.len(), count(&ada).await), (1, 1));
}

#[tokio::test]
async fn a_key_counts_for_a_day() {
    let app = TestApp::new().await;
    let ada = with_key(&app.user("ada"), "k");
    for (seconds, tasks) in [(0, 1), (86_300, 1), (200, 2)] {
        age(&app, seconds);
        ada.post("tasks", json!({ "title": "t" })).await.assert_status(201);
        assert_eq!(count(&ada).await, tasks);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_with_an_expired_key_one_makes_a_task() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    // Several keys, since a race is not lost each time.
    for (round, key) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let ada = with_key(&ada, key);
        ada.post("tasks", json!({ "title": "t" })).await.assert_status(201);
        age(&app, 90_000);
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
        // The new key counts for a day, too.
        assert_eq!(ada.post("tasks", json!({ "title": "t" })).await.body, created[0]);
    }
}
