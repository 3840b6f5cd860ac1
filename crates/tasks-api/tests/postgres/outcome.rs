//! 503 means: no effect. 504 means: perhaps.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    cable::Cable,
    database::Database,
    sql::{count, execute},
    test_app::{Client, TestApp, TestResponse, state},
    transactions::assert_none_in_a_transaction,
};

/// Is this 504? If not, it must be 503 that says when to try again.
#[track_caller]
fn may_have_had_an_effect(answer: &TestResponse) -> bool {
    if answer.status == 504 {
        answer.assert_problem(504, "outcome_unknown");
        return true;
    }
    answer.assert_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "2");
    false
}

/// A session that holds this lock until it is dropped.
async fn lock(app: &TestApp, statement: &str) -> DatabaseTransaction {
    let db = sea_orm::Database::connect(app.database.url()).await.unwrap();
    let session = db.begin().await.unwrap();
    session.execute_unprepared(statement).await.unwrap();
    session
}

async fn version(ada: &Client, id: &str) -> usize {
    ada.get(&format!("tasks/{id}")).await.header("etag").trim_matches('"').parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_wait_for_a_lock_too_long_are_503_and_had_no_effect() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let id = ada.task("t").await;
    let lock = lock(&app, "SELECT FROM tasks FOR UPDATE").await;
    let mut toggles = JoinSet::new();
    // Three times as many as the pool has connections.
    for _ in 0..30 {
        let (ada, path) = (ada.clone(), format!("tasks/{id}/complete"));
        toggles.spawn(async move { ada.patch(&path).await });
    }
    let unknown = toggles.join_all().await.iter().filter(|answer| may_have_had_an_effect(answer)).count();
    lock.rollback().await.unwrap();
    // Long enough for whatever still waits.
    sleep(Duration::from_millis(500)).await;
    let effects = version(&ada, &id).await - 1;
    assert!(effects <= unknown, "{effects} changes, of which {unknown} were 504");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_network_is_cut_a_change_that_was_sent_is_504_and_one_answered_503_is_never_carried_out() {
    let database = Database::new();
    let cable = Cable::to(database.url());
    let app = TestApp::from_state(state(cable.url()).await, database);
    let ada = app.user("ada");
    // All connections of the pool are there, have the statement prepared, and need no test before their next use.
    let mut creations = JoinSet::new();
    for _ in 0..40 {
        let ada = ada.clone();
        creations.spawn(async move { ada.task("before").await });
    }
    creations.join_all().await;
    cable.cut();
    let mut requests = JoinSet::new();
    for n in 0..16 {
        let title = format!("task-{n}");
        // Some in one statement, some in a transaction, some that only read.
        let client = if n % 4 == 3 { ada.clone().header("idempotency-key", &title) } else { ada.clone() };
        requests.spawn(async move {
            let answer = match n % 4 {
                2 => client.get("tasks").await,
                _ => client.post("tasks", json!({ "title": title })).await,
            };
            let reads = n % 4 == 2;
            (title, reads, answer)
        });
    }
    let mut unknown = HashMap::new();
    for (title, reads, answer) in requests.join_all().await {
        let perhaps = may_have_had_an_effect(&answer);
        assert!(!(reads && perhaps), "{answer:?}");
        unknown.insert(title, perhaps);
    }
    cable.mend();
    // What was sent before the cut arrives now.
    sleep(Duration::from_millis(500)).await;
    let created = |title: &str| count(app.database.url(), &format!("tasks WHERE title = '{title}'"));
    for (title, perhaps) in &unknown {
        assert!(created(title) <= i64::from(*perhaps), "{title} was 503 and created");
    }
    assert!(unknown.values().any(|perhaps| *perhaps), "some statements were sent");
    // A repeat with the key is safe, whatever the first response was.
    for n in (0..16).filter(|n| n % 4 == 3) {
        let title = format!("task-{n}");
        ada.clone().header("idempotency-key", &title).task(&title).await;
        assert_eq!(created(&title), 1);
    }
    assert_none_in_a_transaction(&app.database);
    ada.task("after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_its_connection_breaks_a_change_is_504_and_a_transaction_before_its_commit_503() {
    const WAITING: &str = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let id = ada.task("t").await;
    let lock = lock(&app, "LOCK TABLE tasks IN EXCLUSIVE MODE").await;
    let mut requests = JoinSet::new();
    for keyed in [false, true] {
        let (ada, path) = (ada.clone(), format!("tasks/{id}/complete"));
        requests.spawn(async move {
            let answer = match keyed {
                true => ada.header("idempotency-key", "k").post("tasks", json!({ "title": "keyed" })).await,
                false => ada.patch(&path).await,
            };
            (keyed, answer)
        });
    }
    let start = Instant::now();
    while count(app.database.url(), WAITING) < 2 {
        assert!(start.elapsed() < Duration::from_secs(10), "both wait for the lock");
        sleep(Duration::from_millis(20)).await;
    }
    execute(app.database.url(), &format!("SELECT pg_terminate_backend(pid) FROM {WAITING}"));
    for (keyed, answer) in requests.join_all().await {
        assert_eq!(may_have_had_an_effect(&answer), !keyed, "{answer:?}");
    }
    lock.rollback().await.unwrap();
    assert_eq!(count(app.database.url(), "tasks WHERE title = 'keyed'"), 0);
    // The key is not used up.
    ada.clone().header("idempotency-key", "k").post("tasks", json!({ "title": "keyed" })).await.assert_status(201);
    ada.json("PATCH", &format!("tasks/{id}/complete"), json!({ "completed": true })).await.assert_status(200);
}
