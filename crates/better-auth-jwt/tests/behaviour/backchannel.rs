//! The endpoint for logout tokens.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use better_auth_jwt::{
    BackChannelLogout, ErrorKind, JwtAuthLayer, LogoutHandler, LogoutTarget, LogoutToken, LogoutVerifier,
    MissingSession, RevokedSessions, Verifier,
    keys::{FetchError, RemoteKeySet},
    test_util::Issuer,
};
use http::{Request, Response, header::AUTHORIZATION};
use tower::ServiceExt;

const FORM: &str = "application/x-www-form-urlencoded";

fn revoked(issuer: &Issuer) -> RevokedSessions {
    RevokedSessions::new(Duration::from_secs(930)).clock(issuer.clock())
}

fn service<H: LogoutHandler>(issuer: &Issuer, handler: H) -> BackChannelLogout<H> {
    BackChannelLogout::new(LogoutVerifier::from(&issuer.verifier()), handler)
}

fn post(content_type: &str, body: String) -> Request<String> {
    Request::post("/").header("content-type", content_type).body(body).unwrap()
}

fn form(token: &str) -> Request<String> {
    post(FORM, format!("logout_token={token}"))
}

async fn send<H: LogoutHandler>(service: &BackChannelLogout<H>, request: Request<String>) -> Response<String> {
    let response = service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    response
}

#[tokio::test]
async fn a_logout_is_applied_before_the_response_and_a_repeat_changes_nothing() {
    let issuer = Issuer::new();
    let revoked = revoked(&issuer);
    let service = service(&issuer, revoked.clone());
    let token = issuer.logout_token("phone");
    for _ in 0..2 {
        let response = send(&service, form(&token)).await;
        assert_eq!((response.status().as_u16(), response.body().as_str()), (200, ""));
        assert_eq!(revoked.len(), 1);
    }
    assert_eq!(send(&service, form(&issuer.logout_token("laptop"))).await.status(), 200);
    assert_eq!(revoked.len(), 2);
}

#[tokio::test]
async fn any_encoding_of_the_form_is_accepted() {
    let issuer = Issuer::new();
    let service = service(&issuer, revoked(&issuer));
    let token = issuer.logout_token("phone");
    let escaped = token.replace('.', "%2E").replace('-', "%2d");
    for (content_type, body) in [
        (FORM, format!("logout_token={token}")),
        ("application/x-www-form-urlencoded;charset=UTF-8", format!("logout_token={token}")),
        ("Application/X-WWW-Form-Urlencoded ; charset=utf-8", format!("logout_token={token}")),
        (FORM, format!("state=1&logout_token={token}&other=")),
        (FORM, format!("logout%5Ftoken={escaped}")),
    ] {
        assert_eq!(send(&service, post(content_type, body.clone())).await.status(), 200, "{content_type} {body:.40}");
    }
}

#[tokio::test]
async fn any_other_request_gets_400_and_is_not_applied() {
    let issuer = Issuer::new();
    let service =
        service(&issuer, async |_: LogoutToken| -> Result<(), Infallible> { panic!("there is nothing to apply") });
    let token = issuer.logout_token("phone");
    let valid = format!("logout_token={token}");
    let forged = Issuer::new().logout_token("phone");
    for (content_type, body, kind) in [
        ("application/json", format!(r#"{{"logout_token":"{token}"}}"#), None),
        ("multipart/form-data", valid.clone(), None),
        ("application/x-www-form-urlencoded2", valid.clone(), None),
        ("", valid.clone(), None),
        (FORM, String::new(), None),
        (FORM, "logout_token".to_owned(), Some(ErrorKind::Malformed)),
        (FORM, "logout_token=".to_owned(), Some(ErrorKind::Malformed)),
        (FORM, format!("Logout_Token={token}"), None),
        (FORM, format!("token={token}"), None),
        (FORM, token.clone(), None),
        (FORM, format!("{valid}&{valid}"), None),
        (FORM, format!("{valid}&logout_token="), None),
        (FORM, format!("{valid}+"), Some(ErrorKind::Malformed)),
        (FORM, format!("{valid}&padding={}", "x".repeat(16 * 1024)), None),
        (FORM, format!("logout_token={}", "x".repeat(10 * 1024)), Some(ErrorKind::TokenTooLarge)),
        (FORM, format!("logout_token={forged}"), Some(ErrorKind::UnknownKey)),
        (FORM, format!("logout_token={}", issuer.token("ada")), Some(ErrorKind::InvalidType)),
    ] {
        let response = send(&service, post(content_type, body.clone())).await;
        assert_eq!(response.status(), 400, "{content_type} {body:.60}");
        assert_eq!(response.headers()["content-type"], "application/json");
        let json: serde_json::Value = serde_json::from_str(response.body()).unwrap();
        assert_eq!(json["error"], "invalid_request");
        assert!(!json["error_description"].as_str().unwrap().is_empty());
        assert_eq!(response.extensions().get(), kind.as_ref(), "{content_type} {body:.60}");
    }
    let untyped = Request::post("/").body(valid).unwrap();
    assert_eq!(send(&service, untyped).await.status(), 400);
}

#[tokio::test]
async fn only_post_is_allowed() {
    let issuer = Issuer::new();
    let service = service(&issuer, revoked(&issuer));
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let request = Request::builder().method(method).header("content-type", FORM);
        let body = format!("logout_token={}", issuer.logout_token("phone"));
        let response = send(&service, request.body(body).unwrap()).await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
}

#[tokio::test]
async fn the_sender_gets_503_if_a_retry_can_help() {
    let issuer = Issuer::new();
    let token = issuer.logout_token("phone");

    let full = service(&issuer, revoked(&issuer).max_entries(0));
    let response = send(&full, form(&token)).await;
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));

    let fails_once = {
        let calls = Arc::new(AtomicUsize::new(0));
        move |logout: LogoutToken| {
            assert_eq!(logout.target(), LogoutTarget::Session("phone"));
            let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
            async move { if is_first { Err("the database is unavailable") } else { Ok(()) } }
        }
    };
    let service = service(&issuer, fails_once);
    assert_eq!(send(&service, form(&token)).await.status(), 503);
    assert_eq!(send(&service, form(&token)).await.status(), 200);

    let keys = RemoteKeySet::with_fetch(async |_| Err(FetchError::Timeout)).build().unwrap();
    let verifier = Verifier::builder(keys).issuer(issuer.origin()).audience(issuer.origin()).unwrap();
    let without_keys = BackChannelLogout::new(LogoutVerifier::from(&verifier), revoked(&issuer));
    let response = send(&without_keys, form(&token)).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_logout_revokes_one_session_of_the_layer_and_not_the_other() {
    let issuer = Issuer::new();
    let revoked = revoked(&issuer);
    let logout = service(&issuer, revoked.clone());
    let auth = JwtAuthLayer::new(issuer.verifier()).sessions(revoked, MissingSession::Reject);
    let app: Router = Router::new()
        .route("/tasks", get(async || "tasks"))
        .route_layer(auth)
        .route_service("/auth/backchannel-logout", logout);
    let tasks = async |session: &str| {
        let token = issuer.token_with_session("ada", session);
        let request = Request::get("/tasks").header(AUTHORIZATION, format!("Bearer {token}"));
        app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    };
    assert_eq!((tasks("phone").await, tasks("laptop").await), (200, 200));
    let request = Request::post("/auth/backchannel-logout").header("content-type", FORM);
    let body = Body::from(format!("logout_token={}", issuer.logout_token("phone")));
    assert_eq!(app.clone().oneshot(request.body(body).unwrap()).await.unwrap().status(), 200);
    assert_eq!((tasks("phone").await, tasks("laptop").await), (401, 200));
}
