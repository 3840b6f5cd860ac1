//! Which requests each route accepts. The database is SQLite in memory; nothing goes over the network.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
    response::Response,
};
use better_auth_jwt::{RevokedSessions, test_util::Issuer};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;

use crate::{App, app, members::Members};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

struct Setup {
    issuer: Issuer,
    revoked: RevokedSessions,
    database: DatabaseConnection,
    app: Router,
}

/// Ada owns acme, Bob is a member of it, and Grace of nothing. The cache of members keeps them for `max_age`.
async fn setup(max_age: Duration) -> Setup {
    let database = database().await;
    let issuer = Issuer::new();
    let revoked = RevokedSessions::new(Duration::from_secs(15 * 60 + 30)).clock(issuer.clock());
    let members = Members::new(database.clone(), max_age);
    let app = app(App { verifier: issuer.verifier(), revoked: revoked.clone(), members });
    let setup = Setup { issuer, revoked, database, app };
    setup.add_member("ada", "owner").await;
    setup.add_member("bob", "member").await;
    setup
}

/// A database with an empty table `member`.
pub(crate) async fn database() -> DatabaseConnection {
    let mut options = ConnectOptions::new("sqlite::memory:");
    // Each connection would have its own database.
    options.max_connections(1);
    let database = Database::connect(options).await.unwrap();
    // As Better Auth creates it.
    let table = r#"CREATE TABLE member ("id" text PRIMARY KEY, "organizationId" text NOT NULL, "userId" text NOT NULL,
        "role" text NOT NULL, "createdAt" date NOT NULL)"#;
    database.execute_unprepared(table).await.unwrap();
    database
}

impl Setup {
    async fn add_member(&self, user: &str, role: &str) {
        self.execute(&format!(
            "INSERT INTO member VALUES ('{user} of acme', 'acme', '{user}', '{role}', '2026-01-01')"
        ))
        .await;
    }

    async fn remove_member(&self, user: &str) {
        self.execute(&format!(r#"DELETE FROM member WHERE "userId" = '{user}'"#)).await;
    }

    async fn execute(&self, sql: &str) {
        self.database.execute_unprepared(sql).await.unwrap();
    }

    /// The user's token, with these claims in addition.
    fn token(&self, user: &str, claims: Value) -> String {
        let mut all = self.issuer.claims(user);
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        self.issuer.sign(&all)
    }

    /// Sends a request with this token, or without one if it is empty.
    async fn send(&self, method: Method, path: &str, token: &str) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn status(&self, method: Method, path: &str, token: &str) -> StatusCode {
        self.send(method, path, token).await.status()
    }
}

#[tokio::test]
async fn members_can_read_and_owners_can_write() {
    let setup = setup(HOUR).await;
    setup.add_member("carol", "member, admin").await;
    for (user, read, write) in [("ada", 200, 201), ("bob", 200, 403), ("carol", 200, 201), ("grace", 403, 403)] {
        // The role in the whole application, and the active organization, do not matter here.
        for claims in [json!({}), json!({ "role": "admin,owner", "activeOrganizationId": "acme" })] {
            let token = setup.token(user, claims);
            assert_eq!(setup.status(Method::GET, "/orgs/acme/notes", &token).await, read, "{user}");
            assert_eq!(setup.status(Method::POST, "/orgs/acme/notes", &token).await, write, "{user}");
            assert_eq!(setup.status(Method::GET, "/orgs/other/notes", &token).await, 403, "{user}");
            assert_eq!(setup.status(Method::GET, "/orgs/acme%2Fx/notes", &token).await, 400, "{user}");
        }
    }
    assert_eq!(setup.status(Method::GET, "/orgs/acme/notes", "").await, 401);
}

#[tokio::test]
async fn a_change_of_membership_takes_effect_after_the_maximum_age() {
    let setup = setup(SECOND).await;
    let status = async |user: &str| setup.status(Method::GET, "/orgs/acme/notes", &setup.issuer.token(user)).await;
    assert_eq!((status("bob").await, status("grace").await), (StatusCode::OK, StatusCode::FORBIDDEN));
    setup.remove_member("bob").await;
    setup.add_member("grace", "member").await;

    let changed = Instant::now();
    while (status("bob").await, status("grace").await) != (StatusCode::FORBIDDEN, StatusCode::OK) {
        assert!(changed.elapsed() < 30 * SECOND, "the cached answers do not expire");
        sleep(SECOND / 20).await;
    }
}

#[tokio::test]
async fn a_failed_lookup_is_503_and_is_not_cached() {
    let setup = setup(HOUR).await;
    let token = setup.issuer.token("ada");
    setup.execute("ALTER TABLE member RENAME TO elsewhere").await;
    assert_eq!(setup.status(Method::GET, "/orgs/acme/notes", &token).await, 503);
    setup.execute("ALTER TABLE elsewhere RENAME TO member").await;
    assert_eq!(setup.status(Method::GET, "/orgs/acme/notes", &token).await, 200);
    // From now on the answer is in the cache.
    setup.execute("ALTER TABLE member RENAME TO elsewhere").await;
    assert_eq!(setup.status(Method::GET, "/orgs/acme/notes", &token).await, 200);
}

#[tokio::test]
async fn the_logo_requires_the_active_organization() {
    let setup = setup(HOUR).await;
    for (active, status) in [(json!("acme"), 200), (json!("other"), 403), (json!(null), 403), (json!(["acme"]), 403)] {
        let token = setup.token("grace", json!({ "activeOrganizationId": active }));
        assert_eq!(setup.status(Method::GET, "/orgs/acme/logo", &token).await, status, "{active}");
    }
}

#[tokio::test]
async fn admin_is_for_admins_of_the_application_who_act_as_themselves() {
    let setup = setup(HOUR).await;
    for (claims, status) in [
        // Without the claim, nothing says that the admin is not impersonated.
        (json!({ "role": "user,admin" }), 403),
        (json!({ "role": "user,admin", "impersonatedBy": null }), 200),
        (json!({ "role": "user", "impersonatedBy": null }), 403),
        (json!({}), 403),
        (json!({ "role": "admin", "impersonatedBy": "grace" }), 403),
    ] {
        assert_eq!(setup.status(Method::GET, "/admin", &setup.token("ada", claims.clone())).await, status, "{claims}");
    }
}

#[tokio::test]
async fn the_greeting_needs_no_token_and_rejects_an_invalid_one() {
    let setup = setup(HOUR).await;
    let ada = setup.token("ada", json!({ "name": "Ada" }));
    for (token, status, greeting) in [("", 200, "Hello!"), (&ada, 200, "Hello, Ada!"), ("invalid", 401, "")] {
        let response = setup.send(Method::GET, "/greeting", token).await;
        assert_eq!(response.status(), status, "{token}");
        assert_eq!(to_bytes(response.into_body(), 1000).await.unwrap(), greeting);
    }
    assert_eq!(setup.status(Method::GET, "/", "").await, 200);
}

/// Reads a stream until it ends.
async fn read_to_end(response: Response) {
    assert_eq!(response.status(), 200);
    let end = timeout(60 * SECOND, to_bytes(response.into_body(), 100_000)).await;
    let body = end.expect("the stream ends").unwrap();
    assert!(body.is_empty() || body.starts_with(b"data: tick"), "{body:?}");
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires() {
    let setup = setup(HOUR).await;
    // Valid for two more seconds, because of the leeway of 30 seconds.
    let exp = setup.issuer.claims("bob")["iat"].as_u64().unwrap() - 28;
    let token = setup.token("bob", json!({ "iat": exp - 900, "exp": exp }));
    let start = Instant::now();
    read_to_end(setup.send(Method::GET, "/orgs/acme/events", &token).await).await;
    assert!(start.elapsed() >= 2 * SECOND);
}

#[tokio::test]
async fn a_stream_ends_when_its_session_is_revoked() {
    let setup = setup(HOUR).await;
    let token = setup.issuer.token_with_session("bob", "phone");
    let response = setup.send(Method::GET, "/orgs/acme/events", &token).await;
    setup.revoked.revoke_session(setup.issuer.origin(), "phone").unwrap();
    read_to_end(response).await;
    assert_eq!(setup.status(Method::GET, "/orgs/acme/events", &token).await, 401);
}

#[tokio::test]
async fn a_stream_ends_when_the_member_is_removed() {
    let setup = setup(SECOND).await;
    let response = setup.send(Method::GET, "/orgs/acme/events", &setup.issuer.token("bob")).await;
    setup.remove_member("bob").await;
    read_to_end(response).await;
}
