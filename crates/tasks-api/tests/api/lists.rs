//! Lists: order, pages, filters, cursors.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::test_app::{Answer, Client, TestApp};

fn titles(list: &Answer) -> Vec<&str> {
    list.body["items"].as_array().unwrap().iter().map(|task| task["title"].as_str().unwrap()).collect()
}

async fn tasks(client: &Client, count: usize) {
    for n in 1..=count {
        client.task(&n.to_string()).await;
    }
}

#[tokio::test]
async fn an_empty_list_is_a_page_like_any_other() {
    let list = TestApp::new().await.user("ada").get("tasks").await;
    list.assert_status(200);
    assert_eq!(list.body, json!({ "items": [], "next_cursor": null }));
    assert_eq!(list.header("cache-control"), "private, no-cache");
}

#[tokio::test]
async fn the_newest_task_comes_first_and_lists_are_apart() {
    let app = TestApp::new().await;
    tasks(&app.user("ada"), 3).await;
    app.user("bob").task("Bob's").await;
    let list = app.user("ada").get("tasks").await;
    assert_eq!(titles(&list), ["3", "2", "1"]);
    assert_eq!(list.body["next_cursor"], Value::Null);
}

#[tokio::test]
async fn pages_hold_what_limit_says_and_follow_each_other_without_gap() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    tasks(&ada, 120).await;
    for (query, size) in [
        ("", 50),
        ("?limit=1", 1),
        ("?limit=100", 100),
        ("?limit=101", 100),
        ("?limit=99999999999999999999999", 100),
        ("?limit=007", 7),
    ] {
        assert_eq!(titles(&ada.get(&format!("tasks{query}")).await).len(), size, "{query}");
    }

    let (mut seen, mut query) = (Vec::new(), String::from("?limit=7"));
    loop {
        let page = ada.get(&format!("tasks{query}")).await;
        seen.extend(titles(&page).into_iter().map(str::to_owned));
        // Tasks that come while one reads are newer than all that is still to come.
        ada.task("meanwhile").await;
        match page.body["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=11&cursor={cursor}"),
            None => break,
        }
    }
    let expected: Vec<String> = (1..=120).rev().map(|n| n.to_string()).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_full_last_page_has_no_next_one() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    tasks(&ada, 4).await;
    let first = ada.get("tasks?limit=2").await;
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = ada.get(&format!("tasks?limit=2&cursor={cursor}")).await;
    assert_eq!((titles(&second), &second.body["next_cursor"]), (vec!["2", "1"], &Value::Null));
}

#[tokio::test]
async fn completed_filters() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    tasks(&ada, 2).await;
    let done = ada.task("done").await;
    ada.patch(&format!("tasks/{done}/complete")).await;
    assert_eq!(titles(&ada.get("tasks?completed=true").await), ["done"]);
    assert_eq!(titles(&ada.get("tasks?completed=false").await), ["2", "1"]);
}

#[tokio::test]
async fn a_cursor_serves_its_own_list_alone() {
    let app = TestApp::new().await;
    let (ada, bob) = (app.user("ada"), app.user("bob"));
    tasks(&ada, 3).await;
    tasks(&bob, 3).await;
    let cursor = ada.get("tasks?limit=1").await.body["next_cursor"].as_str().unwrap().to_owned();
    ada.get(&format!("tasks?cursor={cursor}")).await.assert_status(200);

    bob.get(&format!("tasks?cursor={cursor}")).await.assert_problem(400, "invalid_query");
    ada.get(&format!("tasks?completed=false&cursor={cursor}")).await.assert_problem(400, "invalid_query");
    let mut changed: HashSet<String> = ["", "x", "%00", &cursor[1..]].map(str::to_owned).into();
    changed.extend([format!("{cursor}="), format!("{cursor}A"), cursor.to_lowercase(), cursor.chars().rev().collect()]);
    for place in 0..cursor.len() {
        let other = if &cursor[place..=place] == "A" { "B" } else { "A" };
        changed.insert(format!("{}{other}{}", &cursor[..place], &cursor[place + 1..]));
    }
    for cursor in changed {
        ada.get(&format!("tasks?cursor={cursor}")).await.assert_problem(400, "invalid_query");
    }
}

#[tokio::test]
async fn queries_are_taken_at_their_word() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    for query in [
        "limit=0",
        "limit=-1",
        "limit=",
        "limit=ten",
        "limit=1.5",
        "limit=1e2",
        "limit=+5",
        "limit=%205",
        "limit=\u{0665}",
        "completed=",
        "completed=1",
        "completed=TRUE",
        "completed=yes",
        "limit=1&limit=2",
        "completed=true&completed=true",
        "page=2",
        "Limit=1",
        "limit=1&x",
        "user_id=bob",
    ] {
        let query: String = query.chars().map(|c| if c.is_ascii() { c.to_string() } else { "%D9%A5".into() }).collect();
        ada.get(&format!("tasks?{query}")).await.assert_problem(400, "invalid_query");
    }
    ada.get("tasks?").await.assert_status(200);
}
