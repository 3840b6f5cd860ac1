//! Migrations: the command, and other releases and replicas beside them.

use std::{process::Output, thread, time::Duration};

use sea_orm::{ConnectionTrait, TransactionTrait};

use crate::{
    connection::{Connection, RawResponse, request},
    crash::titles,
    database::{Database, execute},
    logout::{get_status, serve},
    process::{Server, run, tasks_api},
    row_security::database_of_a_plain_role,
    sql::count,
    test_app::SECRET,
};

pub(crate) const TITLES: &str = "pg_index WHERE indexrelid = to_regclass('tasks_by_title') AND indisvalid";

const LOG: &[(&str, &str)] = &[("RUST_LOG", "info")];

pub(crate) fn migrate(url: &str, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    tasks_api(&directory).arg("migrate").args(arguments).env("DATABASE_URL", url).output().unwrap()
}

#[track_caller]
pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The names of migrations in this state: `applied` or `pending`.
pub(crate) fn names(url: &str, state: &str) -> Vec<String> {
    let status = stdout(&migrate(url, &["status"]));
    status.lines().filter_map(|line| line.strip_prefix(state)).map(|name| name.trim().to_owned()).collect()
}

/// Reverts all but the first migrations.
pub(crate) fn revert_to(url: &str, remaining: usize) -> Output {
    let count = names(url, "applied").len() - remaining;
    migrate(url, &["down", &count.to_string()])
}

/// `serve`, expected to end.
fn refused(url: &str, environment: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = tasks_api(&directory);
    command.args(["serve", "--listen", "127.0.0.1:0"]).env("DATABASE_URL", url).env("BETTER_AUTH_SECRET", SECRET);
    let output = run(command.envs(environment.iter().copied()));
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

pub(crate) fn create(server: &Server, title: &str) -> RawResponse {
    let body = format!(r#"{{"title":"{title}"}}"#);
    Connection::open(&server.address).unwrap().send(&request("POST", "/api/ada/tasks", &body)).unwrap()
}

#[test]
fn up_down_and_status_name_each_migration() {
    let database = Database::new();
    let url = database.url();
    assert!(stdout(&migrate(url, &["status"])).lines().all(|line| line.starts_with("pending  m0")));
    assert_eq!(count(url, "pg_class WHERE relname = 'seaql_migrations'"), 0, "status changes nothing");
    let applied = stdout(&migrate(url, &["up"]));
    assert!(applied.starts_with("applied  m0001_create_tasks\n"), "{applied}");
    assert_eq!(stdout(&migrate(url, &["up"])), "nothing to do\n");
    assert_eq!(count(url, TITLES), 1);
    execute(url, "INSERT INTO seaql_migrations VALUES ('m9999_of_tomorrow', 0)");
    let status = stdout(&migrate(url, &["status"]));
    assert_eq!(status, applied.clone() + "unknown  m9999_of_tomorrow (applied by a newer release)\n");
    let down = migrate(url, &["down"]);
    let said = String::from_utf8_lossy(&down.stderr);
    assert!(!down.status.success() && said.contains("m9999_of_tomorrow"), "{said}");

    execute(url, "DELETE FROM seaql_migrations WHERE version = 'm9999_of_tomorrow'");
    let last = names(url, "applied").pop().unwrap();
    assert_eq!(stdout(&migrate(url, &["down"])), format!("reverted  {last}\n"));
    stdout(&revert_to(url, 4));
    assert_eq!(count(url, TITLES), 0);
    assert!(stdout(&revert_to(url, 0)).ends_with("reverted  m0001_create_tasks\n"));
    assert_eq!(stdout(&migrate(url, &["up"])), applied);
}

#[test]
fn server_without_migrate_does_not_start_with_pending_migrations() {
    let database = Database::new();
    let said = refused(database.url(), &[("TASKS_API_MIGRATE", "false")]);
    assert!(said.contains("m0001_create_tasks") && said.contains("tasks-api migrate up"), "{said}");
    assert_eq!(count(database.url(), "pg_class WHERE relname = 'seaql_migrations'"), 0);
    stdout(&migrate(database.url(), &["up"]));
    assert_eq!(create(&serve(database.url(), &[("TASKS_API_MIGRATE", "false")]), "t").status, 201);
}

#[test]
fn role_without_ddl_serves_a_migrated_database() {
    let (database, owner) = database_of_a_plain_role();
    stdout(&migrate(&owner, &["up"]));
    let name = url::Url::parse(&owner).unwrap().username().to_owned();
    let role = format!("{name}_rows");
    execute(
        database.url(),
        &format!(
            "CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        ),
    );
    let mut url: url::Url = owner.parse().unwrap();
    url.set_username(&role).unwrap();
    for migrate in ["true", "false"] {
        let server = serve(url.as_str(), &[("TASKS_API_MIGRATE", migrate)]);
        assert_eq!(create(&server, migrate).status, 201);
        assert_eq!(get_status(&server.address, "/readyz", ""), 200);
    }
    execute(database.url(), &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn an_older_and_a_newer_release_serve_one_database() {
    let database = Database::new();
    let old = serve(database.url(), &[]);
    assert_eq!(create(&old, "before").status, 201);
    execute(
        database.url(),
        "ALTER TABLE tasks ADD COLUMN due timestamptz; ALTER TABLE idempotency_keys ADD COLUMN note text;
         INSERT INTO seaql_migrations VALUES ('m9999_add_due', 0)",
    );
    // One that ran before, and one that starts on the newer schema.
    let restarted = serve(database.url(), LOG);
    for (server, title) in [(&old, "of the first"), (&restarted, "of the second")] {
        let keyed = request("POST", "/api/ada/tasks", &format!(r#"{{"title":"{title}"}}"#));
        let keyed = keyed.replacen("\r\n", &format!("\r\nIdempotency-Key: {}\r\n", title.len()), 1);
        assert_eq!(Connection::open(&server.address).unwrap().send(&keyed).unwrap().status, 201);
        assert_eq!(Connection::open(&server.address).unwrap().send(&keyed).unwrap().status, 201);
    }
    for server in [&old, &restarted] {
        assert_eq!(titles(&server.address), ["of the second", "of the first", "before"]);
        assert_eq!(get_status(&server.address, "/readyz", ""), 200);
    }
    let (_, log) = restarted.stop("-TERM");
    assert!(log.contains("m9999_add_due"), "{log}");
}

#[test]
fn replica_waits_while_another_migrates() {
    let database = Database::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let db = runtime.block_on(sea_orm::Database::connect(database.url())).unwrap();
    let other = runtime.block_on(db.begin()).unwrap();
    runtime.block_on(other.execute_unprepared("SELECT pg_advisory_xact_lock(500069397363)")).unwrap();
    let url = database.url().to_owned();
    let starting = thread::spawn(move || serve(&url, LOG));
    // Longer than a start waits for its database.
    thread::sleep(Duration::from_secs(10));
    assert!(!starting.is_finished());
    runtime.block_on(other.rollback()).unwrap();
    let server = starting.join().unwrap();
    assert_eq!(create(&server, "t").status, 201);
    let (_, log) = server.stop("-TERM");
    assert_eq!(log.matches("another server migrates the database").count(), 1, "{log}");
    runtime.block_on(db.close()).unwrap();
}

#[test]
fn invalid_index_of_an_interrupted_migration_is_replaced() {
    let database = Database::new();
    let url = database.url();
    stdout(&migrate(url, &["up"]));
    execute(
        url,
        "DELETE FROM seaql_migrations WHERE version LIKE 'm0005%';
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tasks_by_title'::regclass",
    );
    stdout(&migrate(url, &["up"]));
    assert_eq!(count(url, TITLES), 1);
    execute(url, "DELETE FROM seaql_migrations WHERE version LIKE 'm0005%'");
    assert_eq!(stdout(&migrate(url, &["up"])), "applied  m0005_index_tasks_by_title\n");
}
