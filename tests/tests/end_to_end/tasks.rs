//! What a user does all day, and what another user must never notice.

use reqwest::Method;
use serde_json::{Value, json};
use system_tests::{Answer, User};

use crate::world::{World, tasks_of, with_either_signing};

with_either_signing! {
    a_user_keeps_a_list_of_tasks,
    a_second_user_is_kept_out_of_the_first_ones_path,
    a_task_of_another_user_does_not_exist_under_ones_own_path,
}

async fn a_user_keeps_a_list_of_tasks(world: World) {
    let ada = world.auth.sign_up("Ada").await;
    let tasks = tasks_of(&ada);

    let created = world.send(Method::POST, &tasks, &ada.token, &json!({ "title": "  write the notes " })).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.text("/title"), "write the notes");
    assert_eq!(created.text("/user_id"), ada.id);
    assert_eq!(created.body["description"], Value::Null);
    assert_eq!(created.body["completed"], false);
    let task = format!("{tasks}/{}", created.text("/id"));
    assert_eq!(created.header("location"), Some(task.as_str()));

    let list = world.ask(Method::GET, &tasks, &ada.token).await;
    assert_eq!(list.status, 200, "{list:?}");
    assert_eq!(list.body, json!({ "items": [created.body], "next_cursor": null }));

    let read = world.ask(Method::GET, &task, &ada.token).await;
    assert_eq!(read.status, 200, "{read:?}");
    assert_eq!(read.body, created.body);
    assert_eq!(read.header("etag"), created.header("etag"));

    let change = json!({ "title": "publish the notes", "description": "all seven", "completed": false });
    let updated = world.send(Method::PUT, &task, &ada.token, &change).await;
    assert_eq!(updated.status, 200, "{updated:?}");
    assert_eq!(updated.text("/title"), "publish the notes");
    assert_eq!(updated.text("/description"), "all seven");
    assert_eq!(updated.text("/created_at"), created.text("/created_at"));

    let complete = format!("{task}/complete");
    let toggled = world.ask(Method::PATCH, &complete, &ada.token).await;
    assert_eq!((toggled.status.as_u16(), &toggled.body["completed"]), (200, &json!(true)));
    for _ in 0..2 {
        let set = world.send(Method::PATCH, &complete, &ada.token, &json!({ "completed": false })).await;
        assert_eq!((set.status.as_u16(), &set.body["completed"]), (200, &json!(false)));
    }

    let deleted = world.ask(Method::DELETE, &task, &ada.token).await;
    assert_eq!((deleted.status.as_u16(), &deleted.body), (204, &Value::Null));
    assert_problem(&world.ask(Method::GET, &task, &ada.token).await, 404);
    let list = world.ask(Method::GET, &tasks, &ada.token).await;
    assert_eq!(list.body, json!({ "items": [], "next_cursor": null }));
}

async fn a_second_user_is_kept_out_of_the_first_ones_path(world: World) {
    let (ada, bob) = (world.auth.sign_up("Ada").await, world.auth.sign_up("Bob").await);
    let task = a_task_of(&world, &ada).await;

    let list = world.ask(Method::GET, &tasks_of(&bob), &bob.token).await;
    assert_eq!(list.body, json!({ "items": [], "next_cursor": null }));

    for (method, path) in [(Method::GET, tasks_of(&ada)), (Method::POST, tasks_of(&ada))] {
        assert_problem(&world.ask(method, &path, &bob.token).await, 403);
    }
    for answer in on_every_method(&world, &tasks_of(&ada), &task, &bob).await {
        assert_problem(&answer, 403);
    }
    assert_eq!(only_task_of(&world, &ada).await, task);
}

async fn a_task_of_another_user_does_not_exist_under_ones_own_path(world: World) {
    let (ada, bob) = (world.auth.sign_up("Ada").await, world.auth.sign_up("Bob").await);
    let task = a_task_of(&world, &ada).await;

    for answer in on_every_method(&world, &tasks_of(&bob), &task, &bob).await {
        assert_problem(&answer, 404);
    }
    assert_eq!(only_task_of(&world, &ada).await, task);
}

async fn a_task_of(world: &World, user: &User) -> Value {
    let answer = world.send(Method::POST, &tasks_of(user), &user.token, &json!({ "title": "mine alone" })).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

async fn only_task_of(world: &World, user: &User) -> Value {
    let mut list = world.ask(Method::GET, &tasks_of(user), &user.token).await;
    assert_eq!(list.body["items"].as_array().map(Vec::len), Some(1), "{list:?}");
    list.body["items"][0].take()
}

/// Everything that can be asked of one task, under the path `tasks` and with the user's token.
async fn on_every_method(world: &World, tasks: &str, task: &Value, user: &User) -> Vec<Answer> {
    let path = format!("{tasks}/{}", task["id"].as_str().expect("an id"));
    let change = json!({ "title": "theirs", "description": null, "completed": true });
    vec![
        world.ask(Method::GET, &path, &user.token).await,
        world.send(Method::PUT, &path, &user.token, &change).await,
        world.ask(Method::PATCH, &format!("{path}/complete"), &user.token).await,
        world.send(Method::PATCH, &format!("{path}/complete"), &user.token, &json!({ "completed": true })).await,
        world.ask(Method::DELETE, &path, &user.token).await,
    ]
}

fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(answer.body["status"], status, "{answer:?}");
}
