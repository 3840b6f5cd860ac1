//! Several servers on one database.

use std::{
    collections::{HashMap, HashSet},
    env, fs,
    io::{self, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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

fn replica(database: &str) -> Server {
    let environment =
        [("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", database), ("RUST_LOG", "warn,tasks_api::server=info")];
    Server::serve(&tempfile::tempdir().unwrap(), &environment)
}

#[test]
fn replicas_start_concurrently_on_an_empty_database() {
    let database = Database::new();
    let starting: Vec<_> = (0..4)
        .map(|_| {
            let url = database.url().to_owned();
            thread::spawn(move || replica(&url))
        })
        .collect();
    for server in starting {
        let server = server.join().unwrap();
        let ready = Connection::open(&server.address).unwrap().send(&request("GET", "/readyz", "")).unwrap();
        assert_eq!(ready.status, 200);
    }
}

/// What a client saw through the balancer.
#[derive(Default)]
struct Seen {
    acknowledged: Vec<String>,
    by_replica: HashMap<String, usize>,
    failed: Vec<(Instant, u16)>,
}

fn client(address: &str, name: &str, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut connection = Connection::open(address).unwrap();
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let title = format!("{name}-{n}");
        let write = request("POST", "/api/ada/tasks", &format!(r#"{{"title":"{title}"}}"#));
        for (request, good) in [(write, 201), (request("GET", "/api/ada/tasks?limit=2", ""), 200)] {
            let answer = connection.send(&request).unwrap();
            let replica = answer.head.lines().find_map(|line| line.strip_prefix("X-Replica: ")).unwrap_or_default();
            *seen.by_replica.entry(replica.to_owned()).or_default() += 1;
            match answer.status {
                201 => seen.acknowledged.push(title.clone()),
                status if status == good => {}
                status => seen.failed.push((Instant::now(), status)),
            }
            if !answer.keeps_alive() {
                connection = Connection::open(address).unwrap();
            }
        }
    }
    seen
}

#[test]
fn killed_replica_behind_a_balancer_loses_at_most_the_requests_in_flight() {
    const CLIENTS: usize = 8;
    let Some(nginx) = program() else { return skip() };
    let database = Database::new();
    let (doomed, survivor) = (replica(database.url()), replica(database.url()));
    let balancer = Balancer::start(&nginx, &[&doomed.address, &survivor.address]);

    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (address, stop) = (balancer.address.clone(), stop.clone());
            thread::spawn(move || client(&address, &n.to_string(), &stop))
        })
        .collect();
    thread::sleep(Duration::from_millis(600));
    let died = Instant::now();
    doomed.signal("-KILL");
    thread::sleep(Duration::from_millis(900));
    stop.store(true, Ordering::Relaxed);
    let seen: Vec<Seen> = clients.into_iter().map(|client| client.join().unwrap()).collect();

    let served = |address: &String| seen.iter().map(|seen| seen.by_replica.get(address).unwrap_or(&0)).sum::<usize>();
    assert!(served(&doomed.address) > 20 && served(&survivor.address) > 20, "both had their share");
    let failed: Vec<_> = seen.iter().flat_map(|seen| &seen.failed).collect();
    assert!(failed.len() <= CLIENTS, "{failed:?}");
    assert!(failed.iter().all(|(when, status)| *status == 504 && *when >= died), "{failed:?}");

    let acknowledged: HashSet<String> = seen.into_iter().flat_map(|seen| seen.acknowledged).collect();
    let kept = titles(&survivor.address).into_iter().collect();
    let lost: Vec<&String> = acknowledged.difference(&kept).collect();
    assert!(lost.is_empty(), "{lost:?} of {}", acknowledged.len());
}

#[test]
fn balancer_without_replicas_responds_with_503() {
    let Some(nginx) = program() else { return skip() };
    let balancer = Balancer::start(&nginx, &["127.0.0.1:1", "127.0.0.1:2"]);
    let response = Connection::open(&balancer.address).unwrap().send(&request("GET", "/api/ada/tasks", "")).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((response.status, &body["status"], &body["code"]), (503, &503.into(), &"unavailable".into()));
    assert!(response.head.to_ascii_lowercase().contains("content-type: application/problem+json"), "{}", response.head);
}

/// nginx with the configuration that the README recommends, on loopback.
struct Balancer {
    process: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Balancer {
    fn start(nginx: &PathBuf, replicas: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let servers: String = replicas.iter().map(|address| format!("server {address} max_fails=0;")).collect();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {kind};"))
            .collect();
        let mut configuration = include_str!("../../nginx.conf").to_owned();
        for (line, replacement) in [
            ("events {}", "daemon off; pid pid; worker_processes 1; events {}"),
            ("resolver 127.0.0.11 valid=2s;", &format!("access_log off; {temporary}")),
            ("server tasks:8000 resolve max_fails=0;", &servers),
            ("listen 8000;", &format!("listen {free};")),
            ("location / {", "location / { add_header X-Replica $upstream_addr always;"),
        ] {
            assert!(configuration.contains(line), "{line}");
            configuration = configuration.replace(line, replacement);
        }
        fs::write(directory.path().join("nginx.conf"), configuration).unwrap();
        let mut nginx = Command::new(nginx);
        nginx.arg("-p").arg(directory.path()).args(["-c", "nginx.conf", "-e", "stderr"]).stderr(Stdio::null());
        let process = nginx.spawn().unwrap();
        let address = free.to_string();
        let start = Instant::now();
        while Connection::open(&address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "nginx does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Self { process, address, _directory: directory }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let beside = [PathBuf::from("/usr/sbin")];
    env::split_paths(&path).chain(beside).map(|directory| directory.join("nginx")).find(|nginx| nginx.exists())
}

fn skip() {
    const WHY: &str = "no nginx on this machine";
    assert!(env::var_os("CI").is_none_or(|ci| ci.is_empty() || ci == "false"), "{WHY}");
    let _ = writeln!(io::stderr(), "SKIPPED: replicas behind a balancer, for there is {WHY}");
}
