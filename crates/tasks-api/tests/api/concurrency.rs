//! Concurrent changes of one task.

use serde_json::json;
use tokio::task::JoinSet;

use crate::test_app::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_toggles_are_all_applied() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let id = ada.task("t").await;
    let path = format!("tasks/{id}/complete");
    let mut toggles = JoinSet::new();
    for _ in 0..101 {
        let (ada, path) = (ada.clone(), path.clone());
        toggles.spawn(async move { ada.patch(&path).await.status.as_u16() });
    }
    assert!(toggles.join_all().await.iter().all(|&status| status == 200));
    let after = ada.get(&format!("tasks/{id}")).await;
    assert_eq!((&after.body["completed"], after.header("etag")), (&json!(true), "\"102\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_concurrent_updates_with_same_if_match_succeeds() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let path = format!("tasks/{}", ada.task("t").await);
    let etag = ada.get(&path).await.header("etag").to_owned();
    let mut changes = JoinSet::new();
    for n in 0..20 {
        let (ada, path) = (ada.clone().header("if-match", &etag), path.clone());
        changes.spawn(async move {
            ada.put(&path, json!({ "title": format!("{n}"), "description": null, "completed": false }))
                .await
                .status
                .as_u16()
        });
    }
    let mut statuses = changes.join_all().await;
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses.iter().filter(|&&status| status == 412).count()), (200, 19));
}
