//! Revoked sessions in Better Auth, and their tokens at all replicas of the API.

use std::{
    env,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Form, Router, extract::State, routing::post};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use better_auth_jwt::test_util;
use reqwest::{Method, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};
use system_tests::{ApiResponse, BetterAuth, Issuer, Signing, TasksApi, node};
use tempfile::TempDir;

use crate::{cluster::Cluster, world::TASKS_API};

const PATH: &str = "/auth/backchannel-logout";
const SECOND: Duration = Duration::from_secs(1);

/// Creates one test of each function for each way of signing.
macro_rules! with_either_signing {
    ($($test:ident),+ $(,)?) => {
        mod with_key_pairs {
            $(#[tokio::test]
            async fn $test() {
                super::run(system_tests::Signing::KeyPairs, super::$test).await;
            })+
        }

        mod with_the_shared_secret {
            $(#[tokio::test]
            async fn $test() {
                super::run(system_tests::Signing::SharedSecret, super::$test).await;
            })+
        }
    };
}

with_either_signing! {
    signing_out_revokes_the_tokens_of_that_session_on_every_replica_and_no_others,
    forged_replayed_and_foreign_logout_tokens_change_nothing,
    after_a_change_of_password_older_tokens_get_401_and_a_new_one_is_accepted,
    logout_tokens_of_the_oauth_provider_are_accepted_too,
}

async fn signing_out_revokes_the_tokens_of_that_session_on_every_replica_and_no_others(mut world: Replicated) {
    let ada = world.auth.sign_up("Ada").await;
    let laptop = world.auth.token(&world.auth.sign_in("Ada").await).await;
    // The first token is in the token cache of both replicas, the second in none.
    let (cached, uncached) = (ada.token, world.auth.token(&ada.cookie).await);
    assert_eq!(session(&cached), session(&uncached));
    assert_ne!(session(&cached), session(&laptop));
    for token in [&cached, &laptop] {
        world.assert_status_of_all(token, 200).await;
    }

    world.auth.sign_out(&ada.cookie).await;
    let signed_out = Instant::now();
    while world.statuses(&cached).await != [401; 2] {
        assert!(signed_out.elapsed() < SECOND, "after {:?}: {:?}", signed_out.elapsed(), world.statuses(&cached).await);
    }
    world.assert_status_of_all(&uncached, 401).await;
    world.assert_status_of_all(&laptop, 200).await;

    // The same after a restart of each replica.
    for replica in 0..2 {
        world.restart(replica).await;
        world.assert_status_of_all(&cached, 401).await;
        world.assert_status_of_all(&uncached, 401).await;
        world.assert_status_of_all(&laptop, 200).await;
    }
}

async fn forged_replayed_and_foreign_logout_tokens_change_nothing(world: Replicated) {
    let ada = world.auth.sign_up("Ada").await;
    let laptop = world.auth.sign_in("Ada").await;
    let (phone, laptop) = (ada.token, world.auth.token(&laptop).await);

    // A logout token of another Better Auth server.
    let foreign = Issuer::new(world.auth.signing()).with("LOGOUT_URLS", &world.logout_urls).start().await;
    let bob = foreign.sign_up("Bob").await;
    foreign.sign_out(&bob.cookie).await;
    let foreign = world.logout_tokens(1).await;
    assert_eq!(session(&foreign[0]), session(&bob.token));
    // An attacker who knows everything except the key.
    let forger = match world.auth.signing() {
        Signing::KeyPairs => test_util::Issuer::new(),
        Signing::SharedSecret => test_util::Issuer::with_secret("not the secret, but one that is long enough"),
    };
    let forged = forger.with_origin(world.origin()).logout_token(&session(&phone));
    let (header, rest) = forged.split_once('.').expect("a JWT has dots");
    let header = json!({ "alg": "none", "typ": "logout+jwt", "of": header });
    let unsigned = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
    for token in [&foreign[0], &forged, &unsigned, &phone, "nonsense"] {
        assert_eq!(world.post_logout_token(token).await.status, 400);
    }
    for token in [&phone, &laptop] {
        world.assert_status_of_all(token, 200).await;
    }

    world.auth.sign_out(&ada.cookie).await;
    let captured = world.logout_tokens(1).await.pop().expect("a logout token");
    assert_eq!(session(&captured), session(&phone));
    let [header, claims, signature] = parts(&captured);
    let altered = decoded(claims).to_string().replace(&session(&phone), &session(&laptop));
    let altered = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(altered));
    let again = world.auth.token(&world.auth.sign_in("Ada").await).await;
    for _ in 0..3 {
        assert_eq!(world.post_logout_token(&captured).await.status, 200);
        assert_eq!(world.post_logout_token(&altered).await.status, 400);
    }
    world.assert_status_of_all(&phone, 401).await;
    for token in [&laptop, &again] {
        world.assert_status_of_all(token, 200).await;
    }
}

async fn after_a_change_of_password_older_tokens_get_401_and_a_new_one_is_accepted(world: Replicated) {
    let ada = world.auth.sign_up("Ada").await;
    let elsewhere = world.auth.token(&world.auth.sign_in("Ada").await).await;
    world.assert_status_of_all(&ada.token, 200).await;

    let cookie = world.auth.change_password(&ada.cookie).await;
    let changed = Instant::now();
    while world.statuses(&ada.token).await != [401; 2] || world.statuses(&elsewhere).await != [401; 2] {
        assert!(changed.elapsed() < 2 * SECOND, "after {:?}", changed.elapsed());
    }
    world.assert_status_of_all(&world.auth.token(&cookie).await, 200).await;
}

/// Their `iss` contains the base path, and their `aud` is the client.
async fn logout_tokens_of_the_oauth_provider_are_accepted_too(world: Replicated) {
    let ada = world.auth.sign_up("Ada").await;
    let provider = world.auth.twin().with("ISSUER", format!("{}/api/auth", world.origin()));
    for (client, status) in [("unknown client", 200), (CLIENT, 401)] {
        let provider = provider.clone().with("AUDIENCE", client).start().await;
        let cookie = world.auth.sign_in("Ada").await;
        let token = world.auth.token(&cookie).await;
        provider.sign_out(&cookie).await;
        let captured = world.logout_tokens(1).await.pop().expect("a logout token");
        assert_eq!(decoded(parts(&captured)[1])["aud"], client);
        // The replica has received it already, or receives it now.
        world.post_logout_token(&captured).await;
        tokio::time::sleep(SECOND / 2).await;
        world.assert_status_of_all(&token, status).await;
    }
    world.assert_status_of_all(&ada.token, 200).await;
}

/// A client of the OAuth provider.
const CLIENT: &str = "tasks-app";

/// A Better Auth server that sends its logout tokens to one of two replicas, which share a PostgreSQL server.
struct Replicated {
    auth: BetterAuth,
    replicas: Vec<TasksApi>,
    environment: Vec<(&'static str, String)>,
    logout_urls: String,
    receiver: LogoutReceiver,
    directory: TempDir,
    /// The server that publishes the keys. Its URL is the tokens' issuer.
    keys: BetterAuth,
    _cluster: Cluster,
}

impl Replicated {
    async fn of(signing: Signing, cluster: Cluster) -> Self {
        // The replicas need the URL of Better Auth, and Better Auth needs the URLs of the replicas, so there are two servers.
        let keys = Issuer::new(signing).start().await;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut environment = vec![
            ("BETTER_AUTH_URL", keys.url().to_owned()),
            ("BETTER_AUTH_LOGOUT_AUDIENCES", CLIENT.to_owned()),
            ("DATABASE_URL", cluster.url().into()),
            ("TASKS_API_REQUIRE_SID", "true".to_owned()),
        ];
        if signing == Signing::SharedSecret {
            environment.push(("BETTER_AUTH_SECRET", keys.secret().to_owned()));
        }
        let replicas = vec![replica(&directory, &environment).await, replica(&directory, &environment).await];
        let receiver = LogoutReceiver::start().await;
        let logout_urls = format!("{},{}", replicas[0].url(PATH), receiver.url);
        let auth = keys.twin().with("LOGOUT_URLS", &logout_urls).start().await;
        Self { auth, replicas, environment, logout_urls, receiver, directory, keys, _cluster: cluster }
    }

    fn origin(&self) -> &str {
        self.keys.url()
    }

    /// Waits for at least `count` logout tokens, and returns those that were sent since the last call.
    async fn logout_tokens(&self, count: usize) -> Vec<String> {
        let start = Instant::now();
        loop {
            {
                let mut received = self.receiver.received.lock().expect("no panic");
                if received.len() >= count {
                    return std::mem::take(&mut received);
                }
            }
            assert!(start.elapsed() < 10 * SECOND, "no logout token was sent");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a logout token to the first replica.
    async fn post_logout_token(&self, token: &str) -> ApiResponse {
        let request = self.replicas[0].request(Method::POST, PATH);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        ApiResponse::to(request.body(format!("logout_token={token}"))).await
    }

    /// The status of each replica's response to this token.
    async fn statuses(&self, token: &str) -> [u16; 2] {
        let path = format!("/api/{}/tasks", decoded(parts(token)[1])["sub"].as_str().expect("a user"));
        let mut statuses = [0; 2];
        for (status, replica) in statuses.iter_mut().zip(&self.replicas) {
            *status = ApiResponse::to(replica.request(Method::GET, &path).bearer_auth(token)).await.status.as_u16();
        }
        statuses
    }

    async fn assert_status_of_all(&self, token: &str, status: u16) {
        assert_eq!(self.statuses(token).await, [status; 2]);
    }

    async fn restart(&mut self, replica: usize) {
        self.replicas.remove(replica).stop().await;
        self.replicas.insert(replica, self::replica(&self.directory, &self.environment).await);
    }
}

async fn replica(directory: &TempDir, environment: &[(&'static str, String)]) -> TasksApi {
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    TasksApi::start(TASKS_API, "serve", directory.path(), &environment).await
}

/// A service that receives the same logout tokens as the replica.
struct LogoutReceiver {
    url: String,
    received: Arc<Mutex<Vec<String>>>,
}

impl LogoutReceiver {
    async fn start() -> Self {
        let received = Arc::<Mutex<Vec<String>>>::default();
        let service = Router::new().route("/", post(receive)).with_state(received.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async { axum::serve(listener, service).await });
        Self { url, received }
    }
}

#[derive(Deserialize)]
struct LogoutForm {
    logout_token: String,
}

async fn receive(State(received): State<Arc<Mutex<Vec<String>>>>, Form(form): Form<LogoutForm>) {
    received.lock().expect("no panic").push(form.logout_token);
}

fn session(token: &str) -> String {
    decoded(parts(token)[1])["sid"].as_str().expect("a session").to_owned()
}

fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<&str> = token.split('.').collect();
    parts.try_into().expect("three parts")
}

fn decoded(part: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Runs a test, or skips it if Better Auth or PostgreSQL is not available.
async fn run(signing: Signing, test: impl AsyncFnOnce(Replicated)) {
    if !node::ready() {
        return;
    }
    let Some(cluster) = Cluster::new() else {
        assert!(
            env::var("CI").as_deref() != Ok("true"),
            "with CI=true no test may be skipped: PostgreSQL is not installed"
        );
        node::print(
            "SKIPPED the tests of logout with replicas: PostgreSQL (initdb, postgres and psql) is not installed.",
        );
        return;
    };
    test(Replicated::of(signing, cluster).await).await;
}
