//! Migrations of tables that others use: long readers, and servers that serve.

use std::{
    thread,
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, TransactionTrait};

use crate::{
    database::{Database, execute},
    logout::{serve, wait_until},
    migrations::{TITLES, create, migrate, names, revert_to, stdout},
    process::Server,
    sql::count,
};

/// A transaction that has read the tasks and stays open, as that of `pg_dump`.
async fn long_reader(url: &str) -> (DatabaseConnection, DatabaseTransaction) {
    let db = sea_orm::Database::connect(url).await.unwrap();
    let reader = db.begin_with_config(Some(sea_orm::IsolationLevel::RepeatableRead), None).await.unwrap();
    reader.execute_unprepared("SELECT count(*) FROM tasks").await.unwrap();
    (db, reader)
}

#[test]
fn index_creation_with_a_million_rows_and_a_long_reader_delays_no_request() {
    let database = Database::new();
    let url = database.url();
    stdout(&migrate(url, &["up"]));
    stdout(&revert_to(url, 4));
    execute(
        url,
        "INSERT INTO tasks SELECT 'user ' || n % 1000, gen_random_uuid(), md5(n::text), NULL, false, 1, now(), now()
         FROM generate_series(1, 1000000) n",
    );
    let server = old_release(url);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (db, reader) = runtime.block_on(long_reader(url));
    let migrating = thread::spawn({
        let url = url.to_owned();
        move || stdout(&migrate(&url, &["up"]))
    });
    let start = Instant::now();
    wait_until(|| count(url, "pg_index WHERE indexrelid = to_regclass('tasks_by_title')") == 1);
    // Longer than any time limit of requests, and than the lock timeout of migrations.
    while start.elapsed() < Duration::from_secs(6) {
        let begun = Instant::now();
        assert_eq!(create(&server, "t").status, 201);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!migrating.is_finished() && count(url, TITLES) == 0);
    runtime.block_on(reader.rollback()).unwrap();
    assert!(migrating.join().unwrap().starts_with("applied  m0005_index_tasks_by_title\n"));
    assert_eq!(count(url, TITLES), 1);
    runtime.block_on(db.close()).unwrap();
}

#[test]
fn migration_retries_for_an_exclusive_lock_without_failing_requests() {
    let database = Database::new();
    let url = database.url();
    stdout(&migrate(url, &["up"]));
    stdout(&revert_to(url, 3));
    let server = old_release(url);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (db, reader) = runtime.block_on(long_reader(url));
    let migrating = thread::spawn({
        let url = url.to_owned();
        move || migrate(&url, &["up"])
    });
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        assert_eq!(create(&server, "t").status, 201);
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!migrating.is_finished());
    runtime.block_on(reader.rollback()).unwrap();
    let output = migrating.join().unwrap();
    assert!(stdout(&output).starts_with("applied  m0004_create_row_policies\n"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("trying again"), "{output:?}");
    runtime.block_on(db.close()).unwrap();
}

#[test]
fn retried_revert_reverts_only_the_requested_count() {
    let database = Database::new();
    let url = database.url();
    stdout(&migrate(url, &["up"]));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let db = runtime.block_on(sea_orm::Database::connect(url)).unwrap();
    let reader = runtime.block_on(db.begin()).unwrap();
    runtime.block_on(reader.execute_unprepared("SELECT count(*) FROM revocations")).unwrap();
    let migrating = thread::spawn({
        let url = url.to_owned();
        move || revert_to(&url, 2)
    });
    // Two are reverted, and the third has failed once.
    thread::sleep(Duration::from_millis(2500));
    runtime.block_on(reader.rollback()).unwrap();
    let reverted = "reverted  m0005_index_tasks_by_title\nreverted  m0004_create_row_policies\n\
                    reverted  m0003_create_revocations\n";
    assert!(stdout(&migrating.join().unwrap()).ends_with(reverted));
    assert_eq!(count(url, "seaql_migrations"), 2);
    runtime.block_on(db.close()).unwrap();
}

/// A server that does not know of the migrations that are reverted: for it they are as if applied.
fn old_release(url: &str) -> Server {
    let reverted: String = names(url, "pending").iter().map(|name| format!("('{name}', 0),")).collect();
    let reverted = reverted.trim_end_matches(',');
    execute(url, &format!("INSERT INTO seaql_migrations VALUES {reverted}"));
    let server = serve(url, &[]);
    execute(url, "DELETE FROM seaql_migrations WHERE applied_at = 0");
    server
}
