//! The six endpoints of tasks: success, 404, 403 and preconditions.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::test_app::{TestApp, TestResponse};

const PRIVATE: &str = "private, no-cache";

#[tokio::test]
async fn post_returns_created_task_and_its_location() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let created = ada.post("tasks", json!({ "title": "  Buy milk\n", "description": "Two litres" })).await;

    created.assert_status(201);
    assert_eq!(created.header("cache-control"), PRIVATE);
    let task = created.body.as_object().unwrap();
    let members: Vec<&str> = task.keys().map(String::as_str).collect();
    assert_eq!(members, ["completed", "created_at", "description", "id", "title", "updated_at", "user_id"]);
    assert_eq!((&task["title"], &task["description"]), (&json!("Buy milk"), &json!("Two litres")));
    assert_eq!((&task["user_id"], &task["completed"]), (&json!("ada"), &json!(false)));
    let id: uuid::Uuid = task["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    for time in ["created_at", "updated_at"] {
        let text = task[time].as_str().unwrap();
        assert!(text.ends_with('Z'), "{text}");
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap();
    }

    assert_eq!(created.header("location"), format!("/api/ada/tasks/{id}"));
    let read = ada.get(created.header("location")).await;
    read.assert_status(200);
    assert_eq!(read.body, created.body);
    assert_eq!((read.header("etag"), read.header("cache-control")), (created.header("etag"), PRIVATE));
    assert!(read.header("etag").starts_with('"'), "the ETag is strong");
}

#[tokio::test]
async fn location_percent_encodes_user_id() {
    let app = TestApp::new().await;
    for (id, segment) in [("a b@ü", "a%20b%40%C3%BC"), ("x.y~z-1_2", "x%2Ey~z-1_2"), ("100%", "100%25")] {
        let created = app.user(id).post(&format!("/api/{segment}/tasks"), json!({ "title": "t" })).await;
        created.assert_status(201);
        assert_eq!(created.body["user_id"], id);
        assert_eq!(
            created.header("location"),
            format!("/api/{segment}/tasks/{}", created.body["id"].as_str().unwrap())
        );
        app.user(id).get(created.header("location")).await.assert_status(200);
    }
}

#[tokio::test]
async fn put_replaces_all_fields_and_identical_put_keeps_etag() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let path = format!("tasks/{}", ada.task("old").await);
    let before = ada.get(&path).await;

    let new = json!({ "title": " new ", "description": null, "completed": true });
    let replaced = ada.put(&path, new.clone()).await;
    replaced.assert_status(200);
    assert_eq!(replaced.header("cache-control"), PRIVATE);
    assert_eq!(replaced.body["title"], "new");
    assert_eq!(replaced.body["completed"], true);
    assert_eq!(replaced.body["created_at"], before.body["created_at"]);
    assert!(replaced.body["updated_at"].as_str() > before.body["updated_at"].as_str());
    assert_ne!(replaced.header("etag"), before.header("etag"));

    let again = ada.put(&path, new).await;
    assert_eq!((&again.body, again.header("etag")), (&replaced.body, replaced.header("etag")));
    assert_eq!(ada.get(&path).await.body, replaced.body);

    // Setting the same description again keeps the ETag; null and text are different.
    for (description, changes) in
        [(json!("text"), true), (json!("text"), false), (json!(""), true), (Value::Null, true), (Value::Null, false)]
    {
        let before = ada.get(&path).await;
        let after = ada.put(&path, json!({ "title": "new", "description": description, "completed": true })).await;
        assert_eq!(before.header("etag") != after.header("etag"), changes, "{description}");
        assert_eq!(after.body["description"], description);
    }
}

#[tokio::test]
async fn complete_toggles_without_body_and_sets_with_body() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let path = format!("tasks/{}/complete", ada.task("t").await);

    for expected in [true, false, true] {
        let toggled = ada.patch(&path).await;
        toggled.assert_status(200);
        assert_eq!(toggled.body["completed"], expected);
        assert_eq!(toggled.header("cache-control"), PRIVATE);
    }
    // A content type without a body is allowed.
    assert_eq!(ada.raw("PATCH", &path, "").await.body["completed"], false);

    let set = ada.json("PATCH", &path, json!({ "completed": true })).await;
    assert_eq!((set.status, &set.body["completed"]), (StatusCode::OK, &json!(true)));
    let repeated = ada.json("PATCH", &path, json!({ "completed": true })).await;
    assert_eq!((&repeated.body, repeated.header("etag")), (&set.body, set.header("etag")));
    assert_eq!(ada.json("PATCH", &path, json!({ "completed": false })).await.body["completed"], false);
}

#[tokio::test]
async fn delete_gets_204_and_repeated_delete_gets_404() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let path = format!("tasks/{}", ada.task("t").await);
    let deleted = ada.delete(&path).await;
    deleted.assert_status(204);
    assert_eq!((&deleted.body, deleted.header("cache-control")), (&Value::Null, PRIVATE));
    ada.delete(&path).await.assert_problem(404, "not_found");
    ada.get(&path).await.assert_problem(404, "not_found");
}

#[tokio::test]
async fn missing_and_foreign_tasks_get_identical_404() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let bobs_task = app.user("bob").task("Bob's own").await;
    let bobs_task_before = app.user("bob").get(&format!("tasks/{bobs_task}")).await;
    let replacement = json!({ "title": "taken", "description": null, "completed": true });

    let mut bodies = Vec::new();
    for id in [
        bobs_task.as_str(),
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "1",
        "not-a-uuid",
        "%20",
        &bobs_task.replace('-', ""),
    ] {
        let path = format!("tasks/{id}");
        let responses: [TestResponse; 5] = [
            ada.get(&path).await,
            ada.put(&path, replacement.clone()).await,
            ada.delete(&path).await,
            ada.patch(&format!("{path}/complete")).await,
            ada.json("PATCH", &format!("{path}/complete"), json!({ "completed": true })).await,
        ];
        for response in responses {
            response.assert_problem(404, "not_found");
            let mut body = response.body.clone();
            body.as_object_mut().unwrap().retain(|name, _| name != "instance" && name != "request_id");
            bodies.push(body);
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(app.user("bob").get(&format!("tasks/{bobs_task}")).await.body, bobs_task_before.body);
    assert_eq!(ada.get("tasks").await.body["items"], json!([]), "PUT does not create tasks");
}

#[tokio::test]
async fn path_of_another_user_gets_403() {
    let app = TestApp::new().await;
    let bobs_task = app.user("bob").task("Bob's own").await;
    let ada = app.user("ada");
    for path in [
        format!("/api/bob/tasks/{bobs_task}"),
        "/api/bob/tasks".into(),
        "/api/Ada/tasks".into(),
        "/api/ada%20/tasks".into(),
    ] {
        ada.get(&path).await.assert_problem(403, "forbidden");
    }
}

#[tokio::test]
async fn user_id_longer_than_255_bytes_gets_400() {
    let app = TestApp::new().await;
    let longest = "u".repeat(255);
    app.user(&longest).task("t").await;
    let longer = "u".repeat(256);
    app.user(&longer).get("tasks").await.assert_problem(400, "invalid_path");
}

#[tokio::test]
async fn preconditions_are_evaluated_after_existence() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let path = format!("tasks/{}", ada.task("t").await);
    let current = ada.get(&path).await.header("etag").to_owned();
    let body = json!({ "title": "t", "description": null, "completed": false });

    for stale in ["\"0\"", "W/\"1\"", "nonsense", ""] {
        let ada = ada.clone().header("if-match", stale);
        ada.put(&path, body.clone()).await.assert_problem(412, "precondition_failed");
        ada.delete(&path).await.assert_problem(412, "precondition_failed");
        ada.patch(&format!("{path}/complete")).await.assert_problem(412, "precondition_failed");
        ada.delete("tasks/01890a5d-ac96-774b-bcce-b302099a8057").await.assert_problem(404, "not_found");
    }
    ada.clone().header("if-none-match", "*").put(&path, body.clone()).await.assert_problem(412, "precondition_failed");

    for (name, same) in [
        ("if-none-match", current.clone()),
        ("if-none-match", format!("\"x\", W/{current}")),
        ("if-none-match", "*".into()),
    ] {
        let unchanged = ada.clone().header(name, &same).get(&path).await;
        unchanged.assert_status(304);
        assert_eq!((unchanged.header("etag"), &unchanged.body), (current.as_str(), &Value::Null));
    }
    ada.clone().header("if-none-match", "\"x\"").get(&path).await.assert_status(200);

    for matching in [current.clone(), format!("\"x\", {current}"), "*".into()] {
        ada.clone().header("if-match", &matching).put(&path, body.clone()).await.assert_status(200);
    }
    ada.clone().header("if-match", &current).patch(&format!("{path}/complete")).await.assert_status(200);
    ada.clone().header("if-match", &current).delete(&path).await.assert_problem(412, "precondition_failed");
    ada.clone().header("if-match", "*").delete(&path).await.assert_status(204);
}
