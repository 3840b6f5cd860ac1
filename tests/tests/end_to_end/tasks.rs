//! What users can do with their tasks, and that other users cannot.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{ApiResponse, User};

use crate::world::{World, tasks_of, with_either_signing};

with_either_signing! {
    a_user_manages_their_tasks,
    a_user_cannot_use_the_path_of_another_user,
    a_task_of_another_user_is_404_under_the_users_path,
}

async fn a_user_manages_their_tasks(world: World) {
    let ada = world.auth.sign_up("Ada").await;
    let tasks = tasks_of(&ada);

    let created = world.send_json(Method::POST, &tasks, &ada.token, &json!({ "title": "  write the notes " })).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.text("/title"), "write the notes");
    assert_eq!(created.text("/user_id"), ada.id);
    assert_eq!(created.body["description"], Value::Null);
    assert_eq!(created.body["completed"], false);
    let task = format!("{tasks}/{}", created.text("/id"));
    assert_eq!(created.header("location"), Some(task.as_str()));

    let list = world.send(Method::GET, &tasks, &ada.token).await;
    assert_eq!(list.status, 200, "{list:?}");
    assert_eq!(list.body, json!({ "items": [created.body], "next_cursor": null }));

    let read = world.send(Method::GET, &task, &ada.token).await;
    assert_eq!(read.status, 200, "{read:?}");
    assert_eq!(read.body, created.body);
    assert_eq!(read.header("etag"), created.header("etag"));

    let change = json!({ "title": "publish the notes", "description": "all seven", "completed": false });
    let updated = world.send_json(Method::PUT, &task, &ada.token, &change).await;
    assert_eq!(updated.status, 200, "{updated:?}");
    assert_eq!(updated.text("/title"), "publish the notes");
    assert_eq!(updated.text("/description"), "all seven");
    assert_eq!(updated.text("/created_at"), created.text("/created_at"));

    let complete = format!("{task}/complete");
    let toggled = world.send(Method::PATCH, &complete, &ada.token).await;
    assert_eq!((toggled.status.as_u16(), &toggled.body["completed"]), (200, &json!(true)));
    for _ in 0..2 {
        let set = world.send_json(Method::PATCH, &complete, &ada.token, &json!({ "completed": false })).await;
        assert_eq!((set.status.as_u16(), &set.body["completed"]), (200, &json!(false)));
    }

    let deleted = world.send(Method::DELETE, &task, &ada.token).await;
    assert_eq!((deleted.status.as_u16(), &deleted.body), (204, &Value::Null));
    assert_problem(&world.send(Method::GET, &task, &ada.token).await, 404);
    let list = world.send(Method::GET, &tasks, &ada.token).await;
    assert_eq!(list.body, json!({ "items": [], "next_cursor": null }));
}

async fn a_user_cannot_use_the_path_of_another_user(world: World) {
    let (ada, bob) = (world.auth.sign_up("Ada").await, world.auth.sign_up("Bob").await);
    let task = a_task_of(&world, &ada).await;

    let list = world.send(Method::GET, &tasks_of(&bob), &bob.token).await;
    assert_eq!(list.body, json!({ "items": [], "next_cursor": null }));

    for (method, path) in [(Method::GET, tasks_of(&ada)), (Method::POST, tasks_of(&ada))] {
        assert_problem(&world.send(method, &path, &bob.token).await, 403);
    }
    for response in on_every_method(&world, &tasks_of(&ada), &task, &bob).await {
        assert_problem(&response, 403);
    }
    assert_eq!(only_task_of(&world, &ada).await, task);
}

async fn a_task_of_another_user_is_404_under_the_users_path(world: World) {
    let (ada, bob) = (world.auth.sign_up("Ada").await, world.auth.sign_up("Bob").await);
    let task = a_task_of(&world, &ada).await;

    for response in on_every_method(&world, &tasks_of(&bob), &task, &bob).await {
        assert_problem(&response, 404);
    }
    assert_eq!(only_task_of(&world, &ada).await, task);
}

async fn a_task_of(world: &World, user: &User) -> Value {
    let response = world.send_json(Method::POST, &tasks_of(user), &user.token, &json!({ "title": "mine alone" })).await;
    assert_eq!(response.status, 201, "{response:?}");
    response.body
}

async fn only_task_of(world: &World, user: &User) -> Value {
    let mut list = world.send(Method::GET, &tasks_of(user), &user.token).await;
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(1), "{list:?}");
    list.body["items"][0].take()
}

/// Sends every kind of request for one task, below the path `tasks`, with the user's token.
async fn on_every_method(world: &World, tasks: &str, task: &Value, user: &User) -> Vec<ApiResponse> {
    let path = format!("{tasks}/{}", task["id"].as_str().expect("an id"));
    let change = json!({ "title": "theirs", "description": null, "completed": true });
    vec![
        world.send(Method::GET, &path, &user.token).await,
        world.send_json(Method::PUT, &path, &user.token, &change).await,
        world.send(Method::PATCH, &format!("{path}/complete"), &user.token).await,
        world.send_json(Method::PATCH, &format!("{path}/complete"), &user.token, &json!({ "completed": true })).await,
        world.send(Method::DELETE, &path, &user.token).await,
    ]
}

fn assert_problem(response: &ApiResponse, status: u16) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    assert_eq!(response.body["status"], status, "{response:?}");
}
