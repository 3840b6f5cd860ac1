//! Clients that disconnect before they have their response.

use std::{
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::{
    connection::{Connection, request},
    database::Database,
    logout::{logout_token, serve, tell},
    sql::count,
};

/// Enough to meet every step of a transaction.
pub(crate) const CLIENTS: usize = 1500;

/// A POST with an `Idempotency-Key`, which takes a transaction.
pub(crate) fn keyed(key: &str) -> String {
    let post = request("POST", "/api/ada/tasks", r#"{"title":"keyed"}"#);
    post.replacen("\r\n\r\n", &format!("\r\nIdempotency-Key: {key}\r\n\r\n"), 1)
}

/// Sends POSTs with keys and disconnects from each after 0.5 to 6 ms.
pub(crate) fn disconnect(address: &str, clients: usize) {
    const THREADS: usize = 8;
    thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || {
                for n in (first..clients).step_by(THREADS) {
                    let post = keyed(&format!("key-{n}"));
                    let mut client = TcpStream::connect(address).unwrap();
                    client.write_all(post.as_bytes()).unwrap();
                    thread::sleep(Duration::from_micros(500 + (n as u64 * 97) % 5500));
                }
            });
        }
    });
}

/// Creates tasks and logouts, all acknowledged, and looks for them from another connection.
pub(crate) fn assert_acknowledged_is_stored(address: &str, database_url: &str) {
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
            scope.spawn(move || assert_eq!(tell(address, &logout_token(&format!("session {n}"))), 200));
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
    assert_acknowledged_is_stored(&server.address, database.url());
}

#[test]
fn a_request_whose_client_disconnected_is_carried_out_entirely_or_not_at_all() {
    let database = Database::new();
    let server = serve(database.url(), &[]);
    disconnect(&server.address, 200);
    // What has begun comes to its end.
    let tables = ["tasks", "idempotency_keys"];
    let rows = || tables.map(|table| count(database.url(), table));
    let start = Instant::now();
    let mut seen = rows();
    loop {
        thread::sleep(Duration::from_millis(100));
        let now = rows();
        if now == seen && now[0] == now[1] {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "tasks and keys: {now:?}");
        seen = now;
    }
}
