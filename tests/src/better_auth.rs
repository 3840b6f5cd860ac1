use std::{
    collections::BTreeMap,
    env,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use reqwest::{
    Client,
    header::{COOKIE, ORIGIN, SET_COOKIE},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{ApiResponse, Process, node, response::client};

/// How a Better Auth server signs its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// Key pairs, published as a JWKS: the default of its JWT plugin.
    KeyPairs,
    /// HS256 with its secret.
    SharedSecret,
}

/// The configuration of a Better Auth server.
#[derive(Debug, Clone)]
pub struct Issuer {
    line: &'static str,
    signing: Signing,
    environment: BTreeMap<String, String>,
    /// Contains the database. Deleted when the last server that uses it is dropped.
    _directory: Arc<TempDir>,
}

impl Issuer {
    /// A server of the newest line, with its own database and secret.
    ///
    /// # Panics
    /// If the directory of the database cannot be created.
    pub fn new(signing: Signing) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let database = directory.path().join("auth.db");
        let issuer = Self { line: node::NEWEST, signing, environment: BTreeMap::new(), _directory: directory };
        issuer
            .with("BETTER_AUTH_SECRET", format!("the secret of issuer {number:04}, for one issuer only"))
            .with("DATABASE", database.display())
    }

    /// Sets the line of Better Auth, which is one of [`node::LINES`].
    pub fn line(mut self, line: &'static str) -> Self {
        self.line = line;
        self
    }

    /// Sets how tokens are signed.
    pub fn signing(mut self, signing: Signing) -> Self {
        self.signing = signing;
        self
    }

    /// Sets one of the environment variables documented in `better-auth/issuer.mjs`.
    pub fn with(mut self, variable: &str, value: impl ToString) -> Self {
        self.environment.insert(variable.to_owned(), value.to_string());
        self
    }

    /// Starts the server, and returns when it is ready.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(self) -> BetterAuth {
        let mut command = Command::new("node");
        command.args(["issuer.mjs", self.line]).current_dir(node::home());
        // The developer's environment must not affect it.
        command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path))).envs(&self.environment);
        command.env("SIGNING", if self.signing == Signing::KeyPairs { "jwks" } else { "hs256" });
        let mut process = Process::start("Better Auth", &mut command);
        let (url, path) = process.line(ready).await;
        BetterAuth { issuer: self, url, path, process, client: client() }
    }
}

/// A running Better Auth server.
#[derive(Debug)]
pub struct BetterAuth {
    issuer: Issuer,
    url: String,
    path: String,
    process: Process,
    pub(crate) client: Client,
}

/// A user who has signed up, with all tokens that Better Auth issued.
#[derive(Debug, Clone)]
pub struct User {
    /// The `sub` of the token, and the user id in the paths of the API.
    pub id: String,
    /// The JWT of `/api/auth/token`, which APIs accept.
    pub token: String,
    /// The `Cookie` header that a browser would send back.
    pub cookie: String,
    /// The `token` in the response to a sign-up or sign-in, which is not a JWT.
    pub session_token: String,
    /// The cookie cache of the session, if it is enabled. APIs reject it.
    pub session_data: Option<String>,
    /// The session token with a signature, from the `set-auth-token` header. Not a JWT either.
    pub signed_session_token: String,
}

impl BetterAuth {
    /// Its address, which is its base URL unless `BASE_URL` is set.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How its tokens are signed.
    pub fn signing(&self) -> Signing {
        self.issuer.signing
    }

    /// Its base URL as an API configures it: with the path of `BASE_URL` or `BASE_PATH`, if there is one.
    pub fn base_url(&self) -> String {
        let path = ["BASE_URL", "BASE_PATH"].into_iter().filter_map(|name| self.issuer.environment.get(name));
        let path = path.map(String::as_str).find(|path| path.starts_with('/'));
        format!("{}{}", self.url, path.unwrap_or_default())
    }

    /// The secret, whether or not its tokens are signed with it.
    pub fn secret(&self) -> &str {
        &self.issuer.environment["BETTER_AUTH_SECRET"]
    }

    /// The configuration of a second server with the same issuer, database, keys and secret, which can be changed with
    /// [`Issuer::with`]. The second server accepts the session cookies of this one.
    pub fn twin(&self) -> Issuer {
        self.issuer.clone().with("BASE_URL", self.name())
    }

    /// Signs a user up and fetches a token.
    ///
    /// # Panics
    /// If a request fails.
    pub async fn sign_up(&self, name: &str) -> User {
        let form = json!({ "name": name, "email": email(name), "password": PASSWORD });
        let response = self.post("sign-up/email", "", &form).await;
        assert_eq!(response.status, 200, "{response:?}");
        let cookie = cookie(&response);
        User {
            id: response.text("/user/id").to_owned(),
            token: self.token(&cookie).await,
            session_token: response.text("/token").to_owned(),
            signed_session_token: response.header("set-auth-token").expect("the bearer plugin's header").to_owned(),
            session_data: cookie_cache(&response),
            cookie,
        }
    }

    /// The `set-auth-jwt` header of `/get-session`: a new JWT for the session of this cookie.
    ///
    /// # Panics
    /// If the request fails, or there is no such header.
    pub async fn session_jwt(&self, cookie: &str) -> String {
        let response = ApiResponse::to(self.client.get(self.endpoint("get-session")).header(COOKIE, cookie)).await;
        response.header("set-auth-jwt").unwrap_or_else(|| panic!("no JWT in {response:?}")).to_owned()
    }

    /// Signs in an existing user, as on another device. Returns the `Cookie` header of the new session.
    ///
    /// # Panics
    /// If the request fails.
    pub async fn sign_in(&self, name: &str) -> String {
        let response = self.post("sign-in/email", "", &json!({ "email": email(name), "password": PASSWORD })).await;
        assert_eq!(response.status, 200, "{response:?}");
        cookie(&response)
    }

    /// Signs out of the session of this cookie.
    ///
    /// # Panics
    /// If the request fails.
    pub async fn sign_out(&self, cookie: &str) {
        let response = self.post("sign-out", cookie, &json!({})).await;
        assert_eq!(response.status, 200, "{response:?}");
    }

    /// Changes the password and revokes all sessions of the cookie's user. Returns the cookie of the new session.
    ///
    /// # Panics
    /// If the request fails.
    pub async fn change_password(&self, cookie_before: &str) -> String {
        let form = json!({ "currentPassword": PASSWORD, "newPassword": "another horse", "revokeOtherSessions": true });
        let response = self.post("change-password", cookie_before, &form).await;
        assert_eq!(response.status, 200, "{response:?}");
        cookie(&response)
    }

    /// Lets the admin of this cookie act as the user. Returns the cookie of the new session.
    ///
    /// # Panics
    /// If the request fails.
    pub async fn impersonate(&self, admin: &str, user: &User) -> String {
        let response = self.post("admin/impersonate-user", admin, &json!({ "userId": user.id })).await;
        assert_eq!(response.status, 200, "{response:?}");
        cookie(&response)
    }

    /// A new JWT for the session of this cookie.
    ///
    /// # Panics
    /// If the request fails.
    pub async fn token(&self, cookie: &str) -> String {
        let token = self.client.get(self.endpoint("token"));
        let response = ApiResponse::to(token.header(COOKIE, cookie)).await;
        assert_eq!(response.status, 200, "{response:?}");
        response.text("/token").to_owned()
    }

    /// The process id, to pause the server with a signal.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The file of its SQLite database.
    pub fn database(&self) -> &str {
        &self.issuer.environment["DATABASE"]
    }

    /// Sends a request to an endpoint of Better Auth, with this cookie.
    ///
    /// # Panics
    /// If there is no response.
    pub async fn post(&self, path: &str, cookie: &str, form: &Value) -> ApiResponse {
        let request = self.client.post(self.endpoint(path));
        ApiResponse::to(request.header(ORIGIN, self.name()).header(COOKIE, cookie).json(form)).await
    }

    /// Stops the server and waits until it has exited.
    ///
    /// # Panics
    /// If it does not exit, or fails.
    pub async fn stop(self) {
        let status = self.process.stop().await;
        assert!(status.success(), "Better Auth exited with {status}");
    }

    /// The URL of this path below the base path.
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{}/{path}", self.url, self.path)
    }

    /// The issuer of its tokens.
    fn name(&self) -> &str {
        let base = self.issuer.environment.get("BASE_URL");
        base.filter(|base| !base.starts_with('/')).unwrap_or(&self.url)
    }
}

/// The password of every user.
const PASSWORD: &str = "correct horse battery staple";

fn email(name: &str) -> String {
    format!("{}@example.test", name.to_lowercase())
}

/// The value of the cookie with the cached session.
fn cookie_cache(response: &ApiResponse) -> Option<String> {
    let cookies = response.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
    let cookie = cookies.filter_map(|cookie| cookie.strip_prefix("better-auth.session_data=")).next()?;
    cookie.split(';').next().map(str::to_owned)
}

/// The session cookie, without its attributes. When an admin impersonates a user, it is removed first and then set.
fn cookie(response: &ApiResponse) -> String {
    let mut cookies = response.headers.get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().expect("ASCII"));
    let session = cookies.rfind(|cookie| cookie.starts_with("better-auth.session_token="));
    let session = session.expect("a session cookie");
    session.split(';').next().expect("the cookie before its attributes").to_owned()
}

/// The address and the base path, from the line that `issuer.mjs` prints when it is ready.
fn ready(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    Some((line.get("url")?.as_str()?.to_owned(), line.get("path")?.as_str()?.to_owned()))
}
