//! Clients that send slowly, incompletely or too much do not affect other clients.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    connection::{Connection, request},
    logout,
    process::{Server, tasks_api},
    test_app::{SECRET, token},
};

/// More than the limit of requests in flight.
const MANY: usize = 2100;

fn serve() -> Server {
    let environment = [("BETTER_AUTH_SECRET", SECRET), ("RUST_LOG", "off,tasks_api::server=info")];
    Server::serve(&tempfile::tempdir().unwrap(), &environment)
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    stream
}

/// Sends a complete head and part of the body.
fn send_incomplete(address: &str, path: &str, headers: &str) -> TcpStream {
    let mut stream = connect(address);
    let head = format!("POST {path} HTTP/1.1\r\nHost: tasks\r\n{headers}Content-Length: 1000\r\n\r\n{{\"title");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// The HTTP version and status code of the response; empty if there is none.
fn status_line(stream: &mut TcpStream) -> String {
    let mut line = [0; 12];
    stream.read_exact(&mut line).map(|()| String::from_utf8_lossy(&line).into_owned()).unwrap_or_default()
}

fn get(address: &str) -> u16 {
    Connection::open(address).unwrap().send(&request("GET", "/api/ada/tasks", "")).unwrap().status
}

#[test]
fn request_with_invalid_token_or_path_is_rejected_before_its_body_arrives() {
    let server = serve();
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let cases = [
        ("/api/ada/tasks", String::new(), "HTTP/1.1 401"),
        ("/api/ada/tasks", bearer("nonsense"), "HTTP/1.1 401"),
        ("/api/ada/tasks", bearer(&token("ada")[..80]), "HTTP/1.1 401"),
        ("/api/bob/tasks", bearer(&token("ada")), "HTTP/1.1 403"),
        ("/api/a%2Fda/tasks", bearer(&token("ada")), "HTTP/1.1 400"),
    ];
    for (path, headers, expected) in cases {
        let mut stream = send_incomplete(&server.address, path, &headers);
        assert_eq!(status_line(&mut stream), expected, "{path} {headers}");
    }
}

#[test]
fn incomplete_bodies_without_valid_token_do_not_block_other_clients() {
    let server = serve();
    for headers in ["", "Authorization: Bearer nonsense\r\n"] {
        let streams: Vec<_> = (0..MANY).map(|_| send_incomplete(&server.address, "/api/ada/tasks", headers)).collect();
        assert_eq!(get(&server.address), 200);
        let post = request("POST", "/api/ada/tasks", r#"{"title":"t"}"#);
        assert_eq!(Connection::open(&server.address).unwrap().send(&post).unwrap().status, 201);
        for mut stream in streams {
            assert_eq!(status_line(&mut stream), "HTTP/1.1 401");
        }
    }
}

#[test]
fn incomplete_logout_requests_do_not_block_other_requests() {
    let server = serve();
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let mut streams: Vec<_> = (0..MANY).map(|_| send_incomplete(&server.address, logout::PATH, form)).collect();
    assert_eq!(get(&server.address), 200);
    let phone = logout::token_with_session("phone");
    assert_eq!(logout::list_status(&server.address, &phone), 200);
    assert_eq!(logout::send_logout(&server.address, &logout::logout_token("phone")), 200);
    assert_eq!(logout::list_status(&server.address, &phone), 401);
    let last = streams.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    assert_eq!(status_line(last), "HTTP/1.1 408", "an incomplete body times out");
}

#[test]
fn client_that_is_still_sending_receives_rejection() {
    let server = serve();
    let body = vec![b'x'; 1_000_000];
    let valid = format!("Authorization: Bearer {}\r\n", token("ada"));
    for (path, headers, expected) in [
        ("/api/ada/tasks", "", "HTTP/1.1 401"),
        ("/api/bob/tasks", valid.as_str(), "HTTP/1.1 403"),
        ("/api/ada/tasks", &valid, "HTTP/1.1 413"),
        (logout::PATH, "", "HTTP/1.1 413"),
    ] {
        for round in 0..10 {
            let mut stream = connect(&server.address);
            let length = body.len();
            let head = format!("POST {path} HTTP/1.1\r\nHost: tasks\r\n{headers}Content-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            for part in body.chunks(50_000) {
                stream.write_all(part).unwrap_or_else(|error| panic!("{expected}, round {round}: {error}"));
            }
            assert_eq!(status_line(&mut stream), expected, "round {round}");
        }
    }
}

#[test]
fn client_that_never_stops_sending_is_disconnected() {
    let server = serve();
    let mut stream = connect(&server.address);
    stream.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
    let head = "POST /api/ada/tasks HTTP/1.1\r\nHost: tasks\r\nContent-Length: 100000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let (start, part) = (Instant::now(), vec![b'x'; 64 * 1024]);
    let error = loop {
        if let Err(error) = stream.write_all(&part) {
            break error;
        }
        assert!(start.elapsed() < Duration::from_secs(8), "the server is still reading");
    };
    assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
}

#[test]
fn request_head_of_100_kb_gets_431() {
    let server = serve();
    let with_header = |length: usize| {
        let head =
            request("GET", "/api/ada/tasks", "").replacen("\r\n", &format!("\r\nX-A: {}\r\n", "x".repeat(length)), 1);
        let mut stream = connect(&server.address);
        stream.write_all(head.as_bytes()).unwrap();
        status_line(&mut stream)
    };
    assert_eq!(with_header(20_000), "HTTP/1.1 200");
    assert_eq!(with_header(100_000), "HTTP/1.1 431");
}

#[test]
fn connection_without_request_is_closed_and_used_connection_is_kept_alive() {
    let server = serve();
    let mut silent = connect(&server.address);
    let mut slow = connect(&server.address);
    slow.write_all(b"GET /healthz HTTP/1.1\r\nX-Half-A-Head").unwrap();
    let mut used = Connection::open(&server.address).unwrap();
    assert_eq!(used.send(&request("GET", "/api/ada/tasks", "")).unwrap().status, 200);
    let start = Instant::now();
    for stream in [&mut silent, &mut slow] {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut buffer = [0];
        assert_eq!(stream.read(&mut buffer).unwrap_or(0), 0);
    }
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(used.send(&request("GET", "/api/ada/tasks", "")).unwrap().status, 200);
}

#[test]
fn low_soft_limit_of_open_files_does_not_block_clients() {
    let directory = tempfile::tempdir().unwrap();
    let program = tasks_api(&directory);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -Sn 64 && exec \"$0\" serve --listen 127.0.0.1:0"]).arg(program.get_program());
    limited
        .current_dir(&directory)
        .env_clear()
        .envs([("BETTER_AUTH_SECRET", SECRET), ("RUST_LOG", "off,tasks_api::server=info")]);
    let server = Server::start(limited);
    let _idle: Vec<_> = (0..300).map(|_| connect(&server.address)).collect();
    assert_eq!(get(&server.address), 200);
}
