//! `examples/organizations`, with Better Auth's organization and admin plugins.

use std::time::{Duration, Instant};

use better_auth_jwt::{RevokedSessions, Verifier};
use example_organizations::{App, app, members::Members};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use sea_orm::Database;
use serde_json::{Value, json};
use system_tests::{ApiResponse, BetterAuth, Issuer, Signing, User, node};
use tokio::{net::TcpListener, time::sleep};

const SECOND: Duration = Duration::from_secs(1);

/// How long the example keeps memberships in its cache.
const MAX_AGE: Duration = SECOND;

#[tokio::test]
async fn a_membership_gives_access_until_it_ends() {
    let Some(world) = World::new(&[]).await else { return };
    let (ada, bob) = (world.auth.sign_up("Ada").await, world.auth.sign_up("Bob").await);
    let acme = world.create_organization(&ada, "acme").await;
    let notes = format!("/orgs/{acme}/notes");
    assert_eq!(world.send(Method::GET, &notes, &ada.token).await, 200, "whatever organization is active");
    assert_eq!(world.send(Method::POST, &notes, &ada.token).await, 201);
    assert_eq!(world.send(Method::GET, &notes, &bob.token).await, 403);
    assert_eq!(world.member_role(&acme, &bob.token).await, json!({ "role": null }));

    world.add_member(&acme, &ada, &bob).await;
    world.wait_for(403, 200, Method::GET, &notes, &bob.token).await;
    assert_eq!(world.send(Method::POST, &notes, &bob.token).await, 403);
    assert_eq!(world.member_role(&acme, &bob.token).await, json!({ "role": "member" }));
    let stream = world.events(&acme, &bob.token).await;

    let member =
        json!({ "organizationId": acme, "memberId": world.member_id(&acme, &ada, &bob).await, "role": "admin" });
    world.succeed("organization/update-member-role", &ada.cookie, &member).await;
    world.wait_for(403, 201, Method::POST, &notes, &bob.token).await;

    let member = json!({ "organizationId": acme, "memberIdOrEmail": "bob@example.test" });
    world.succeed("organization/remove-member", &ada.cookie, &member).await;
    world.wait_for(200, 403, Method::GET, &notes, &bob.token).await;
    assert_eq!(world.member_role(&acme, &bob.token).await, json!({ "role": null }));
    assert_events(stream).await;
    assert_eq!(world.send(Method::GET, &notes, &ada.token).await, 200);
}

#[tokio::test]
async fn the_active_organization_is_in_new_tokens_of_its_members_only() {
    let Some(world) = World::new(&[]).await else { return };
    let (ada, bob) = (world.auth.sign_up("Ada").await, world.auth.sign_up("Bob").await);
    let acme = world.create_organization(&ada, "acme").await;
    let in_acme = world.auth.token(&ada.cookie).await;
    let other = world.create_organization(&ada, "other").await;
    let in_other = world.auth.token(&ada.cookie).await;
    let logo = async |organization: &str, token: &str| {
        world.send(Method::GET, &format!("/orgs/{organization}/logo"), token).await.as_u16()
    };
    assert_eq!([logo(&acme, &in_acme).await, logo(&other, &in_acme).await], [200, 403]);
    assert_eq!([logo(&acme, &in_other).await, logo(&other, &in_other).await], [403, 200]);
    assert_eq!(logo(&acme, &ada.token).await, 403, "it was issued before there was an organization");
    world.succeed("organization/set-active", &ada.cookie, &json!({ "organizationId": acme })).await;
    assert_eq!(logo(&acme, &world.auth.token(&ada.cookie).await).await, 200);

    world.add_member(&acme, &ada, &bob).await;
    let before = world.auth.token(&bob.cookie).await;
    assert_eq!(logo(&acme, &before).await, 200);
    let member = json!({ "organizationId": acme, "memberIdOrEmail": "bob@example.test" });
    world.succeed("organization/remove-member", &ada.cookie, &member).await;
    // Better Auth keeps it in the session, so `definePayload` looks the membership up.
    let session = world.client.get(world.auth.endpoint("get-session")).header("cookie", &bob.cookie);
    assert_eq!(ApiResponse::to(session).await.text("/session/activeOrganizationId"), acme);
    // A claim is as old as its token.
    assert_eq!(logo(&acme, &before).await, 200);
    assert_eq!(logo(&acme, &world.auth.token(&bob.cookie).await).await, 403);
}

#[tokio::test]
async fn impersonated_admins_are_rejected_and_a_ban_revokes_all_sessions() {
    let Some(world) = World::new(&[("ADMIN", "grace@example.test")]).await else { return };
    let (bob, grace) = (world.auth.sign_up("Bob").await, world.auth.sign_up("Grace").await);
    let admin = async |token: &str| world.send(Method::GET, "/admin", token).await.as_u16();
    assert_eq!([admin(&grace.token).await, admin(&bob.token).await], [200, 403]);

    // Better Auth lets no admin act as another, so Bob becomes an admin afterwards.
    let impersonated = world.auth.impersonate(&grace.cookie, &bob).await;
    let role = json!({ "userId": bob.id, "role": ["user", "admin"] });
    world.succeed("admin/set-role", &grace.cookie, &role).await;
    assert_eq!(admin(&bob.token).await, 403, "it has the old role");
    let bobs = world.auth.token(&bob.cookie).await;
    assert_eq!(admin(&bobs).await, 200);
    let graces = world.auth.token(&impersonated).await;
    assert_eq!(admin(&graces).await, 403);
    assert_eq!(world.send(Method::GET, "/greeting", &graces).await, 200);

    let organization = world.create_organization(&bob, "bobs").await;
    let stream = world.events(&organization, &bobs).await;
    world.succeed("admin/ban-user", &grace.cookie, &json!({ "userId": bob.id })).await;
    for token in [&bobs, &graces] {
        world.wait_for(200, 401, Method::GET, "/greeting", token).await;
    }
    assert_events(stream).await;
    let form = json!({ "email": "bob@example.test", "password": "correct horse battery staple" });
    assert_eq!(world.auth.post("sign-in/email", "", &form).await.status, 403);
    assert_eq!(admin(&grace.token).await, 200);
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let Some(world) = World::new(&[("TOKEN_LIFETIME", "10s")]).await else { return };
    let ada = world.auth.sign_up("Ada").await;
    let acme = world.create_organization(&ada, "acme").await;
    let start = Instant::now();
    let stream = world.events(&acme, &world.auth.token(&ada.cookie).await).await;
    assert_events(stream).await;
    // `exp` is in whole seconds.
    assert!(start.elapsed() >= 9 * SECOND, "after {:?}", start.elapsed());
}

/// A Better Auth server, and the example with its database.
struct World {
    auth: BetterAuth,
    url: String,
    client: Client,
}

impl World {
    /// `None` if Better Auth is not available.
    async fn new(environment: &[(&str, &str)]) -> Option<Self> {
        if !node::ready() {
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let issuer = Issuer::new(Signing::KeyPairs).with("PLUGINS", "admin,organization").with("MEMBERS", 1);
        let issuer = issuer.with("LOGOUT_URLS", format!("{url}/auth/backchannel-logout"));
        let auth = environment.iter().fold(issuer, |issuer, (name, value)| issuer.with(name, value)).start().await;

        let verifier = Verifier::better_auth(auth.url()).expect("a valid URL").leeway(Duration::ZERO);
        let database = Database::connect(format!("sqlite://{}", auth.database())).await.expect("a database");
        let members = Members::new(database, MAX_AGE);
        let revoked = RevokedSessions::new(15 * 60 * SECOND);
        tokio::spawn(async { axum::serve(listener, app(App { verifier, revoked, members })).await });
        let client = Client::builder().no_proxy().timeout(60 * SECOND).build().expect("an HTTP client");
        Some(Self { auth, url, client })
    }

    fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(token)
    }

    async fn send(&self, method: Method, path: &str, token: &str) -> StatusCode {
        ApiResponse::to(self.request(method, path, token)).await.status
    }

    async fn events(&self, organization: &str, token: &str) -> Response {
        let stream = self.request(Method::GET, &format!("/orgs/{organization}/events"), token).send().await;
        let stream = stream.expect("a response");
        assert_eq!(stream.status(), 200);
        stream
    }

    /// Waits until the status of this request changes.
    async fn wait_for(&self, before: u16, after: u16, method: Method, path: &str, token: &str) {
        let start = Instant::now();
        loop {
            let status = self.send(method.clone(), path, token).await;
            if status == after {
                return;
            }
            assert_eq!(status, before);
            assert!(start.elapsed() < 30 * SECOND, "{method} {path} is still {before}");
            sleep(MAX_AGE / 20).await;
        }
    }

    /// The response of `/member-role`, which asks Better Auth's database for the role of the token's user.
    async fn member_role(&self, organization: &str, token: &str) -> Value {
        let url = format!("{}/member-role?organizationId={organization}", self.auth.url());
        ApiResponse::to(self.client.get(url).bearer_auth(token)).await.body
    }

    /// Sends a request to an endpoint of Better Auth, which must succeed.
    async fn succeed(&self, path: &str, cookie: &str, form: &Value) -> ApiResponse {
        let response = self.auth.post(path, cookie, form).await;
        assert_eq!(response.status, 200, "{path}: {response:?}");
        response
    }

    /// Creates an organization, which becomes the active one. Returns its id.
    async fn create_organization(&self, owner: &User, slug: &str) -> String {
        let form = json!({ "name": slug, "slug": slug });
        self.succeed("organization/create", &owner.cookie, &form).await.text("/id").to_owned()
    }

    /// Invites a user, who accepts. The organization becomes the user's active one.
    async fn add_member(&self, organization: &str, owner: &User, user: &User) {
        let form = json!({ "organizationId": organization, "email": "bob@example.test", "role": "member" });
        let invitation = self.succeed("organization/invite-member", &owner.cookie, &form).await;
        let form = json!({ "invitationId": invitation.text("/id") });
        self.succeed("organization/accept-invitation", &user.cookie, &form).await;
    }

    async fn member_id(&self, organization: &str, owner: &User, user: &User) -> String {
        let url = self.auth.endpoint(&format!("organization/list-members?organizationId={organization}"));
        let members = ApiResponse::to(self.client.get(url).header("cookie", &owner.cookie)).await;
        let member =
            members.body["members"].as_array().into_iter().flatten().find(|member| member["userId"] == user.id);
        member.and_then(|member| member["id"].as_str()).expect("a member").to_owned()
    }
}

/// Reads a stream of events until it ends.
async fn assert_events(stream: Response) {
    assert!(stream.text().await.expect("the stream ends").contains("data: tick"));
}
