//! No connection of the pool is left in a transaction: what runs on it next would be acknowledged and not stored.

use std::{
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::{
    cable::Cable,
    database::Database,
    disconnect::{CLIENTS, assert_acknowledged_writes_are_stored, disconnect, post_with_key},
    logout::serve,
    row_security::database_of_a_plain_role,
    sql::count,
};

/// Sooner than PostgreSQL itself would end such a session.
#[track_caller]
pub(crate) fn assert_none_in_a_transaction(database: &Database) {
    const IDLE: &str = "pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    let start = Instant::now();
    loop {
        match count(database.url(), IDLE) {
            0 => return,
            sessions => assert!(start.elapsed() < Duration::from_secs(2), "{sessions} sessions are in a transaction"),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn after_1500_clients_disconnected_no_session_is_in_a_transaction_and_all_that_is_acknowledged_is_stored() {
    let database = Database::new();
    let server = serve(database.url(), &[]);
    disconnect(&server.address, CLIENTS);
    assert_none_in_a_transaction(&database);
    assert_acknowledged_writes_are_stored(&server.address, database.url());
    assert_none_in_a_transaction(&database);
}

#[test]
fn with_row_security_no_session_is_left_in_a_transaction_after_1500_clients_disconnected() {
    let (database, url) = database_of_a_plain_role();
    let server = serve(&url, &[("TASKS_API_ROW_SECURITY", "true")]);
    disconnect(&server.address, CLIENTS);
    assert_none_in_a_transaction(&database);
    assert_acknowledged_writes_are_stored(&server.address, database.url());
    assert_none_in_a_transaction(&database);
}

#[test]
fn network_cut_leaves_no_open_transaction_and_loses_no_acknowledged_write() {
    let database = Database::new();
    let cable = Cable::to(database.url());
    let server = serve(cable.url(), &[]);
    // So that all connections of the pool are there, and need no test before their next use.
    disconnect(&server.address, 60);
    cable.cut();
    let clients: Vec<TcpStream> = (0..10)
        .map(|n| {
            let mut client = TcpStream::connect(&server.address).unwrap();
            client.write_all(post_with_key(&format!("cut-{n}")).as_bytes()).unwrap();
            client
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    drop(clients);
    thread::sleep(Duration::from_millis(200));
    cable.mend();
    assert_none_in_a_transaction(&database);
    assert_acknowledged_writes_are_stored(&server.address, database.url());
    assert_none_in_a_transaction(&database);
}
