//! The app in this process, with its own database, and clients that send requests to its router.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header},
};
use better_auth_jwt::Verifier;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tasks_api::{AppConfig, AppState, DatabaseConfig, app};
use tower::ServiceExt;

use crate::database::{Database, execute};

pub(crate) const SECRET: &str = "a-secret-of-the-tests-that-is-long-enough";

pub(crate) struct TestApp {
    pub(crate) router: Router,
    pub(crate) state: AppState,
    pub(crate) database: Database,
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(configure: impl FnOnce(&mut AppConfig)) -> Self {
        Self::with_verifier(verifier(), configure).await
    }

    pub(crate) async fn with_verifier(verifier: Verifier, configure: impl FnOnce(&mut AppConfig)) -> Self {
        let database = Database::new();
        let mut config = config(verifier, database.url());
        configure(&mut config);
        Self::from_state(AppState::connect(config).await.unwrap(), database)
    }

    pub(crate) fn from_state(state: AppState, database: Database) -> Self {
        Self { router: app(state.clone()), state, database }
    }

    /// Runs a statement in the app's database.
    pub(crate) fn execute(&self, statement: &str) {
        execute(self.database.url(), statement);
    }

    /// A client with a token of this user.
    pub(crate) fn user(&self, id: &str) -> Client {
        self.client(id, &[("authorization", &format!("Bearer {}", token(id)))])
    }

    /// A client with these headers, and a token only if they contain one.
    pub(crate) fn client(&self, id: &str, headers: &[(&'static str, &str)]) -> Client {
        let mut map = HeaderMap::new();
        for &(name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        Client { router: self.router.clone(), user: id.to_owned(), headers: map }
    }
}

#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
    pub(crate) user: String,
    headers: HeaderMap,
}

impl Client {
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        self.send("GET", path, Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> TestResponse {
        self.json("POST", path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> TestResponse {
        self.json("PUT", path, body).await
    }

    pub(crate) async fn patch(&self, path: &str) -> TestResponse {
        self.send("PATCH", path, Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> TestResponse {
        self.send("DELETE", path, Body::empty()).await
    }

    pub(crate) async fn json(&self, method: &str, path: &str, body: Value) -> TestResponse {
        self.raw(method, path, body.to_string()).await
    }

    pub(crate) async fn raw(&self, method: &str, path: &str, body: impl Into<Body>) -> TestResponse {
        let client = match self.headers.contains_key(header::CONTENT_TYPE) {
            true => self.clone(),
            false => self.clone().header("content-type", "application/json"),
        };
        client.send(method, path, body.into()).await
    }

    /// A `path` without a leading slash is relative to `/api/{user}/`.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Body) -> TestResponse {
        let uri = if path.starts_with('/') { path.to_owned() } else { format!("/api/{}/{path}", self.user) };
        let mut request = Request::builder().method(method).uri(uri).body(body).unwrap();
        request.headers_mut().extend(self.headers.clone());
        let path = request.uri().path().to_owned();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)))
        };
        TestResponse { path, status: parts.status, headers: parts.headers, body }
    }

    /// Creates a task and returns its id.
    pub(crate) async fn task(&self, title: &str) -> String {
        let created = self.post("tasks", json!({ "title": title })).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
        created.body["id"].as_str().unwrap().to_owned()
    }
}

#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) path: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl TestResponse {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that this is a complete problem document (RFC 9457) with this status and code.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) -> &Self {
        let body = &self.body;
        assert_eq!((self.status.as_u16(), &body["code"]), (status, &json!(code)), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], "about:blank");
        assert_eq!(body["title"], self.status.canonical_reason().unwrap());
        assert_eq!(body["instance"], self.path.as_str());
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
        self
    }

    #[track_caller]
    pub(crate) fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// Asserts that the status is 422 and returns the JSON pointers of the errors, sorted.
    #[track_caller]
    pub(crate) fn pointers(&self) -> Vec<&str> {
        self.assert_problem(422, "validation_failed");
        let mut pointers: Vec<&str> =
            self.body["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        pointers.sort_unstable();
        pointers
    }
}

/// The state of an app that uses this database.
pub(crate) async fn state(database_url: &str) -> AppState {
    AppState::connect(config(verifier(), database_url)).await.unwrap()
}

pub(crate) fn config(verifier: Verifier, database_url: &str) -> AppConfig {
    AppConfig::new(verifier, DatabaseConfig::new(database_url).unwrap())
}

pub(crate) fn verifier() -> Verifier {
    Verifier::shared_secret(SECRET).unwrap().insecure_any_issuer().insecure_any_audience().unwrap()
}

pub(crate) fn token(user: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    sign(&json!({ "sub": user, "iat": now, "exp": now + 900 }), SECRET)
}

pub(crate) fn sign(claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}
