//! Row-level security: PostgreSQL itself keeps the users apart.

use sea_orm::{ConnectOptions, ConnectionTrait, DbBackend, Statement, TransactionTrait};
use tasks_api::{AppConfig, AppState, DatabaseConfig};

use crate::{
    database::{Database, execute},
    isolation, logout,
    test_app::{TestApp, verifier},
};

/// A database that belongs to a role without privileges, as it should be in production, and the URL for this role.
pub(crate) fn database_of_a_plain_role() -> (Database, String) {
    let database = Database::new();
    let name = url::Url::parse(database.url()).unwrap().path()[1..].to_owned();
    // Roles are shared by all databases of a server; the name of this one is as unique as the database's.
    execute(
        database.url(),
        &format!(
            "CREATE ROLE {name} LOGIN; ALTER DATABASE {name} OWNER TO {name}; GRANT CREATE, USAGE ON SCHEMA public TO {name}"
        ),
    );
    let mut url: url::Url = database.url().parse().unwrap();
    url.set_username(&name).unwrap();
    (database, url.into())
}

async fn app() -> (TestApp, String) {
    let (database, url) = database_of_a_plain_role();
    let state = secured(&url).await.unwrap();
    (TestApp::from_state(state, database), url)
}

async fn secured(url: &str) -> anyhow::Result<AppState> {
    AppState::connect(AppConfig::new(verifier(), DatabaseConfig::new(url)?.row_security())).await
}

async fn count(db: &impl ConnectionTrait, table: &str) -> i64 {
    let query = Statement::from_string(DbBackend::Postgres, format!("SELECT count(*) FROM {table}"));
    db.query_one_raw(query).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

#[test]
fn api_works_with_row_security_for_users_who_share_connections() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (app, _) = runtime.block_on(app());
    isolation::check(&app, &runtime, 24);
}

#[tokio::test]
async fn query_without_user_filter_finds_nothing_even_as_owner() {
    let (app, url) = app().await;
    app.user("ada").header("idempotency-key", "k").task("t").await;
    let db = sea_orm::Database::connect(&url).await.unwrap();
    assert_eq!((count(&db, "tasks").await, count(&db, "idempotency_keys").await), (0, 0));
    let insert = "INSERT INTO tasks VALUES ('ada', gen_random_uuid(), 't', NULL, false, 1, now(), now())";
    assert!(db.execute_unprepared(insert).await.unwrap_err().to_string().contains("row-level security"));
    db.close().await.unwrap();
}

#[tokio::test]
async fn connection_returns_to_the_pool_without_a_user() {
    let (app, url) = app().await;
    for user in ["ada", "bob"] {
        app.user(user).task("t").await;
    }
    let mut one = ConnectOptions::new(url);
    one.max_connections(1);
    let db = sea_orm::Database::connect(one).await.unwrap();
    for end in ["commit", "rollback", "drop", "error"] {
        let transaction = db.begin().await.unwrap();
        transaction.execute_unprepared("SELECT set_config('tasks_api.user', 'ada', true)").await.unwrap();
        assert_eq!(count(&transaction, "tasks").await, 1, "one's own");
        let bobs = transaction.execute_unprepared("DELETE FROM tasks WHERE user_id = 'bob'").await.unwrap();
        assert_eq!(bobs.rows_affected(), 0);
        match end {
            "commit" => transaction.commit().await.unwrap(),
            "rollback" => transaction.rollback().await.unwrap(),
            "error" => {
                assert!(transaction.execute_unprepared("SELECT 1/0").await.is_err());
                drop(transaction);
            }
            _ => drop(transaction),
        }
        assert_eq!(count(&db, "tasks").await, 0, "after {end}");
    }
    db.close().await.unwrap();
}

#[tokio::test]
async fn revocations_have_no_policies() {
    let (app, url) = app().await;
    let form = format!("logout_token={}", logout::logout_token("phone"));
    let sender = app.client("", &[("content-type", "application/x-www-form-urlencoded")]);
    sender.send("POST", "/auth/backchannel-logout", form.into()).await.assert_status(200);
    let TestApp { database, .. } = app;
    let app = TestApp::from_state(secured(&url).await.unwrap(), database);
    for (session, status) in [("phone", 401), ("laptop", 200)] {
        let bearer = format!("Bearer {}", logout::token_with_session(session));
        app.client("ada", &[("authorization", &bearer)]).get("tasks").await.assert_status(status);
    }
}

#[tokio::test]
async fn role_exempt_from_policies_is_rejected() {
    let database = Database::new();
    let Err(failure) = secured(database.url()).await else { panic!("the role is a superuser") };
    assert!(format!("{failure:#}").contains("superuser"), "{failure:#}");
}

#[tokio::test]
async fn only_expired_keys_can_be_deleted_for_all_users() {
    let (app, url) = app().await;
    for (user, key) in [("ada", "old"), ("bob", "old"), ("ada", "new"), ("bob", "new")] {
        app.user(user).header("idempotency-key", key).task("t").await;
    }
    app.execute("UPDATE idempotency_keys SET created_at = created_at - interval '86500 seconds' WHERE key = 'old'");
    execute(&url, "DELETE FROM idempotency_keys");
    let db = sea_orm::Database::connect(app.database.url()).await.unwrap();
    assert_eq!(count(&db, "idempotency_keys").await, 2);
    db.close().await.unwrap();
}
