//! While the database is unavailable requests fail at once, and the log says so once.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    cable::Cable,
    connection::{Connection, RawResponse, request},
    database::{Database, execute, own_cluster},
    logout::{get_status, logout_token, send_logout, serve, token_with_session, wait_until},
    process::{Server, run, tasks_api},
    row_security::database_of_a_plain_role,
};

const LOG: &[(&str, &str)] = &[("RUST_LOG", "info")];

const UNAVAILABLE: &str = "the database is unavailable";
const AVAILABLE: &str = "the database is available again";

/// In less time than a request waits for a connection.
fn assert_fails_fast(server: &Server) {
    wait_until(|| get_status(&server.address, "/readyz", "") == 503);
    // A request may have met a broken connection before a probe did.
    thread::sleep(Duration::from_millis(1500));
    let start = Instant::now();
    for n in 0..20 {
        let answer = match n % 4 {
            0 => send(server, "GET", ""),
            1 => send(server, "POST", r#"{"title":"t"}"#),
            2 => keyed(server),
            _ => {
                assert_eq!(send_logout(&server.address, &logout_token("s")), 503);
                assert_eq!(get_status(&server.address, "/readyz", ""), 503);
                continue;
            }
        };
        assert_eq!(answer.status, 503);
        assert!(answer.head.to_ascii_lowercase().contains("retry-after: 2"), "{}", answer.head);
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

fn send(server: &Server, method: &str, body: &str) -> RawResponse {
    Connection::open(&server.address).unwrap().send(&request(method, "/api/ada/tasks", body)).unwrap()
}

fn keyed(server: &Server) -> RawResponse {
    let keyed = request("POST", "/api/ada/tasks", r#"{"title":"t"}"#);
    let keyed = keyed.replacen("\r\n", "\r\nIdempotency-Key: k\r\n", 1);
    Connection::open(&server.address).unwrap().send(&keyed).unwrap()
}

fn assert_back(server: &Server) {
    wait_until(|| get_status(&server.address, "/readyz", "") == 200);
    assert_eq!((send(server, "GET", "").status, send(server, "POST", r#"{"title":"t"}"#).status), (200, 201));
}

/// One line when it went away and one when it was back.
#[track_caller]
fn assert_logged(log: &str, outages: usize, cause: &str) {
    assert_eq!((log.matches(UNAVAILABLE).count(), log.matches(AVAILABLE).count()), (outages, outages), "{log}");
    let gone: Vec<&str> = log.lines().filter(|line| line.contains(UNAVAILABLE)).collect();
    assert!(gone.iter().all(|line| line.contains(cause)), "{gone:?}");
    let back: Vec<&str> = log.lines().filter(|line| line.contains(AVAILABLE)).collect();
    assert!(back.iter().all(|line| line.contains("rejected=") && !line.contains("rejected=0")), "{back:?}");
    // The library logs each logout token that could not be applied.
    let errors = log.lines().filter(|line| line.contains(" ERROR ") && !line.contains("backchannel"));
    assert_eq!(errors.count(), outages, "{log}");
}

#[test]
fn requests_fail_fast_while_the_database_is_stopped() {
    let Some(mut cluster) = own_cluster() else { return };
    let server = serve(cluster.url().as_str(), LOG);
    send(&server, "POST", r#"{"title":"t"}"#);
    for signal in ["INT", "KILL"] {
        cluster.stop(signal);
        assert_fails_fast(&server);
        cluster.start();
        assert_back(&server);
    }
    let (_, log) = server.stop("-TERM");
    // Its socket is gone, refuses connections, or still leads to it.
    assert_logged(&log, 2, "cause=");
}

#[test]
fn requests_fail_fast_while_the_database_hangs() {
    let Some(mut cluster) = own_cluster() else { return };
    let server = serve(cluster.url().as_str(), LOG);
    cluster.stop("STOP");
    assert_fails_fast(&server);
    cluster.start();
    assert_back(&server);
    let (_, log) = server.stop("-TERM");
    assert_logged(&log, 1, "timed out");
}

#[test]
fn requests_fail_fast_while_the_network_is_cut() {
    let database = Database::new();
    let cable = Cable::to(database.url());
    let server = serve(cable.url(), LOG);
    send(&server, "GET", "");
    cable.cut();
    assert_fails_fast(&server);
    cable.mend();
    assert_back(&server);
    let (_, log) = server.stop("-TERM");
    assert_logged(&log, 1, "timed out");
}

#[test]
fn requests_fail_fast_while_the_database_has_no_connections_left() {
    let (database, url) = database_of_a_plain_role();
    let server = serve(&url, LOG);
    let role = url::Url::parse(&url).unwrap().username().to_owned();
    execute(
        database.url(),
        &format!(
            "ALTER ROLE {role} CONNECTION LIMIT 0; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
        ),
    );
    assert_fails_fast(&server);
    execute(database.url(), &format!("ALTER ROLE {role} CONNECTION LIMIT -1"));
    assert_back(&server);
    let (_, log) = server.stop("-TERM");
    assert_logged(&log, 1, "too many connections for role");
}

#[test]
fn slow_statements_and_a_busy_pool_are_not_an_outage_even_without_other_connections() {
    let (database, url) = database_of_a_plain_role();
    let server = serve(&url, &[LOG[0], ("TASKS_API_POOL_SIZE", "1")]);
    let role = url::Url::parse(&url).unwrap().username().to_owned();
    wait_until(|| get_status(&server.address, "/readyz", "") == 200);
    thread::sleep(Duration::from_secs(1));
    // What it has is all that it gets: one that listens and one of the pool.
    execute(database.url(), &format!("ALTER ROLE {role} CONNECTION LIMIT 2"));
    thread::scope(|scope| {
        scope.spawn(|| {
            execute(database.url(), "BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(1.5); COMMIT");
        });
        thread::sleep(Duration::from_millis(200));
        for _ in 0..3 {
            scope.spawn(|| assert_eq!(get_status(&server.address, "/api/ada/tasks", &token_with_session("s")), 200));
        }
    });
    let (_, log) = server.stop("-TERM");
    assert!(!log.contains(UNAVAILABLE), "{log}");
}

#[test]
fn a_start_waits_for_a_database_that_is_starting() {
    let Some(mut cluster) = own_cluster() else { return };
    let url = cluster.url();
    cluster.stop("INT");
    let (directory, listening) = (tempfile::tempdir().unwrap(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    // PostgreSQL's socket is missing, which may be a wrong path; a port that refuses may be a database that starts.
    let port = listening.local_addr().unwrap().port();
    drop(listening);
    let address = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let starting = thread::spawn(move || {
        let start = Instant::now();
        let output = run(tasks_api(&directory).args(["migrate", "up"]).env("DATABASE_URL", address));
        (start.elapsed(), output)
    });
    thread::sleep(Duration::from_secs(2));
    cluster.start();
    let _forwarded = Cable::listen(url.as_str(), port);
    let (took, output) = starting.join().unwrap();
    assert!(output.status.success() && took > Duration::from_secs(2), "{took:?} {output:?}");
}
