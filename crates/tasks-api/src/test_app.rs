//! The app on a database in memory, for tests of a resource beside its handlers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{
        Request,
        header::{AUTHORIZATION, CONTENT_TYPE},
    },
};
use better_auth_jwt::test_util::Issuer;
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    app::app,
    database::DatabaseConfig,
    state::{AppConfig, AppState},
};

pub(crate) struct TestApp {
    router: Router,
    issuer: Issuer,
}

/// A client with a token of this user.
pub(crate) struct Client {
    router: Router,
    user: &'static str,
    token: String,
}

pub(crate) struct TestResponse {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        let issuer = Issuer::new();
        let database = DatabaseConfig::new("sqlite::memory:").unwrap();
        let state = AppState::connect(AppConfig::new(issuer.verifier(), database)).await.unwrap();
        Self { router: app(state), issuer }
    }

    pub(crate) fn user(&self, user: &'static str) -> Client {
        Client { router: self.router.clone(), user, token: self.issuer.token(user) }
    }
}

impl Client {
    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        self.send("GET", path, Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> TestResponse {
        self.send("POST", path, Body::from(body.to_string())).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> TestResponse {
        self.send("PUT", path, Body::from(body.to_string())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> TestResponse {
        self.send("DELETE", path, Body::empty()).await
    }

    /// `path` is relative to the user's.
    async fn send(&self, method: &str, path: &str, body: Body) -> TestResponse {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/{}/{path}", self.user))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        TestResponse { status, body: serde_json::from_slice(&body).unwrap_or_default() }
    }
}
