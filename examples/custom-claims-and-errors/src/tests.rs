//! Which requests each route accepts, and the responses to others.

use axum::{Router, body::Body};
use better_auth_jwt::{
    BetterAuthUrls,
    keys::{KeySet, RemoteKeySet},
    test_util::Issuer,
};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::{RESOURCE, app};

struct Setup {
    issuer: Issuer,
    server: BetterAuthUrls,
    app: Router,
}

fn setup() -> Setup {
    let server = BetterAuthUrls::new("https://app.example.com").unwrap();
    let issuer = Issuer::new().with_origin(server.origin());
    let app = app(&server, KeySet::from_json(issuer.jwks()).unwrap()).unwrap();
    Setup { issuer, server, app }
}

impl Setup {
    /// A token of the JWT plugin with `definePayload`.
    fn token(&self, role: Value, organization: Value) -> String {
        let mut claims = self.issuer.claims("ada");
        (claims["role"], claims["activeOrganizationId"]) = (role, organization);
        self.issuer.sign(&claims)
    }

    /// A token that the OAuth provider issues to an app of the user.
    fn access_token(&self, scope: &str) -> String {
        let mut header = self.issuer.header();
        header["typ"] = json!("at+jwt");
        let mut claims = self.issuer.claims("ada");
        (claims["iss"], claims["aud"]) = (json!(self.server.oauth_issuer()), json!([RESOURCE]));
        (claims["client_id"], claims["jti"], claims["scope"]) = (json!("an-app"), json!("1"), json!(scope));
        self.issuer.sign_with_header(&header, &claims)
    }

    /// Status, headers and body of the response to a request with this token, or without one if it is empty.
    async fn get(&self, path: &str, token: &str) -> (u16, HeaderMap, String) {
        send(&self.app, path, token).await
    }
}

async fn send(app: &Router, path: &str, token: &str) -> (u16, HeaderMap, String) {
    let mut request = Request::get(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// The body of an error response.
fn rejection_body(code: &str, message: &str) -> String {
    json!({ "error": { "code": code, "message": message } }).to_string()
}

#[tokio::test]
async fn role_and_organization_reach_the_handler() {
    let setup = setup();
    for (role, organization, invoices, audit) in [
        (json!("user"), json!("acme"), "invoices of the organization acme", 403),
        (json!("admin"), json!(null), "personal invoices of ada", 200),
        (json!("user,admin"), json!(null), "personal invoices of ada", 200),
        (json!("administrator"), json!(null), "personal invoices of ada", 403),
        (json!(null), json!(null), "personal invoices of ada", 403),
    ] {
        let token = setup.token(role.clone(), organization);
        let (status, _, body) = setup.get("/invoices", &token).await;
        assert_eq!((status, &*body), (200, invoices), "{role}");
        assert_eq!(setup.get("/audit", &token).await.0, audit, "{role}");
    }
    let plain = setup.issuer.token("ada"); // without `definePayload`
    assert_eq!(setup.get("/invoices", &plain).await.2, "personal invoices of ada");
}

#[tokio::test]
async fn access_tokens_give_access_to_their_scopes_and_nothing_else() {
    let setup = setup();
    let (reads, writes) = (setup.access_token("openid invoices:read"), setup.access_token("invoices:write"));
    let user = setup.token(json!("admin"), json!("acme"));
    assert_eq!(setup.get("/export", &reads).await.2, "invoices of ada, for an app");
    for (path, token, status, code) in [
        ("/export", &writes, 403, "scope_missing"),
        ("/export", &user, 401, "token_invalid"),
        ("/invoices", &reads, 401, "token_invalid"),
        ("/audit", &reads, 401, "token_invalid"),
    ] {
        let (got, _, body) = setup.get(path, token).await;
        assert_eq!(got, status, "{path}");
        assert!(body.contains(code), "{path} {body}");
    }
}

#[tokio::test]
async fn rejections_are_json_with_the_standard_headers() {
    let setup = setup();
    let mut expired = setup.issuer.claims("ada");
    expired["exp"] = json!(1);
    let (expired, role) = (setup.issuer.sign(&expired), setup.token(json!(["admin"]), json!(null)));
    let user = setup.token(json!("user"), json!(null));
    let writes = setup.access_token("invoices:write");
    let invalid = |what: &str| format!(r#"Bearer realm="api", error="invalid_token", error_description="{what}""#);
    let scope = r#"Bearer realm="api", error="insufficient_scope", error_description="the token lacks a required scope", scope="invoices:read""#;
    for (path, token, status, challenge, body) in [
        (
            "/audit",
            "",
            401,
            r#"Bearer realm="api""#.to_owned(),
            rejection_body("sign_in", "a bearer token is required"),
        ),
        ("/audit", &*expired, 401, invalid("the token expired"), rejection_body("token_expired", "the token expired")),
        (
            "/audit",
            &*role,
            401,
            invalid("the token is not valid"),
            rejection_body("token_invalid", "the token is not valid"),
        ),
        ("/audit", &*user, 403, String::new(), rejection_body("not_allowed", "access denied")),
        (
            "/export",
            &*writes,
            403,
            scope.to_owned(),
            rejection_body("scope_missing", "the token lacks a required scope"),
        ),
    ] {
        let (got, headers, text) = setup.get(path, token).await;
        assert_eq!((got, &text), (status, &body));
        let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("www-authenticate"), challenge);
        assert_eq!([header("content-type"), header("cache-control")], ["application/json", "no-store"]);
    }
}

#[tokio::test]
async fn while_keys_are_unavailable_the_response_says_when_to_try_again() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let server = BetterAuthUrls::new(&url).unwrap();
    let app = app(&server, RemoteKeySet::new(server.jwks_url()).unwrap()).unwrap();
    let (status, headers, body) = send(&app, "/invoices", &Issuer::new().with_origin(url).token("ada")).await;
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (503, "1"));
    assert_eq!(body, rejection_body("try_again", "tokens cannot be verified now"));
}
