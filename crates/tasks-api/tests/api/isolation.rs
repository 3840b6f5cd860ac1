//! Whatever three users do at the same time, each sees what is his own, and exactly that.

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

/// Something a user does; numbers choose among the tasks that there are by then.
#[derive(Debug, Clone)]
enum Step {
    Create,
    Read(usize),
    Replace(usize),
    Toggle(usize),
    Set(usize, bool),
    Delete(usize),
    List(&'static str),
    /// With the id of whoever's task.
    Pry(usize, &'static str),
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
        3 => (any(), prop_oneof![Just("GET"), Just("PUT"), Just("DELETE"), Just("PATCH")]).prop_map(|(task, method)| Step::Pry(task, method)),
    ]
}

/// A user, and all that he should see.
struct User {
    client: Client,
    tasks: BTreeMap<String, Value>,
    everybodys: Arc<Mutex<Vec<(String, String)>>>,
}

impl User {
    async fn take(&mut self, step: Step) {
        let me = self.client.user.clone();
        match step {
            Step::Create => {
                let client = self.client.clone().header("idempotency-key", &format!("{}", self.tasks.len()));
                let answer = client.post("tasks", json!({ "title": format!("of {me}, {}", Uuid::now_v7()) })).await;
                // The same key for another task, if one was deleted meanwhile.
                if answer.status == 201 {
                    let id = answer.body["id"].as_str().unwrap().to_owned();
                    self.everybodys.lock().unwrap().push((me, id.clone()));
                    self.tasks.insert(id, answer.body);
                } else {
                    answer.assert_problem(422, "idempotency_key_reused");
                }
            }
            Step::Read(n) => self.change(n, "GET", "", None).await,
            Step::Replace(n) => {
                let body = json!({ "title": format!("of {me}, replaced"), "description": me, "completed": true });
                self.change(n, "PUT", "", Some(body)).await;
            }
            Step::Toggle(n) => self.change(n, "PATCH", "/complete", None).await,
            Step::Set(n, completed) => {
                self.change(n, "PATCH", "/complete", Some(json!({ "completed": completed }))).await
            }
            Step::Delete(n) => {
                if let Some(id) = self.choose(n) {
                    self.client.delete(&format!("tasks/{id}")).await.assert_status(204);
                    self.tasks.remove(&id);
                }
            }
            Step::List(query) => {
                let items = self.client.get(&format!("tasks?limit=100{query}")).await.body["items"].clone();
                let mut seen: Vec<Value> = items.as_array().unwrap().clone();
                seen.sort_by_key(|task| task["id"].to_string());
                let open = |task: &&Value| !query.contains("completed") || task["completed"] == false;
                assert_eq!(seen, self.tasks.values().filter(open).cloned().collect::<Vec<_>>());
            }
            Step::Pry(n, method) => {
                let all = self.everybodys.lock().unwrap().clone();
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

    async fn change(&mut self, n: usize, method: &str, rest: &str, body: Option<Value>) {
        let Some(id) = self.choose(n) else { return };
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let answer = self.client.raw(method, &format!("tasks/{id}{rest}"), body).await;
        answer.assert_status(200);
        assert_eq!(
            (answer.body["id"].as_str(), answer.body["user_id"].as_str()),
            (Some(&*id), Some(&*self.client.user))
        );
        assert!(answer.body["title"].as_str().unwrap().starts_with(&format!("of {}, ", self.client.user)));
        if method == "GET" {
            assert_eq!(answer.body, self.tasks[&id]);
        }
        self.tasks.insert(id, answer.body);
    }

    fn choose(&self, n: usize) -> Option<String> {
        self.tasks.keys().nth(n % self.tasks.len().max(1)).cloned()
    }
}

/// Random stories of three users, told at once.
pub(crate) fn check(app: &TestApp, runtime: &tokio::runtime::Runtime, cases: u32) {
    let story = || vec(step(), 1..25);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let told = TestRunner::new(config).run(&(story(), story(), story()), |(a, b, c)| {
        runtime.block_on(async {
            let everybodys = Arc::default();
            let case = Uuid::now_v7();
            let mut users = tokio::task::JoinSet::new();
            for (name, steps) in [("ada", a), ("bob", b), ("eve", c)] {
                let client = app.user(&format!("{name}-{case}"));
                let mut user = User { client, tasks: BTreeMap::new(), everybodys: Arc::clone(&everybodys) };
                users.spawn(async move {
                    for step in steps {
                        user.take(step).await;
                    }
                    user.take(Step::List("")).await;
                });
            }
            users.join_all().await;
        });
        Ok(())
    });
    told.unwrap();
}

#[test]
fn three_users_at_once_never_see_anything_of_each_other() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::new());
    check(&app, &runtime, 48);
}
