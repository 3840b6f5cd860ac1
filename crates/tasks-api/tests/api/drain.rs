//! A server that is told to stop under load loses no request.

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

/// What one client saw until it was refused.
#[derive(Debug, Default)]
struct Seen {
    answered: usize,
    created: usize,
    lost: Vec<String>,
}

/// Sends requests until it is refused before it has sent anything.
fn client(address: &str, keeps_alive: bool) -> Seen {
    let requests = [
        (request("GET", "/api/ada/tasks?limit=5", ""), 200),
        (request("POST", "/api/ada/tasks", r#"{"title":"t"}"#), 201),
    ];
    let mut seen = Seen::default();
    let mut kept: Option<Connection> = None;
    for (request, expected) in requests.iter().cycle() {
        let mut connection = match kept.take().map_or_else(|| Connection::open(address), Ok) {
            Ok(connection) => connection,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return seen,
            Err(error) => {
                seen.lost.push(format!("connect: {error}"));
                return seen;
            }
        };
        match connection.send(request) {
            Ok(answer) => {
                assert_eq!(answer.status, *expected);
                seen.answered += 1;
                seen.created += usize::from(answer.status == 201);
                kept = (keeps_alive && answer.goes_on()).then_some(connection);
            }
            Err(error) => seen.lost.push(error.to_string()),
        }
        thread::sleep(Duration::from_millis(5));
    }
    seen
}

#[test]
fn under_load_every_request_is_answered_and_later_ones_are_refused() {
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
    assert_eq!((ready.status, ready.goes_on()), (503, false), "while it drains, and only to balancers");

    let seen: Vec<Seen> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(start.elapsed() < Duration::from_secs(9));
    let lost: Vec<&String> = seen.iter().flat_map(|seen| &seen.lost).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(seen.iter().map(|seen| seen.answered).sum::<usize>() > 500, "{seen:?}");

    // And what was answered was done.
    let created: usize = seen.iter().map(|seen| seen.created).sum();
    assert_eq!(count(&database), created);
}

#[test]
fn what_waits_in_the_accept_queue_is_served() {
    let database = Database::new();
    let server = serve(&database);
    // Asleep, the server accepts nothing: the kernel alone answers the connections.
    server.signal("-STOP");
    let address = server.address.clone();
    let waiting: Vec<_> = (0..60)
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
    for answer in waiting {
        assert_eq!(answer.join().unwrap().unwrap().status, 201);
    }
    assert_eq!(count(&database), 60);
}

/// How many tasks there are, counted by a server that is started once more.
fn count(database: &Database) -> usize {
    titles(&serve(database).address).len()
}

fn serve(database: &Database) -> Server {
    let environment =
        [("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", database.url()), ("RUST_LOG", "warn,tasks_api::server=info")];
    Server::serve(&tempfile::tempdir().unwrap(), &environment)
}
