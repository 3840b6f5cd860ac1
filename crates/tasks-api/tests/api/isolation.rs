//! Property test: concurrent users see all of their own tasks and no others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_app::{Client, TestApp};

/// A request of a user. The number selects one of the tasks that exist by then.
#[derive(Debug, Clone)]
enum Step {
    Create,
    Read(usize),
    Replace(usize),
    Toggle(usize),
    Set(usize, bool),
    Delete(usize),
    List(&'static str),
    /// Accesses a task of another user with this method.
    AccessForeign(usize, &'static str),
}

fn step() -> impl Strategy<Value = Step> {
    let any = any::<usize>;
    prop_oneof![
        4 => Just(Step::Create),
        1 => any().prop_map(Step::Read),
        1 => any().prop_map(Step::Replace),
        2 => any().prop_map(Step::Toggle),
        1 => (any(), proptest::bool::ANY).prop_map(|(task, completed)| Step::Set(task, completed)),
        1 => any().prop_map(Step::Delete),
        2 => prop_oneof![Just(""), Just("&sort=title"), Just("&sort=created_at&q=of"), Just("&completed=false")].prop_map(Step::List),
        3 => (any(), prop_oneof![Just("GET"), Just("PUT"), Just("DELETE"), Just("PATCH")]).prop_map(|(task, method)| Step::AccessForeign(task, method)),
    ]
}

/// A user and the tasks that the user should see.
struct User {
    client: Client,
    tasks: BTreeMap<String, Value>,
    all_tasks: Arc<Mutex<Vec<(String, String)>>>,
}

impl User {
    async fn run(&mut self, step: Step) {
        let me = self.client.user.clone();
        match step {
            Step::Create => {
                let client = self.client.clone().header("idempotency-key", &format!("{}", self.tasks.len()));
                let response = client.post("tasks", json!({ "title": format!("of {me}, {}", Uuid::now_v7()) })).await;
                // The number of tasks repeats after a deletion, so the key may have been used for another task.
                if response.status == 201 {
                    let id = response.body["id"].as_str().unwrap().to_owned();
                    self.all_tasks.lock().unwrap().push((me, id.clone()));
                    self.tasks.insert(id, response.body);
                } else {
                    response.assert_problem(422, "idempotency_key_reused");
                }
            }
            Step::Read(n) => self.send_to_own_task(n, "GET", "", None).await,
            Step::Replace(n) => {
                let body = json!({ "title": format!("of {me}, replaced"), "description": me, "completed": true });
                self.send_to_own_task(n, "PUT", "", Some(body)).await;
            }
            Step::Toggle(n) => self.send_to_own_task(n, "PATCH", "/complete", None).await,
            Step::Set(n, completed) => {
                self.send_to_own_task(n, "PATCH", "/complete", Some(json!({ "completed": completed }))).await
            }
            Step::Delete(n) => {
                if let Some(id) = self.choose_task(n) {
                    self.client.delete(&format!("tasks/{id}")).await.assert_status(204);
                    self.tasks.remove(&id);
                }
            }
            Step::List(query) => {
                let items = self.client.get(&format!("tasks?limit=100{query}")).await.body["items"].clone();
                let mut listed: Vec<Value> = items.as_array().unwrap().clone();
                listed.sort_by_key(|task| task["id"].to_string());
                let open = |task: &&Value| !query.contains("completed") || task["completed"] == false;
                assert_eq!(listed, self.tasks.values().filter(open).cloned().collect::<Vec<_>>());
            }
            Step::AccessForeign(n, method) => {
                let all = self.all_tasks.lock().unwrap().clone();
                let Some((owner, id)) = all.get(n % all.len().max(1)).filter(|(owner, _)| *owner != me) else { return };
                let path = if method == "PATCH" { format!("{id}/complete") } else { id.clone() };
                let body = json!({ "title": "stolen", "description": null, "completed": true });
                let body = if method == "PUT" { body.to_string() } else { String::new() };
                self.client.raw(method, &format!("tasks/{path}"), body.clone()).await.assert_problem(404, "not_found");
                let theirs = format!("/api/{owner}/tasks/{path}");
                self.client.raw(method, &theirs, body).await.assert_problem(403, "forbidden");
            }
        }
    }

    async fn send_to_own_task(&mut self, n: usize, method: &str, rest: &str, body: Option<Value>) {
        let Some(id) = self.choose_task(n) else { return };
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let response = self.client.raw(method, &format!("tasks/{id}{rest}"), body).await;
        response.assert_status(200);
        assert_eq!(
            (response.body["id"].as_str(), response.body["user_id"].as_str()),
            (Some(&*id), Some(&*self.client.user))
        );
        assert!(response.body["title"].as_str().unwrap().starts_with(&format!("of {}, ", self.client.user)));
        if method == "GET" {
            assert_eq!(response.body, self.tasks[&id]);
        }
        self.tasks.insert(id, response.body);
    }

    fn choose_task(&self, n: usize) -> Option<String> {
        self.tasks.keys().nth(n % self.tasks.len().max(1)).cloned()
    }
}

/// Runs random requests of three concurrent users.
pub(crate) fn check(app: &TestApp, runtime: &tokio::runtime::Runtime, cases: u32) {
    let steps = || vec(step(), 1..25);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&(steps(), steps(), steps()), |(a, b, c)| {
        runtime.block_on(async {
            let all_tasks = Arc::default();
            let case = Uuid::now_v7();
            let mut users = tokio::task::JoinSet::new();
            for (name, steps) in [("ada", a), ("bob", b), ("eve", c)] {
                let client = app.user(&format!("{name}-{case}"));
                let mut user = User { client, tasks: BTreeMap::new(), all_tasks: Arc::clone(&all_tasks) };
                users.spawn(async move {
                    for step in steps {
                        user.run(step).await;
                    }
                    user.run(Step::List("")).await;
                });
            }
            users.join_all().await;
        });
        Ok(())
    });
    result.unwrap();
}

#[test]
fn concurrent_users_cannot_access_each_others_tasks() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::new());
    check(&app, &runtime, 48);
}
