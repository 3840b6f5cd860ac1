//! A server that is told to stop under load loses no request.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::{
    database::Database,
    process::Server,
    test_app::{SECRET, token},
};

/// What one client saw until it was refused.
#[derive(Debug, Default)]
struct Seen {
    answered: usize,
    created: usize,
    lost: Vec<String>,
}

/// A connection, and the requests that go over it.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request; its answer's status, and whether the connection goes on.
    fn send(&mut self, request: &str) -> io::Result<(u16, bool)> {
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let read = head.len();
            if self.0.read_line(&mut head)? == 0 {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed without an answer"));
            }
            if let Some(text) = head[read..].to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
        }
        self.0.read_exact(&mut vec![0; length])?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok((status, !head.to_ascii_lowercase().contains("connection: close")))
    }
}

fn request(method: &str, path: &str, body: &str) -> String {
    let token = token("ada");
    format!(
        "{method} {path} HTTP/1.1\r\nHost: tasks\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
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
            Ok((status, goes_on)) => {
                assert_eq!(status, *expected);
                seen.answered += 1;
                seen.created += usize::from(status == 201);
                kept = (keeps_alive && goes_on).then_some(connection);
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
    assert_eq!(watcher.join().unwrap(), (503, false), "while it drains, and only to balancers");

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
        assert_eq!(answer.join().unwrap().unwrap().0, 201);
    }
    assert_eq!(count(&database), 60);
}

/// How many tasks there are, counted by a server that is started once more.
fn count(database: &Database) -> usize {
    let server = serve(database);
    let (mut count, mut query) = (0, String::from("?limit=100"));
    loop {
        let url = format!("http://{}/api/ada/tasks{query}", server.address);
        let auth = format!("Authorization: Bearer {}", token("ada"));
        let output = std::process::Command::new("curl").args(["-sS", "-H", &auth, &url]).output().unwrap();
        let page: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        count += page["items"].as_array().unwrap().len();
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=100&cursor={cursor}"),
            None => return count,
        }
    }
}

fn serve(database: &Database) -> Server {
    let environment =
        [("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", database.url()), ("RUST_LOG", "warn,tasks_api::serve=info")];
    Server::serve(&tempfile::tempdir().unwrap(), &environment)
}
