//! Durability: acknowledged writes survive SIGKILL.

use std::{collections::HashSet, thread, time::Duration};

use crate::{
    connection::{Connection, request},
    database::Database,
    process::Server,
    test_app::SECRET,
};

#[test]
fn acknowledged_writes_survive_sigkill() {
    let database = Database::new();
    let environment =
        [("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", database.url()), ("RUST_LOG", "warn,tasks_api::server=info")];
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = HashSet::new();
    for round in 0..3 {
        let server = Server::serve(&directory, &environment);
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let address = server.address.clone();
                thread::spawn(move || create_tasks_until_disconnected(&address, &format!("{round}-{writer}")))
            })
            .collect();
        thread::sleep(Duration::from_millis(150 + 70 * round));
        server.signal("-KILL");
        drop(server);
        for writer in writers {
            acknowledged.extend(writer.join().unwrap());
        }
    }
    assert!(acknowledged.len() > 30, "{}", acknowledged.len());
    let server = Server::serve(&directory, &environment);
    let stored = titles(&server.address).into_iter().collect();
    let lost: Vec<&String> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "{lost:?} of {}", acknowledged.len());
}

/// Creates tasks until the connection breaks, and returns the titles of those that got 201.
pub(crate) fn create_tasks_until_disconnected(address: &str, name: &str) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let Ok(mut connection) = Connection::open(address) else { return acknowledged };
    for n in 0.. {
        let title = format!("{name}-{n}");
        let body = format!(r#"{{"title":"{title}"}}"#);
        match connection.send(&request("POST", "/api/ada/tasks", &body)) {
            Ok(response) if response.status == 201 => acknowledged.push(title),
            _ => break,
        }
    }
    acknowledged
}

/// The titles of all of `ada`'s tasks.
pub(crate) fn titles(address: &str) -> Vec<String> {
    let mut titles = Vec::new();
    let mut connection = Connection::open(address).unwrap();
    let mut path = String::from("/api/ada/tasks?limit=100");
    loop {
        let response = connection.send(&request("GET", &path, "")).unwrap();
        assert_eq!(response.status, 200);
        let page: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        titles.extend(page["items"].as_array().unwrap().iter().map(|task| task["title"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/ada/tasks?limit=100&cursor={cursor}"),
            None => return titles,
        }
    }
}
