use std::net::TcpListener;

use reqwest::Method;
use serde_json::Value;
use system_tests::{ApiResponse, BetterAuth, Issuer, Signing, TasksApi, User, node};
use tempfile::TempDir;

/// The server under test, built together with these tests.
pub(crate) const TASKS_API: &str = env!("CARGO_BIN_EXE_tasks-api-under-test");

/// A Better Auth server, and a `tasks-api` that accepts its tokens.
pub(crate) struct World {
    pub(crate) auth: BetterAuth,
    pub(crate) api: TasksApi,
    _directory: TempDir,
}

impl World {
    /// A server with the usual configuration: the URL of Better Auth, and its secret if that signs the tokens.
    pub(crate) async fn of(issuer: Issuer) -> Self {
        Self::with(issuer, &[]).await
    }

    /// A server with these settings too.
    pub(crate) async fn with(issuer: Issuer, settings: &[(&str, &str)]) -> Self {
        Self::serve(issuer.start().await, settings).await
    }

    /// A server that accepts HS256 with Better Auth's secret too, although its tokens are signed with key pairs.
    pub(crate) async fn with_secret(issuer: Issuer) -> Self {
        let auth = issuer.start().await;
        let secret = auth.secret().to_owned();
        Self::serve(auth, &[("BETTER_AUTH_SECRET", &secret)]).await
    }

    /// A server that rejects tokens without a session, and a Better Auth server that sends it logout tokens.
    pub(crate) async fn with_logout(issuer: Issuer, settings: &[(&str, &str)]) -> Self {
        // Each needs the other's address: that of Better Auth is chosen before it starts.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let url = format!("http://{address}");
        let environment = [&[("BETTER_AUTH_URL", &*url), ("TASKS_API_REQUIRE_SID", "true")], settings].concat();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let api = TasksApi::start(TASKS_API, "serve", directory.path(), &environment).await;
        let logout_url = api.url("/auth/backchannel-logout");
        let auth = issuer.with("PORT", address.port()).with("LOGOUT_URLS", logout_url).start().await;
        Self { auth, api, _directory: directory }
    }

    /// A server for this Better Auth server.
    pub(crate) async fn serve(auth: BetterAuth, settings: &[(&str, &str)]) -> Self {
        let url = auth.base_url();
        let mut environment = vec![("BETTER_AUTH_URL", url.as_str())];
        if auth.signing() == Signing::SharedSecret {
            environment.push(("BETTER_AUTH_SECRET", auth.secret()));
        }
        environment.extend(settings);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let api = TasksApi::start(TASKS_API, "serve", directory.path(), &environment).await;
        Self { auth, api, _directory: directory }
    }

    /// Sends a request to the path, with the token.
    pub(crate) async fn send(&self, method: Method, path: &str, token: &str) -> ApiResponse {
        ApiResponse::to(self.api.request(method, path).bearer_auth(token)).await
    }

    /// Sends a request with a JSON body.
    pub(crate) async fn send_json(&self, method: Method, path: &str, token: &str, body: &Value) -> ApiResponse {
        ApiResponse::to(self.api.request(method, path).bearer_auth(token).json(body)).await
    }
}

/// The path of a user's tasks.
pub(crate) fn tasks_of(user: &User) -> String {
    format!("/api/{}/tasks", user.id)
}

/// Creates one test of each function for each way of signing.
macro_rules! with_either_signing {
    ($($test:ident),+ $(,)?) => {
        mod with_key_pairs {
            $(#[tokio::test]
            async fn $test() {
                $crate::world::run(system_tests::Signing::KeyPairs, super::$test).await;
            })+
        }

        mod with_the_shared_secret {
            $(#[tokio::test]
            async fn $test() {
                $crate::world::run(system_tests::Signing::SharedSecret, super::$test).await;
            })+
        }
    };
}
pub(crate) use with_either_signing;

/// Runs a test, or skips it if Better Auth is not available.
pub(crate) async fn run(signing: Signing, test: impl AsyncFnOnce(World)) {
    if node::ready() {
        test(World::of(Issuer::new(signing)).await).await;
    }
}
