//! Graceful shutdown under load.

use std::{
    io::ErrorKind,
    thread,
    time::{Duration, Instant},
};

use crate::{
    connection::{Connection, request},
    crash::titles,
    database::Database,
    process::Server,
    test_app::SECRET,
};

/// The results of one client's requests.
#[derive(Debug, Default)]
struct ClientReport {
    responses: usize,
    created: usize,
    errors: Vec<String>,
}

/// Sends requests until a connection is refused.
fn client(address: &str, keeps_alive: bool) -> ClientReport {
    let requests = [
        (request("GET", "/api/ada/tasks?limit=5", ""), 200),
        (request("POST", "/api/ada/tasks", r#"{"title":"t"}"#), 201),
    ];
    let mut report = ClientReport::default();
    let mut reusable: Option<Connection> = None;
    for (request, expected) in requests.iter().cycle() {
        let mut connection = match reusable.take().map_or_else(|| Connection::open(address), Ok) {
            Ok(connection) => connection,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return report,
            Err(error) => {
                report.errors.push(format!("connect: {error}"));
                return report;
            }
        };
        match connection.send(request) {
            Ok(response) => {
                assert_eq!(response.status, *expected);
                report.responses += 1;
                report.created += usize::from(response.status == 201);
                reusable = (keeps_alive && response.keeps_alive()).then_some(connection);
            }
            Err(error) => report.errors.push(error.to_string()),
        }
        thread::sleep(Duration::from_millis(5));
    }
    report
}

#[test]
fn shutdown_under_load_completes_requests_and_refuses_new_connections() {
    let database = Database::new();
    let server = serve(&database);
    let address = server.address.clone();
    let clients: Vec<_> = (0..40)
        .map(|n| {
            let address = address.clone();
            thread::spawn(move || client(&address, n % 2 == 0))
        })
        .collect();
    thread::sleep(Duration::from_millis(700));

    let start = Instant::now();
    let watcher = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        Connection::open(&address).unwrap().send("GET /readyz HTTP/1.1\r\nHost: tasks\r\n\r\n").unwrap()
    });
    let (took, _) = server.stop("-TERM");
    assert!(took < Duration::from_secs(8), "{took:?}");
    let ready = watcher.join().unwrap();
    assert_eq!(
        (ready.status, ready.keeps_alive()),
        (503, false),
        "/readyz is 503 and closes the connection while draining"
    );

    let reports: Vec<ClientReport> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(start.elapsed() < Duration::from_secs(9));
    let errors: Vec<&String> = reports.iter().flat_map(|report| &report.errors).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert!(reports.iter().map(|report| report.responses).sum::<usize>() > 500, "{reports:?}");

    // Every acknowledged task is stored.
    let created: usize = reports.iter().map(|report| report.created).sum();
    assert_eq!(count(&database), created);
}

#[test]
fn shutdown_serves_connections_in_accept_queue() {
    let database = Database::new();
    let server = serve(&database);
    // While the process is stopped, the kernel completes the handshakes and queues the connections.
    server.signal("-STOP");
    let address = server.address.clone();
    let clients: Vec<_> = (0..60)
        .map(|_| {
            let address = address.clone();
            thread::spawn(move || {
                Connection::open(&address)?.send(&request("POST", "/api/ada/tasks", r#"{"title":"t"}"#))
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    server.signal("-TERM");
    let (took, _) = server.stop("-CONT");
    assert!(took < Duration::from_secs(8), "{took:?}");
    for client in clients {
        assert_eq!(client.join().unwrap().unwrap().status, 201);
    }
    assert_eq!(count(&database), 60);
}

/// The number of stored tasks, counted through a new server.
fn count(database: &Database) -> usize {
    titles(&serve(database).address).len()
}

fn serve(database: &Database) -> Server {
    let environment =
        [("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", database.url()), ("RUST_LOG", "warn,tasks_api::server=info")];
    Server::serve(&tempfile::tempdir().unwrap(), &environment)
}
