//! Lists: order, pagination, filters and cursors.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::test_app::{Client, TestApp, TestResponse};

fn titles(list: &TestResponse) -> Vec<&str> {
    list.body["items"].as_array().unwrap().iter().map(|task| task["title"].as_str().unwrap()).collect()
}

async fn create_tasks(client: &Client, count: usize) {
    for n in 1..=count {
        client.task(&n.to_string()).await;
    }
}

#[tokio::test]
async fn empty_list_has_no_items_and_no_next_cursor() {
    let list = TestApp::new().await.user("ada").get("tasks").await;
    list.assert_status(200);
    assert_eq!(list.body, json!({ "items": [], "next_cursor": null }));
    assert_eq!(list.header("cache-control"), "private, no-cache");
}

#[tokio::test]
async fn list_contains_only_own_tasks_newest_first() {
    let app = TestApp::new().await;
    create_tasks(&app.user("ada"), 3).await;
    app.user("bob").task("Bob's").await;
    let list = app.user("ada").get("tasks").await;
    assert_eq!(titles(&list), ["3", "2", "1"]);
    assert_eq!(list.body["next_cursor"], Value::Null);
}

#[tokio::test]
async fn limit_sets_page_size_and_pages_neither_skip_nor_repeat_tasks() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    create_tasks(&ada, 120).await;
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

    let (mut collected, mut query) = (Vec::new(), String::from("?limit=7"));
    loop {
        let page = ada.get(&format!("tasks{query}")).await;
        collected.extend(titles(&page).into_iter().map(str::to_owned));
        // Tasks created during pagination are newer than the remaining ones, so they do not appear.
        ada.task("meanwhile").await;
        match page.body["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=11&cursor={cursor}"),
            None => break,
        }
    }
    let expected: Vec<String> = (1..=120).rev().map(|n| n.to_string()).collect();
    assert_eq!(collected, expected);
}

#[tokio::test]
async fn full_last_page_has_no_next_cursor() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    create_tasks(&ada, 4).await;
    let first = ada.get("tasks?limit=2").await;
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = ada.get(&format!("tasks?limit=2&cursor={cursor}")).await;
    assert_eq!((titles(&second), &second.body["next_cursor"]), (vec!["2", "1"], &Value::Null));
}

#[tokio::test]
async fn completed_filters_by_state() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    create_tasks(&ada, 2).await;
    let done = ada.task("done").await;
    ada.patch(&format!("tasks/{done}/complete")).await;
    assert_eq!(titles(&ada.get("tasks?completed=true").await), ["done"]);
    assert_eq!(titles(&ada.get("tasks?completed=false").await), ["2", "1"]);
}

#[tokio::test]
async fn cursor_is_valid_only_for_same_user_and_query() {
    let app = TestApp::new().await;
    let (ada, bob) = (app.user("ada"), app.user("bob"));
    create_tasks(&ada, 3).await;
    create_tasks(&bob, 3).await;
    let cursor = ada.get("tasks?limit=1").await.body["next_cursor"].as_str().unwrap().to_owned();
    ada.get(&format!("tasks?cursor={cursor}")).await.assert_status(200);

    bob.get(&format!("tasks?cursor={cursor}")).await.assert_problem(400, "invalid_query");
    for other in ["completed=false", "q=1", "sort=created_at", "sort=title"] {
        ada.get(&format!("tasks?{other}&cursor={cursor}")).await.assert_problem(400, "invalid_query");
    }
    let mut changed: HashSet<String> = ["", "x", "%00", &cursor[1..]].map(str::to_owned).into();
    changed.extend([format!("{cursor}="), format!("{cursor}A"), format!("{cursor}AAAA"), format!("{cursor}%20")]);
    changed.extend([cursor.to_lowercase(), cursor.chars().rev().collect()]);
    for place in 0..cursor.len() {
        let other = if &cursor[place..=place] == "A" { "B" } else { "A" };
        changed.insert(format!("{}{other}{}", &cursor[..place], &cursor[place + 1..]));
    }
    for cursor in changed {
        ada.get(&format!("tasks?cursor={cursor}")).await.assert_problem(400, "invalid_query");
    }
}

#[tokio::test]
async fn invalid_query_parameters_get_400() {
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

#[tokio::test]
async fn q_matches_substrings_of_title_and_description_without_wildcards() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    for (title, description) in
        [("Buy MILK", None), ("100% sure", Some("snake_case")), ("Über", Some("a\\b")), ("plain", Some("with milk"))]
    {
        ada.post("tasks", json!({ "title": title, "description": description })).await.assert_status(201);
    }
    app.user("bob").task("Bob's milk").await;
    for (q, found) in [
        ("milk", vec!["plain", "Buy MILK"]),
        ("MiLk", vec!["plain", "Buy MILK"]),
        ("y%20m", vec!["Buy MILK"]),
        ("y+M", vec!["Buy MILK"]),
        ("%25", vec!["100% sure"]),
        ("_", vec!["100% sure"]),
        ("e_c", vec!["100% sure"]),
        ("%5C", vec!["Über"]),
        // Only ASCII letters are compared without regard to case.
        ("%C3%9C", vec!["Über"]),
        ("%C3%BC", vec![]),
        ("%27", vec![]),
        ("*", vec![]),
        ("", vec!["plain", "Über", "100% sure", "Buy MILK"]),
    ] {
        let list = ada.get(&format!("tasks?q={q}")).await;
        list.assert_status(200);
        assert_eq!(titles(&list), found, "{q}");
    }
    ada.patch(&format!("tasks/{}/complete", ada.task("more milk").await)).await;
    assert_eq!(titles(&ada.get("tasks?q=milk&completed=true").await), ["more milk"]);
    for q in ["%00", &"x".repeat(201)] {
        ada.get(&format!("tasks?q={q}")).await.assert_problem(400, "invalid_query");
    }
}

#[tokio::test]
async fn sort_orders_pages_by_creation_time_or_title() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    let created = ["b", "B", "a", "ä", "b", "A", "Z", "aa", "b", "😀", "\u{ffee}"];
    for title in created {
        ada.task(title).await;
    }
    // Titles sort by code point: upper case first, non-ASCII last.
    let by_title = ["A", "B", "Z", "a", "aa", "b", "b", "b", "ä", "\u{ffee}", "😀"];
    let reversed = |titles: &[&'static str]| titles.iter().rev().copied().collect::<Vec<_>>();
    for (sort, expected) in [
        ("created_at", created.to_vec()),
        ("-created_at", reversed(&created)),
        ("title", by_title.to_vec()),
        ("-title", reversed(&by_title)),
    ] {
        let whole = ada.get(&format!("tasks?sort={sort}")).await;
        assert_eq!(titles(&whole), expected, "{sort}");
        let (mut collected, mut path) = (Vec::new(), format!("tasks?limit=2&sort={sort}"));
        loop {
            let page = ada.get(&path).await;
            collected.extend(page.body["items"].as_array().unwrap().clone());
            match page.header("link") {
                "" => break,
                link => path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned(),
            }
        }
        assert_eq!(json!(collected), whole.body["items"], "{sort}");
    }
    for sort in ["", "id", "-", "--title", "Title", "title,id", "updated_at"] {
        ada.get(&format!("tasks?sort={sort}")).await.assert_problem(400, "invalid_query");
    }
}

#[tokio::test]
async fn link_header_points_to_next_page_of_same_query() {
    let app = TestApp::new().await;
    let user = app.user("a b/ü?");
    let here = "/api/a%20b%2F%C3%BC%3F/tasks";
    // A user id with a slash is rejected, since it does not fit a path segment.
    user.get(here).await.assert_problem(400, "invalid_path");

    let user = app.user("a b@ü");
    let here = "/api/a%20b%40%C3%BC/tasks";
    for n in 0..5 {
        user.post(here, json!({ "title": format!("x&y {n}") })).await.assert_status(201);
    }
    let first = user.get(&format!("{here}?limit=2&completed=false&q=X%26Y&sort=title")).await;
    assert_eq!(titles(&first), ["x&y 0", "x&y 1"]);
    let cursor = first.body["next_cursor"].as_str().unwrap();
    assert_eq!(
        first.header("link"),
        format!("<{here}?limit=2&completed=false&q=x%26y&sort=title&cursor={cursor}>; rel=\"next\"")
    );
    let next = |page: &TestResponse| page.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    let second = user.get(&next(&first)).await;
    assert_eq!(titles(&second), ["x&y 2", "x&y 3"]);
    let last = user.get(&next(&second)).await;
    assert_eq!((titles(&last), last.header("link")), (vec!["x&y 4"], ""));
}

#[tokio::test]
async fn next_page_continues_after_last_task_was_deleted_or_renamed() {
    let app = TestApp::new().await;
    let ada = app.user("ada");
    for sort in ["title", "-title", "created_at", "-created_at"] {
        let descending = sort.starts_with('-');
        for title in ["a", "b", "c", "d"] {
            ada.task(title).await;
        }
        let first = ada.get(&format!("tasks?limit=2&sort={sort}")).await;
        let items = first.body["items"].as_array().unwrap();
        let path = |task: &Value| format!("tasks/{}", task["id"].as_str().unwrap());
        ada.delete(&path(&items[1])).await.assert_status(204);
        let renamed = json!({ "title": "zz", "description": null, "completed": false });
        ada.put(&path(&items[0]), renamed).await.assert_status(200);

        let cursor = first.body["next_cursor"].as_str().unwrap();
        let second = ada.get(&format!("tasks?sort={sort}&cursor={cursor}")).await;
        let mut rest = if descending { vec!["b", "a"] } else { vec!["c", "d"] };
        if sort == "title" {
            rest.push("zz");
        }
        assert_eq!(titles(&second), rest, "{sort}");
        for task in ada.get("tasks").await.body["items"].as_array().unwrap() {
            ada.delete(&path(task)).await;
        }
    }
}
