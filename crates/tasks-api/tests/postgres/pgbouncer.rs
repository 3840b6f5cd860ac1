//! PgBouncer between the servers and PostgreSQL.

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
use tempfile::TempDir;
use url::Url;

use crate::{
    cluster::unprivileged_user,
    connection::{Connection, RawResponse, request},
    crash::titles,
    database::Database,
    logout::{get_status, list_status, logout_token, send_logout, serve, token_with_session, wait_until},
    process::{Server, run, tasks_api},
    sql::count,
    test_app::SECRET,
};

struct PgBouncer {
    process: Child,
    url: Url,
    directory: TempDir,
}

impl PgBouncer {
    fn start(program: &PathBuf, database: &Database, settings: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), program, database, settings)
    }

    fn start_in(directory: TempDir, program: &PathBuf, database: &Database, settings: &str) -> Self {
        let target: Url = database.url().parse().unwrap();
        let socket = target.query_pairs().find(|(name, _)| name == "host").map(|(_, directory)| directory.into_owned());
        let host = socket.unwrap_or_else(|| target.host_str().unwrap().to_owned());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let users = directory.path().join("users");
        let configuration = format!(
            "[databases]\n* = host={host} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\n{settings}\n",
            target.port().unwrap_or(5432),
            users.display()
        );
        fs::write(&users, format!("\"{}\" \"{}\"\n", target.username(), target.password().unwrap_or_default()))
            .unwrap();
        fs::write(directory.path().join("pgbouncer.ini"), configuration).unwrap();
        let mut command = Command::new(program);
        command.arg(directory.path().join("pgbouncer.ini")).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(user) = unprivileged_user() {
            for file in fs::read_dir(directory.path()).unwrap() {
                chown(file.unwrap().path(), Some(user), None).unwrap();
            }
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
        Self { process, url, directory }
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

fn skip(why: &str) {
    assert!(env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false"), "{why}");
    let _ = writeln!(io::stderr(), "SKIPPED: servers behind PgBouncer, for there is {why}");
}

fn send(server: &Server, method: &str, path: &str, body: &str) -> RawResponse {
    Connection::open(&server.address).unwrap().send(&request(method, path, body)).unwrap()
}

#[test]
fn in_session_pooling_servers_need_no_setting() {
    let Some(program) = program() else { return skip("no PgBouncer on this machine") };
    let logs = check(&program, "session", Duration::from_secs(1));
    assert!(logs.iter().all(|log| !log.contains("polling")), "{logs:?}");
}

#[test]
fn in_transaction_pooling_replicas_poll_for_logouts() {
    let Some(program) = program() else { return skip("no PgBouncer on this machine") };
    if !keeps_prepared_statements(&program) {
        // As in Debian 12: servers do not start. A pool of several sessions, so that a statement meets another one.
        let database = Database::new();
        let bouncer = PgBouncer::start(&program, &database, "pool_mode = transaction");
        let mut command = tasks_api(&bouncer.directory);
        let settings = [("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", bouncer.url.as_str())];
        command.args(["serve", "--listen", "127.0.0.1:0"]).envs(settings);
        let output = run(&mut command);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains("prepared statement"), "{stderr}");
        return;
    }
    let logs = check(&program, "transaction", Duration::from_secs(4));
    for log in logs {
        assert_eq!(
            log.lines().filter(|line| line.contains("WARN") && line.contains("a proxy pools")).count(),
            1,
            "{log}"
        );
    }
}

#[test]
fn with_tls_the_systems_root_certificates_are_trusted_and_no_others() {
    let Some(program) = program() else { return skip("no PgBouncer on this machine") };
    let database = Database::new();
    let directory = tempfile::tempdir().unwrap();
    const CERTIFICATES: &str = "
        alias key='openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
        key -x509 -keyout ca.key -out ca.pem -subj /CN=authority -days 2
        key -keyout server.key -out server.csr -subj /CN=localhost
        echo subjectAltName=DNS:localhost >names
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out server.pem -days 2";
    let output = Command::new("sh").args(["-ec", CERTIFICATES]).current_dir(&directory).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let settings = format!(
        "client_tls_sslmode = require\nclient_tls_key_file = {}\nclient_tls_cert_file = {}",
        path("server.key"),
        path("server.pem")
    );
    let authority = path("ca.pem");
    let mut bouncer = PgBouncer::start_in(directory, &program, &database, &settings);
    bouncer.url.set_host(Some("localhost")).unwrap();
    bouncer.url.set_query(Some("sslmode=verify-full"));
    let server = serve(bouncer.url.as_str(), &[("SSL_CERT_FILE", &authority)]);
    assert_eq!(send(&server, "POST", "/api/ada/tasks", r#"{"title":"t"}"#).status, 201);

    let mut command = tasks_api(&bouncer.directory);
    command.args(["migrate", "status"]).env("DATABASE_URL", bouncer.url.as_str());
    let said = run(&mut command).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("UnknownIssuer") && said.contains("DATABASE_URL"), "{said}");
}

/// 1.21 can be configured to keep them; from 1.24 on this is the default.
fn keeps_prepared_statements(program: &PathBuf) -> bool {
    let output = Command::new(program).arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let minor = said.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    said.starts_with("PgBouncer 1.") && minor.is_some_and(|minor| minor >= 24)
}

/// What two servers do for their clients. Returns their logs.
fn check(program: &PathBuf, pool_mode: &str, notified_within: Duration) -> Vec<String> {
    let database = Database::new();
    let bouncer = PgBouncer::start(program, &database, &format!("pool_mode = {pool_mode}"));
    // They migrate through it.
    let replicas = [(); 2].map(|()| serve(bouncer.url.as_str(), &[]));
    assert!(count(database.url(), "seaql_migrations") >= 5);

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
    let [one, again] = [first, second].map(|server| Connection::open(&server.address).unwrap().send(&keyed).unwrap());
    assert_eq!((one.status, again.status, &one.body), (201, 201, &again.body));
    assert_eq!(titles(&first.address), ["k"]);

    for round in 0..5 {
        let session = format!("session {round}");
        assert_eq!(list_status(&second.address, &token_with_session(session.as_str())), 200);
        assert_eq!(send_logout(&first.address, &logout_token(&session)), 200);
        let took = wait_until(|| list_status(&second.address, &token_with_session(session.as_str())) == 401);
        assert!(took < notified_within, "{took:?}");
    }
    replicas
        .into_iter()
        .map(|replica| {
            assert_eq!(get_status(&replica.address, "/readyz", ""), 200);
            replica.stop("-TERM").1
        })
        .collect()
}
