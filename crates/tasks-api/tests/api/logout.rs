//! Sessions that end before their tokens do.

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
    test_app::{Answer, Client, SECRET, TestApp, config, signed, state, token},
};

pub(crate) const PATH: &str = "/auth/backchannel-logout";
pub(crate) const ORIGIN: &str = "https://app.example.com";

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What Better Auth says when a session has ended.
fn logout_claims(session: &str) -> Value {
    json!({
        "iss": ORIGIN, "aud": ORIGIN, "iat": now(), "exp": now() + 120, "jti": uuid::Uuid::now_v7(), "sid": session,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    })
}

fn logout_token_of(claims: &Value) -> String {
    with_type(Some("logout+jwt"), claims)
}

fn with_type(typ: Option<&str>, claims: &Value) -> String {
    let header = Header { typ: typ.map(str::to_owned), ..Header::default() };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

pub(crate) fn logout_token(session: &str) -> String {
    logout_token_of(&logout_claims(session))
}

/// A token of a session; `session` may also be null.
pub(crate) fn token_in(session: impl Into<Value>) -> String {
    token_issued(now(), session)
}

fn token_issued(iat: u64, session: impl Into<Value>) -> String {
    let claims =
        json!({ "sub": "ada", "sid": session.into(), "iat": iat, "exp": iat + 900, "iss": ORIGIN, "aud": ORIGIN });
    signed(&claims, SECRET)
}

async fn post(app: &TestApp, form: impl Into<Body>) -> Answer {
    form_sender(app).send("POST", PATH, form.into()).await
}

fn form_sender(app: &TestApp) -> Client {
    app.client("", &[("content-type", "application/x-www-form-urlencoded;charset=UTF-8")])
}

async fn log_out(app: &TestApp, token: &str) {
    let answer = post(app, format!("logout_token={token}")).await;
    answer.assert_status(200);
    assert_eq!((answer.header("cache-control"), &answer.body), ("no-store", &Value::Null));
}

fn bearer(app: &TestApp, token: &str) -> Client {
    app.client("ada", &[("authorization", &format!("Bearer {token}"))])
}

async fn assert_open(app: &TestApp, token: &str) {
    bearer(app, token).get("tasks").await.assert_status(200);
}

async fn assert_ended(app: &TestApp, token: &str) {
    let answer = bearer(app, token).get("tasks").await;
    answer.assert_problem(401, "invalid_token");
    assert!(answer.header("www-authenticate").contains("invalid_token"));
}

async fn metric(app: &TestApp, series: &str) -> String {
    let metrics = app.client("", &[]).get("/metrics").await;
    let text = metrics.body.as_str().unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{series} in {text}")).to_owned()
}

#[tokio::test]
async fn a_session_that_has_ended_is_401_and_the_users_others_go_on() {
    let app = TestApp::new().await;
    let (phone, laptop, no_session) = (token_in("phone"), token_in("laptop"), token_in(Value::Null));
    for token in [&phone, &laptop, &no_session] {
        assert_open(&app, token).await;
    }
    log_out(&app, &logout_token("phone")).await;
    for _ in 0..2 {
        assert_ended(&app, &phone).await;
        assert_open(&app, &laptop).await;
        assert_open(&app, &no_session).await;
    }
    assert_ended(&app, &token_issued(now() + 5, "phone")).await;
}

#[tokio::test]
async fn a_logout_of_a_user_ends_what_was_issued_until_then() {
    let app = TestApp::new().await;
    let mut claims = logout_claims("");
    claims["sub"] = "ada".into();
    claims.as_object_mut().unwrap().remove("sid");
    log_out(&app, &logout_token_of(&claims)).await;

    for token in [token_issued(now() - 5, "phone"), token_issued(now() - 5, Value::Null)] {
        assert_ended(&app, &token).await;
    }
    assert_open(&app, &token_issued(now() + 5, "phone")).await;
    let bob = app.client("bob", &[("authorization", &format!("Bearer {}", token("bob")))]);
    bob.get("tasks").await.assert_status(200);
}

#[tokio::test]
async fn to_repeat_it_is_200_and_changes_nothing() {
    let app = TestApp::new().await;
    let (once, again) = (logout_token("phone"), logout_token("phone"));
    for token in [&once, &once, &again] {
        log_out(&app, token).await;
    }
    assert_ended(&app, &token_in("phone")).await;
    assert_eq!(metric(&app, "auth_revoked_sessions").await, "1");
    assert_eq!(metric(&app, r#"auth_logout_tokens_total{result="accepted"}"#).await, "3");
    assert_eq!(count(app.database.url(), "revocations"), 1);
}

#[tokio::test]
async fn what_is_no_logout_token_for_us_is_400_and_changes_nothing() {
    let verifier = Verifier::shared_secret(SECRET).unwrap().issuer(ORIGIN).audience(ORIGIN).unwrap();
    let app = TestApp::verified_by(verifier, |_| {}).await;
    let with = |name: &str, value: Value| {
        let mut claims = logout_claims("phone");
        claims[name] = value;
        logout_token_of(&claims)
    };
    let without = |name: &str| {
        let mut claims = logout_claims("phone");
        claims.as_object_mut().unwrap().remove(name);
        logout_token_of(&claims)
    };
    let (good, phone) = (logout_token("phone"), token_in("phone"));
    let mut flipped = good.clone().into_bytes();
    let last_but_one = flipped.len() - 2;
    flipped[last_but_one] = if flipped[last_but_one] == b'A' { b'B' } else { b'A' };
    let other_secret = signed(&logout_claims("phone"), "another secret that is long enough, too");

    let tokens = [
        phone.clone(),
        String::new(),
        "nonsense".into(),
        good[..good.len() - 5].into(),
        String::from_utf8(flipped).unwrap(),
        other_secret,
        with_type(None, &logout_claims("phone")),
        with_type(Some("JWT"), &logout_claims("phone")),
        with_type(Some("at+jwt"), &logout_claims("phone")),
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
        good.clone(),
        format!("token={good}"),
        format!("logout_token={good}&logout_token={good}"),
        format!("logout_token={}", "x".repeat(16_000)),
    ];
    let forms: Vec<String> = tokens.iter().map(|token| format!("logout_token={token}")).chain(forms).collect();
    for form in &forms {
        let answer = post(&app, form.clone()).await;
        answer.assert_problem(400, "invalid_logout_token");
        assert_eq!(answer.body["error"], "invalid_request");
        assert_eq!(answer.body["error_description"], answer.body["detail"]);
        assert!(!answer.body.to_string().contains(&good), "nothing is echoed");
    }
    for content_type in ["application/json", "text/plain", ""] {
        let sender = app.client("", &[("content-type", content_type)]);
        sender
            .send("POST", PATH, format!("logout_token={good}").into())
            .await
            .assert_problem(400, "invalid_logout_token");
    }
    post(&app, "x".repeat(17_000)).await.assert_problem(413, "payload_too_large");
    let get = app.client("", &[]).get(PATH).await;
    get.assert_problem(405, "method_not_allowed");
    assert_eq!(get.header("allow"), "POST");

    assert_open(&app, &phone).await;
    assert_eq!(
        (metric(&app, "auth_revoked_sessions").await.as_str(), count(app.database.url(), "revocations")),
        ("0", 0)
    );
    let refused = metric(&app, r#"auth_logout_tokens_total{result="rejected"}"#).await;
    assert_eq!(refused, (forms.len() + 3).to_string());
    log_out(&app, &good).await;
    assert_ended(&app, &phone).await;
}

#[tokio::test]
async fn a_logout_token_opens_no_door() {
    let app = TestApp::new().await;
    let mut claims = logout_claims("phone");
    claims["sub"] = "ada".into();
    assert_ended(&app, &logout_token_of(&claims)).await;
}

#[tokio::test]
async fn other_issuers_and_audiences_of_logout_tokens_are_those_that_were_named() {
    let verifier = Verifier::shared_secret(SECRET).unwrap().issuer(ORIGIN).audience(ORIGIN).unwrap();
    let database = Database::new();
    let start = async |database: &Database| {
        let mut config = config(verifier.clone(), database.url());
        let logout = config.revocation.verifier;
        config.revocation.verifier =
            logout.additional_issuer(format!("{ORIGIN}/api/auth")).additional_audience("client");
        AppState::connect(config).await
    };
    let app = TestApp::of(start(&database).await.unwrap(), database);
    let mut claims = logout_claims("phone");
    claims["sub"] = "ada".into();
    (claims["iss"], claims["aud"]) = (format!("{ORIGIN}/api/auth").into(), "client".into());
    log_out(&app, &logout_token_of(&claims)).await;
    assert_ended(&app, &token_in("phone")).await;
    // `sub` is in the token as well, but `sid` alone decides.
    assert_open(&app, &token_in("laptop")).await;

    let TestApp { database, .. } = app;
    let app = TestApp::of(start(&database).await.unwrap(), database);
    assert_ended(&app, &token_in("phone")).await;
    assert_open(&app, &token_in("laptop")).await;
}

#[tokio::test]
async fn tokens_without_a_session_are_refused_where_the_rules_say_so() {
    let app = TestApp::with(|config| config.revocation.missing_session = MissingSession::Reject).await;
    assert_open(&app, &token_in("phone")).await;
    for none in [Value::Null, "".into()] {
        assert_ended(&app, &token_in(none)).await;
    }
}

#[tokio::test]
async fn a_restart_forgets_nothing_however_much_there_is() {
    const MANY: usize = 12_345;
    let app = TestApp::new().await;
    let bob = token("bob");
    log_out(&app, &logout_token("phone")).await;
    let mut of_user = logout_claims("");
    of_user["sub"] = "bob".into();
    of_user.as_object_mut().unwrap().remove("sid");
    log_out(&app, &logout_token_of(&of_user)).await;
    app.execute(&format!(
        "INSERT INTO revocations (issuer, sid, user_id, revoked_at, xid) WITH RECURSIVE n(i) AS \
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY}) SELECT '', 'session ' || i, '', {}, 0 FROM n",
        now()
    ));

    let TestApp { database, .. } = app;
    let app = TestApp::of(state(database.url()).await, database);
    assert_eq!(metric(&app, "auth_revoked_sessions").await, (MANY + 2).to_string());
    for ended in ["phone", "session 1", "session 5000", "session 12345"] {
        assert_ended(&app, &token_in(ended)).await;
    }
    assert_open(&app, &token_in("laptop")).await;
    let bob = app.client("bob", &[("authorization", &format!("Bearer {bob}"))]);
    bob.get("tasks").await.assert_problem(401, "invalid_token");
}

/// A server as a process, whose logouts are remembered as long as `environment` says.
pub(crate) fn serve(database: &str, environment: &[(&str, &str)]) -> Server {
    let always =
        [("BETTER_AUTH_SECRET", SECRET), ("DATABASE_URL", database), ("RUST_LOG", "warn,tasks_api::server=info")];
    Server::serve(&tempfile::tempdir().unwrap(), &[&always[..], environment].concat())
}

/// What the server at this address answers when the token's user asks for her tasks.
pub(crate) fn ask(address: &str, token: &str) -> u16 {
    ask_for(address, "/api/ada/tasks", token)
}

pub(crate) fn ask_for(address: &str, path: &str, token: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nHost: tasks\r\nAuthorization: Bearer {token}\r\n\r\n");
    Connection::open(address).unwrap().send(&request).unwrap().status
}

/// Sends a logout token to the server at this address.
pub(crate) fn tell(address: &str, logout_token: &str) -> u16 {
    let form = format!("logout_token={logout_token}");
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: tasks\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    Connection::open(address).unwrap().send(&request).unwrap().status
}

/// Waits until it is so, and says how long that took.
#[track_caller]
pub(crate) fn until(mut is_so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "never");
        thread::sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

#[test]
fn killed_right_after_its_answer_the_server_still_knows() {
    let database = Database::new();
    let server = serve(database.url(), &[]);
    assert_eq!(tell(&server.address, &logout_token("phone")), 200);
    server.signal("-KILL");
    drop(server);
    let server = serve(database.url(), &[]);
    assert_eq!((ask(&server.address, &token_in("phone")), ask(&server.address, &token_in("laptop"))), (401, 200));
}

#[test]
fn what_is_older_than_any_token_is_deleted_and_what_is_not_stays() {
    let database = Database::new();
    drop(serve(database.url(), &[]));
    let old = |count, ended_at| {
        format!(
            "INSERT INTO revocations (issuer, sid, user_id, revoked_at, xid) WITH RECURSIVE n(i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT '', 's' || {ended_at} || '-' || i, '', {ended_at}, 0 FROM n"
        )
    };
    crate::database::execute(database.url(), &old(2500, now() - 3600));
    crate::database::execute(database.url(), &old(10, now() - 1800));
    let server = serve(database.url(), &[("TASKS_API_REVOCATION_RETENTION", "45m")]);
    until(|| count(database.url(), "revocations") <= 10);
    drop(server);
    assert_eq!(count(database.url(), "revocations"), 10);

    // And as time goes by, in memory and in the table.
    let server = serve(database.url(), &[("TASKS_API_REVOCATION_RETENTION", "3s")]);
    let phone = token_in("phone");
    assert_eq!(tell(&server.address, &logout_token("phone")), 200);
    assert_eq!(ask(&server.address, &phone), 401);
    until(|| count(database.url(), "revocations") == 0);
    until(|| ask(&server.address, &phone) == 200);
}

#[test]
fn the_log_names_no_session_and_holds_no_logout_token() {
    let database = Database::new();
    let server = serve(database.url(), &[("RUST_LOG", "debug,sqlx=info,sea_orm=info")]);
    let (good, phone) = (logout_token("phone-8462"), token_in("phone-8462"));
    let bad = logout_token_of(&json!({ "sid": "phone-8462" }));
    assert_eq!((tell(&server.address, &good), tell(&server.address, &bad)), (200, 400));
    assert_eq!(ask(&server.address, &phone), 401);
    let (_, log) = server.stop("-INT");
    assert!(log.contains("status=400") && log.contains("status=401"), "{log}");
    for secret in ["phone-8462", &good, &bad, &phone, SECRET] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
