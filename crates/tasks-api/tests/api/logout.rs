//! Session revocation by back-channel logout tokens.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::body::Body;
use better_auth_jwt::{MissingSession, Verifier};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tasks_api::AppState;

use crate::{
    connection::Connection,
    database::Database,
    process::Server,
    sql::count,
    test_app::{Client, SECRET, TestApp, TestResponse, config, sign, state, token},
};

pub(crate) const PATH: &str = "/auth/backchannel-logout";
pub(crate) const ORIGIN: &str = "https://app.example.com";

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The claims of the logout token that Better Auth sends when a session ends.
fn logout_claims(session: &str) -> Value {
    json!({
        "iss": ORIGIN, "aud": ORIGIN, "iat": now(), "exp": now() + 120, "jti": uuid::Uuid::now_v7(), "sid": session,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    })
}

fn sign_logout_token(claims: &Value) -> String {
    sign_with_type(Some("logout+jwt"), claims)
}

fn sign_with_type(typ: Option<&str>, claims: &Value) -> String {
    let header = Header { typ: typ.map(str::to_owned), ..Header::default() };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

pub(crate) fn logout_token(session: &str) -> String {
    sign_logout_token(&logout_claims(session))
}

/// An access token with this session id, which may be null.
pub(crate) fn token_with_session(session: impl Into<Value>) -> String {
    token_issued_at(now(), session)
}

fn token_issued_at(iat: u64, session: impl Into<Value>) -> String {
    let claims =
        json!({ "sub": "ada", "sid": session.into(), "iat": iat, "exp": iat + 900, "iss": ORIGIN, "aud": ORIGIN });
    sign(&claims, SECRET)
}

async fn post(app: &TestApp, form: impl Into<Body>) -> TestResponse {
    form_sender(app).send("POST", PATH, form.into()).await
}

fn form_sender(app: &TestApp) -> Client {
    app.client("", &[("content-type", "application/x-www-form-urlencoded;charset=UTF-8")])
}

async fn log_out(app: &TestApp, token: &str) {
    let response = post(app, format!("logout_token={token}")).await;
    response.assert_status(200);
    assert_eq!((response.header("cache-control"), &response.body), ("no-store", &Value::Null));
}

fn bearer_client(app: &TestApp, token: &str) -> Client {
    app.client("ada", &[("authorization", &format!("Bearer {token}"))])
}

async fn assert_accepted(app: &TestApp, token: &str) {
    bearer_client(app, token).get("tasks").await.assert_status(200);
}

async fn assert_rejected(app: &TestApp, token: &str) {
    let response = bearer_client(app, token).get("tasks").await;
    response.assert_problem(401, "invalid_token");
    assert!(response.header("www-authenticate").contains("invalid_token"));
}

async fn metric(app: &TestApp, series: &str) -> String {
    let metrics = app.client("", &[]).get("/metrics").await;
    let text = metrics.body.as_str().unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{series} in {text}")).to_owned()
}

#[tokio::test]
async fn revoked_session_gets_401_and_other_sessions_stay_active() {
    let app = TestApp::new().await;
    let (phone, laptop, no_session) =
        (token_with_session("phone"), token_with_session("laptop"), token_with_session(Value::Null));
    for token in [&phone, &laptop, &no_session] {
        assert_accepted(&app, token).await;
    }
    log_out(&app, &logout_token("phone")).await;
    for _ in 0..2 {
        assert_rejected(&app, &phone).await;
        assert_accepted(&app, &laptop).await;
        assert_accepted(&app, &no_session).await;
    }
    assert_rejected(&app, &token_issued_at(now() + 5, "phone")).await;
}

#[tokio::test]
async fn logout_token_without_sid_revokes_all_earlier_tokens_of_user() {
    let app = TestApp::new().await;
    let mut claims = logout_claims("");
    claims["sub"] = "ada".into();
    claims.as_object_mut().unwrap().remove("sid");
    log_out(&app, &sign_logout_token(&claims)).await;

    for token in [token_issued_at(now() - 5, "phone"), token_issued_at(now() - 5, Value::Null)] {
        assert_rejected(&app, &token).await;
    }
    assert_accepted(&app, &token_issued_at(now() + 5, "phone")).await;
    let bob = app.client("bob", &[("authorization", &format!("Bearer {}", token("bob")))]);
    bob.get("tasks").await.assert_status(200);
}

#[tokio::test]
async fn repeated_logout_token_gets_200_and_changes_nothing() {
    let app = TestApp::new().await;
    let (once, again) = (logout_token("phone"), logout_token("phone"));
    for token in [&once, &once, &again] {
        log_out(&app, token).await;
    }
    assert_rejected(&app, &token_with_session("phone")).await;
    assert_eq!(metric(&app, "auth_revoked_sessions").await, "1");
    assert_eq!(metric(&app, r#"auth_logout_tokens_total{result="accepted"}"#).await, "3");
    assert_eq!(count(app.database.url(), "revocations"), 1);
}

#[tokio::test]
async fn invalid_logout_token_gets_400_and_changes_nothing() {
    let verifier = Verifier::shared_secret(SECRET).unwrap().issuer(ORIGIN).audience(ORIGIN).unwrap();
    let app = TestApp::with_verifier(verifier, |_| {}).await;
    let with = |name: &str, value: Value| {
        let mut claims = logout_claims("phone");
        claims[name] = value;
        sign_logout_token(&claims)
    };
    let without = |name: &str| {
        let mut claims = logout_claims("phone");
        claims.as_object_mut().unwrap().remove(name);
        sign_logout_token(&claims)
    };
    let (valid, phone) = (logout_token("phone"), token_with_session("phone"));
    let mut flipped = valid.clone().into_bytes();
    let last_but_one = flipped.len() - 2;
    flipped[last_but_one] = if flipped[last_but_one] == b'A' { b'B' } else { b'A' };
    let other_secret = sign(&logout_claims("phone"), "another secret that is long enough, too");

    let tokens = [
        phone.clone(),
        String::new(),
        "nonsense".into(),
        valid[..valid.len() - 5].into(),
        String::from_utf8(flipped).unwrap(),
        other_secret,
        sign_with_type(None, &logout_claims("phone")),
        sign_with_type(Some("JWT"), &logout_claims("phone")),
        sign_with_type(Some("at+jwt"), &logout_claims("phone")),
        with("iss", "https://elsewhere.example".into()),
        with("iss", format!("{ORIGIN}/api/auth").into()),
        with("aud", "https://elsewhere.example".into()),
        with("exp", (now() - 60).into()),
        with("iat", (now() + 3600).into()),
        with("nonce", "n".into()),
        with("sid", 7.into()),
        with("sid", "".into()),
        with("events", json!({})),
        with("events", json!({ "http://schemas.openid.net/event/backchannel-logout": true })),
        with("events", json!(["http://schemas.openid.net/event/backchannel-logout"])),
        without("sid"),
        without("events"),
        without("iat"),
        without("jti"),
        without("exp"),
        without("iss"),
        without("aud"),
    ];
    let forms = [
        String::new(),
        valid.clone(),
        format!("token={valid}"),
        format!("logout_token={valid}&logout_token={valid}"),
        format!("logout_token={}", "x".repeat(16_000)),
    ];
    let forms: Vec<String> = tokens.iter().map(|token| format!("logout_token={token}")).chain(forms).collect();
    for form in &forms {
        let response = post(&app, form.clone()).await;
        response.assert_problem(400, "invalid_logout_token");
        assert_eq!(response.body["error"], "invalid_request");
        assert_eq!(response.body["error_description"], response.body["detail"]);
        assert!(!response.body.to_string().contains(&valid), "the response does not repeat the token");
    }
    for content_type in ["application/json", "text/plain", ""] {
        let sender = app.client("", &[("content-type", content_type)]);
        sender
            .send("POST", PATH, format!("logout_token={valid}").into())
            .await
            .assert_problem(400, "invalid_logout_token");
    }
    post(&app, "x".repeat(17_000)).await.assert_problem(413, "payload_too_large");
    let get = app.client("", &[]).get(PATH).await;
    get.assert_problem(405, "method_not_allowed");
    assert_eq!(get.header("allow"), "POST");

    assert_accepted(&app, &phone).await;
    assert_eq!(
        (metric(&app, "auth_revoked_sessions").await.as_str(), count(app.database.url(), "revocations")),
        ("0", 0)
    );
    let rejected = metric(&app, r#"auth_logout_tokens_total{result="rejected"}"#).await;
    assert_eq!(rejected, (forms.len() + 3).to_string());
    log_out(&app, &valid).await;
    assert_rejected(&app, &phone).await;
}

#[tokio::test]
async fn logout_token_is_not_accepted_as_bearer_token() {
    let app = TestApp::new().await;
    let mut claims = logout_claims("phone");
    claims["sub"] = "ada".into();
    assert_rejected(&app, &sign_logout_token(&claims)).await;
}

#[tokio::test]
async fn logout_token_of_additional_issuer_and_audience_is_accepted() {
    let verifier = Verifier::shared_secret(SECRET).unwrap().issuer(ORIGIN).audience(ORIGIN).unwrap();
    let database = Database::new();
    let start = async |database: &Database| {
        let mut config = config(verifier.clone(), database.url());
        let logout = config.revocation.verifier;
        config.revocation.verifier =
            logout.additional_issuer(format!("{ORIGIN}/api/auth")).additional_audience("client");
        AppState::connect(config).await
    };
    let app = TestApp::from_state(start(&database).await.unwrap(), database);
    let mut claims = logout_claims("phone");
    claims["sub"] = "ada".into();
    (claims["iss"], claims["aud"]) = (format!("{ORIGIN}/api/auth").into(), "client".into());
    log_out(&app, &sign_logout_token(&claims)).await;
    assert_rejected(&app, &token_with_session("phone")).await;
    // The logout token contains both `sub` and `sid`: only the session is revoked.
    assert_accepted(&app, &token_with_session("laptop")).await;

    let TestApp { database, .. } = app;
    let app = TestApp::from_state(start(&database).await.unwrap(), database);
    assert_rejected(&app, &token_with_session("phone")).await;
    assert_accepted(&app, &token_with_session("laptop")).await;
}

#[tokio::test]
async fn token_without_session_is_rejected_if_session_is_required() {
    let app = TestApp::with(|config| config.revocation.missing_session = MissingSession::Reject).await;
    assert_accepted(&app, &token_with_session("phone")).await;
    for none in [Value::Null, "".into()] {
        assert_rejected(&app, &token_with_session(none)).await;
    }
}

#[tokio::test]
async fn all_revocations_are_loaded_after_restart() {
    const COUNT: usize = 12_345;
    let app = TestApp::new().await;
    let bob = token("bob");
    log_out(&app, &logout_token("phone")).await;
    let mut of_user = logout_claims("");
    of_user["sub"] = "bob".into();
    of_user.as_object_mut().unwrap().remove("sid");
    log_out(&app, &sign_logout_token(&of_user)).await;
    app.execute(&format!(
        "INSERT INTO revocations (issuer, sid, user_id, revoked_at, xid) WITH RECURSIVE n(i) AS \
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {COUNT}) SELECT '', 'session ' || i, '', {}, 0 FROM n",
        now()
    ));

    let TestApp { database, .. } = app;
    let app = TestApp::from_state(state(database.url()).await, database);
    assert_eq!(metric(&app, "auth_revoked_sessions").await, (COUNT + 2).to_string());
    for session in ["phone", "session 1", "session 5000", "session 12345"] {
        assert_rejected(&app, &token_with_session(session)).await;
    }
    assert_accepted(&app, &token_with_session("laptop")).await;
    let bob = app.client("bob", &[("authorization", &format!("Bearer {bob}"))]);
    bob.get("tasks").await.assert_problem(401, "invalid_token");
}

/// Starts a server process with this database and these additional settings.
pub(crate) fn serve(database: &str, environment: &[(&str, &str)]) -> Server {
    let always =
        [("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", database), ("RUST_LOG", "warn,tasks_api::server=info")];
    Server::serve(&tempfile::tempdir().unwrap(), &[&always[..], environment].concat())
}

/// The status of a request for `ada`'s tasks with this token.
pub(crate) fn list_status(address: &str, token: &str) -> u16 {
    get_status(address, "/api/ada/tasks", token)
}

pub(crate) fn get_status(address: &str, path: &str, token: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nHost: tasks\r\nAuthorization: Bearer {token}\r\n\r\n");
    Connection::open(address).unwrap().send(&request).unwrap().status
}

/// Sends a logout token and returns the status.
pub(crate) fn send_logout(address: &str, logout_token: &str) -> u16 {
    let form = format!("logout_token={logout_token}");
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: tasks\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    Connection::open(address).unwrap().send(&request).unwrap().status
}

/// Waits until the condition holds, and returns how long it took.
#[track_caller]
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "the condition did not hold within 20 seconds");
        thread::sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

#[test]
fn acknowledged_revocation_survives_sigkill() {
    let database = Database::new();
    let server = serve(database.url(), &[]);
    assert_eq!(send_logout(&server.address, &logout_token("phone")), 200);
    server.signal("-KILL");
    drop(server);
    let server = serve(database.url(), &[]);
    assert_eq!(
        (
            list_status(&server.address, &token_with_session("phone")),
            list_status(&server.address, &token_with_session("laptop"))
        ),
        (401, 200)
    );
}

#[test]
fn revocations_are_deleted_after_retention_time() {
    let database = Database::new();
    drop(serve(database.url(), &[]));
    let old = |count, revoked_at| {
        format!(
            "INSERT INTO revocations (issuer, sid, user_id, revoked_at, xid) WITH RECURSIVE n(i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT '', 's' || {revoked_at} || '-' || i, '', {revoked_at}, 0 FROM n"
        )
    };
    crate::database::execute(database.url(), &old(2500, now() - 3600));
    crate::database::execute(database.url(), &old(10, now() - 1800));
    let server = serve(database.url(), &[("TASKS_API_REVOCATION_RETENTION", "45m")]);
    wait_until(|| count(database.url(), "revocations") <= 10);
    drop(server);
    assert_eq!(count(database.url(), "revocations"), 10);

    // A running server also deletes them, in memory and in the table.
    let server = serve(database.url(), &[("TASKS_API_REVOCATION_RETENTION", "3s")]);
    let phone = token_with_session("phone");
    assert_eq!(send_logout(&server.address, &logout_token("phone")), 200);
    assert_eq!(list_status(&server.address, &phone), 401);
    wait_until(|| count(database.url(), "revocations") == 0);
    wait_until(|| list_status(&server.address, &phone) == 200);
}

#[test]
fn log_contains_no_session_id_and_no_token() {
    let database = Database::new();
    let server = serve(database.url(), &[("RUST_LOG", "debug,sqlx=info,sea_orm=info")]);
    let (valid, phone) = (logout_token("phone-8462"), token_with_session("phone-8462"));
    let invalid = sign_logout_token(&json!({ "sid": "phone-8462" }));
    assert_eq!((send_logout(&server.address, &valid), send_logout(&server.address, &invalid)), (200, 400));
    assert_eq!(list_status(&server.address, &phone), 401);
    let (_, log) = server.stop("-INT");
    assert!(log.contains("status=400") && log.contains("status=401"), "{log}");
    for secret in ["phone-8462", &valid, &invalid, &phone, SECRET] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
