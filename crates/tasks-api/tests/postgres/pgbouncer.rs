//! PgBouncer between the servers and PostgreSQL, pooling sessions and with its defaults.

use std::{
    env, fs,
    io::{self, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::chown, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use url::Url;

use crate::{
    cluster::unprivileged_user,
    connection::{Answer, Connection, request},
    crash::titles,
    database::Database,
    logout::{ask, ask_for, logout_token, serve, tell, token_in, until},
    process::Server,
    sql::count,
};

struct PgBouncer {
    process: Child,
    url: Url,
    _directory: tempfile::TempDir,
}

impl PgBouncer {
    fn start(program: &PathBuf, database: &Database) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let target: Url = database.url().parse().unwrap();
        let socket = target.query_pairs().find(|(name, _)| name == "host").map(|(_, directory)| directory.into_owned());
        let host = socket.unwrap_or_else(|| target.host_str().unwrap().to_owned());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let users = directory.path().join("users");
        let configuration = format!(
            "[databases]\n* = host={host} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = session\n",
            target.port().unwrap_or(5432),
            users.display()
        );
        fs::write(&users, format!("\"{}\" \"{}\"\n", target.username(), target.password().unwrap_or_default())).unwrap();
        fs::write(directory.path().join("pgbouncer.ini"), configuration).unwrap();
        let mut command = Command::new(program);
        command.arg(directory.path().join("pgbouncer.ini")).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(user) = unprivileged_user() {
            chown(directory.path(), Some(user), None).unwrap();
            command.uid(user);
        }
        let process = command.spawn().unwrap();
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "PgBouncer does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        let mut url = target;
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        url.set_query(None);
        Self { process, url, _directory: directory }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let beside = [PathBuf::from("/usr/sbin")];
    env::split_paths(&path).chain(beside).map(|directory| directory.join("pgbouncer")).find(|program| program.exists())
}

fn skip() {
    const WHY: &str = "no PgBouncer on this machine";
    assert!(env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false"), "{WHY}");
    let _ = writeln!(io::stderr(), "SKIPPED: servers behind PgBouncer, for there is {WHY}");
}

fn send(server: &Server, method: &str, path: &str, body: &str) -> Answer {
    Connection::open(&server.address).unwrap().send(&request(method, path, body)).unwrap()
}

#[test]
fn servers_behind_pgbouncer_need_no_setting() {
    let Some(program) = program() else { return skip() };
    let database = Database::new();
    let bouncer = PgBouncer::start(&program, &database);
    // They migrate through it.
    let replicas = [(); 2].map(|()| serve(bouncer.url.as_str(), &[]));
    assert_eq!(count(database.url(), "seaql_migrations"), 5);

    let [first, second] = &replicas;
    let created = send(first, "POST", "/api/ada/tasks", r#"{"title":"t"}"#);
    assert_eq!(created.status, 201);
    let id = serde_json::from_slice::<Value>(&created.body).unwrap()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/ada/tasks/{id}");
    let whole = r#"{"title":"u","description":null,"completed":true}"#;
    for (method, path, body, status) in [
        ("GET", path.clone(), "", 200),
        ("PUT", path.clone(), whole, 200),
        ("PATCH", format!("{path}/complete"), "", 200),
        ("DELETE", path.clone(), "", 204),
        ("GET", path, "", 404),
    ] {
        assert_eq!(send(second, method, &path, body).status, status, "{method} {path}");
    }
    let keyed = request("POST", "/api/ada/tasks", r#"{"title":"k"}"#).replacen("\r\n", "\r\nIdempotency-Key: k\r\n", 1);
    let [one, again] =
        [first, second].map(|server| Connection::open(&server.address).unwrap().send(&keyed).unwrap());
    assert_eq!((one.status, again.status, &one.body), (201, 201, &again.body));
    assert_eq!(titles(&first.address), ["k"]);

    for round in 0..5 {
        let session = format!("session {round}");
        assert_eq!(ask(&second.address, &token_in(session.as_str())), 200);
        assert_eq!(tell(&first.address, &logout_token(&session)), 200);
        let took = until(|| ask(&second.address, &token_in(session.as_str())) == 401);
        // Sooner than it would be polled.
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    for replica in replicas {
        assert_eq!(ask_for(&replica.address, "/readyz", ""), 200);
        let (_, log) = replica.stop("-TERM");
        assert!(!log.contains("notifications"), "{log}");
    }
}
