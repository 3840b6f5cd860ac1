//! Clients that disconnect before they receive the response.

use std::{
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::{
    connection::{Connection, request},
    database::Database,
    logout::{logout_token, send_logout, serve},
    sql::count,
};

/// Enough for disconnects to occur during every step of a transaction.
pub(crate) const CLIENTS: usize = 1500;

/// A POST with an `Idempotency-Key`, which is handled in a transaction.
pub(crate) fn post_with_key(key: &str) -> String {
    let post = request("POST", "/api/ada/tasks", r#"{"title":"keyed"}"#);
    post.replacen("\r\n\r\n", &format!("\r\nIdempotency-Key: {key}\r\n\r\n"), 1)
}

/// Sends POSTs with an `Idempotency-Key` and disconnects after 0.5 to 6 ms each.
pub(crate) fn disconnect(address: &str, clients: usize) {
    const THREADS: usize = 8;
    thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || {
                for n in (first..clients).step_by(THREADS) {
                    let post = post_with_key(&format!("key-{n}"));
                    let mut client = TcpStream::connect(address).unwrap();
                    client.write_all(post.as_bytes()).unwrap();
                    thread::sleep(Duration::from_micros(500 + (n as u64 * 97) % 5500));
                }
            });
        }
    });
}

/// Creates tasks and revocations, asserts that all are acknowledged, and counts them through another connection.
pub(crate) fn assert_acknowledged_writes_are_stored(address: &str, database_url: &str) {
    const THREADS: usize = 10;
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                for _ in 0..6 {
                    let post = request("POST", "/api/ada/tasks", r#"{"title":"acknowledged"}"#);
                    assert_eq!(connection.send(&post).unwrap().status, 201);
                }
            });
        }
        for n in 0..THREADS {
            scope.spawn(move || assert_eq!(send_logout(address, &logout_token(&format!("session {n}"))), 200));
        }
    });
    let stored = |table: &str| count(database_url, table);
    assert_eq!((stored("tasks WHERE title = 'acknowledged'"), stored("revocations")), (60, 10));
}

#[test]
fn acknowledged_writes_are_stored_after_other_clients_disconnected() {
    let database = Database::new();
    let server = serve(database.url(), &[]);
    disconnect(&server.address, CLIENTS);
    assert_acknowledged_writes_are_stored(&server.address, database.url());
}

#[test]
fn request_of_disconnected_client_is_applied_completely_or_not_at_all() {
    let database = Database::new();
    let server = serve(database.url(), &[]);
    disconnect(&server.address, 200);
    // Wait until the requests in flight have completed.
    let tables = ["tasks", "idempotency_keys"];
    let rows = || tables.map(|table| count(database.url(), table));
    let start = Instant::now();
    let mut previous = rows();
    loop {
        thread::sleep(Duration::from_millis(100));
        let now = rows();
        if now == previous && now[0] == now[1] {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "tasks and keys: {now:?}");
        previous = now;
    }
}
