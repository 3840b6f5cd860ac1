//! Revoked sessions, through the layer.

use std::{sync::Arc, time::Duration};

use better_auth_jwt::{
    Claims, Clock, ErrorKind, GrpcRejection, JwtAuthLayer, MissingSession, PathTemplate, RevokedSessions, SessionCheck,
    SessionState, test_util::Issuer,
};
use serde_json::json;

use crate::{bearer, request, send};

/// A check with a fixed result.
struct Fixed(SessionState);

impl SessionCheck for Fixed {
    fn check(&self, _: &Claims) -> SessionState {
        self.0
    }
}

async fn outcome(layer: &JwtAuthLayer, token: &str) -> Option<ErrorKind> {
    send(layer, request("/api/ada/tasks", &bearer(token))).await.extensions().get().copied()
}

fn revoked(issuer: &Issuer) -> RevokedSessions {
    RevokedSessions::new(Duration::from_secs(930)).clock(issuer.clock())
}

#[tokio::test]
async fn a_revoked_session_invalidates_its_own_tokens_only_cached_or_not() {
    let issuer = Issuer::new();
    for cache_size in [0, 1_000_000] {
        let revoked = revoked(&issuer);
        let layer = JwtAuthLayer::new(issuer.verifier())
            .token_cache_size(cache_size)
            .sessions(revoked.clone(), MissingSession::Reject);
        let (phone, laptop) = (issuer.token_with_session("ada", "phone"), issuer.token_with_session("ada", "laptop"));
        for token in [&phone, &phone, &laptop] {
            assert_eq!(outcome(&layer, token).await, None);
        }
        revoked.revoke_session(issuer.origin(), "phone").unwrap();
        for _ in 0..2 {
            assert_eq!(outcome(&layer, &phone).await, Some(ErrorKind::Revoked));
            assert_eq!(outcome(&layer, &laptop).await, None);
        }
        issuer.clock().advance(Duration::from_secs(60));
        let later = issuer.token_with_session("ada", "phone");
        assert_eq!(outcome(&layer, &later).await, Some(ErrorKind::Revoked), "whenever the token was issued");
    }
}

#[tokio::test]
async fn a_revoked_session_gets_401_and_an_unknown_one_503() {
    let issuer = Issuer::new();
    let token = bearer(&issuer.token_with_session("ada", "phone"));
    let layer = |state| JwtAuthLayer::new(issuer.verifier()).sessions(Fixed(state), MissingSession::Allow);

    assert_eq!(send(&layer(SessionState::Active), request("/", &token)).await.body(), "ada");

    let rejected = send(&layer(SessionState::Revoked), request("/", &token)).await;
    assert_eq!(rejected.status(), 401);
    assert_eq!(
        rejected.headers()["www-authenticate"],
        r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#
    );

    let unknown = send(&layer(SessionState::Unknown), request("/", &token)).await;
    assert_eq!(unknown.status(), 503);
    assert_eq!(unknown.headers()["retry-after"], "1");
    assert!(!unknown.headers().contains_key("www-authenticate"));
    assert_eq!(unknown.extensions().get(), Some(&ErrorKind::SessionsUnavailable));

    let grpc = send(&layer(SessionState::Unknown).rejection_response(GrpcRejection), request("/", &token)).await;
    assert_eq!(grpc.headers()["grpc-status"], "14");
}

#[tokio::test]
async fn tokens_without_a_session_are_treated_as_configured() {
    let issuer = Issuer::new();
    let layer = |missing| JwtAuthLayer::new(issuer.verifier()).sessions(revoked(&issuer), missing);
    let (allowing, rejecting) = (layer(MissingSession::Allow), layer(MissingSession::Reject));
    for (sid, is_session) in [(json!("s"), true), (json!(""), false), (json!(null), false)] {
        let mut claims = issuer.claims("ada");
        claims["sid"] = sid.clone();
        let token = issuer.sign(&claims);
        assert_eq!(outcome(&allowing, &token).await, None, "{sid}");
        assert_eq!(outcome(&rejecting, &token).await, (!is_session).then_some(ErrorKind::MissingSession), "{sid}");
    }
    assert_eq!(outcome(&allowing, &issuer.token("ada")).await, None);
    assert_eq!(outcome(&rejecting, &issuer.token("ada")).await, Some(ErrorKind::MissingSession));
}

#[tokio::test]
async fn revoking_a_user_rejects_the_tokens_issued_until_then() {
    let issuer = Issuer::new();
    let revoked = revoked(&issuer);
    let layer = JwtAuthLayer::new(issuer.verifier()).sessions(revoked.clone(), MissingSession::Allow);
    let now = issuer.clock().unix_time();
    revoked.revoke_user_at(issuer.origin(), "ada", now - 10).unwrap();
    for (iat, kind) in [
        (json!(now - 11), Some(ErrorKind::Revoked)),
        (json!(now - 10), Some(ErrorKind::Revoked)),
        (json!((now - 10) as f64 + 0.5), Some(ErrorKind::Revoked)),
        (json!(now - 9), None),
        (json!(now), None),
        (json!(null), Some(ErrorKind::InvalidClaims)),
    ] {
        for sid in [json!("phone"), json!(null)] {
            let mut claims = issuer.claims("ada");
            (claims["iat"], claims["sid"]) = (iat.clone(), sid);
            assert_eq!(outcome(&layer, &issuer.sign(&claims)).await, kind, "{iat}");
            claims["sub"] = json!("bob");
            assert_eq!(outcome(&layer, &issuer.sign(&claims)).await, kind.filter(|kind| *kind != ErrorKind::Revoked));
        }
    }
    let mut claims = issuer.claims("ada");
    claims.as_object_mut().unwrap().remove("iat");
    assert_eq!(outcome(&layer, &issuer.sign(&claims)).await, Some(ErrorKind::Revoked), "it has no iat");
    revoked.revoke_session(issuer.origin(), "ada").unwrap();
    assert_eq!(outcome(&layer, &issuer.token("ada")).await, None, "a session id is not a user id");
}

#[tokio::test]
async fn a_user_is_revoked_by_sub_whichever_claim_identifies_the_user() {
    let issuer = Issuer::new();
    let revoked = revoked(&issuer);
    let layer =
        JwtAuthLayer::new(issuer.verifier().user_id_claim("id")).sessions(revoked.clone(), MissingSession::Allow);
    let mut claims = issuer.claims("ada");
    claims["id"] = json!("42");
    let token = issuer.sign(&claims);
    revoked.revoke_user(issuer.origin(), "42").unwrap();
    assert_eq!(outcome(&layer, &token).await, None);
    revoked.revoke_user(issuer.origin(), "ada").unwrap();
    assert_eq!(outcome(&layer, &token).await, Some(ErrorKind::Revoked));
}

#[tokio::test]
async fn the_session_id_claim_can_be_configured() {
    let issuer = Issuer::new();
    let revoked = revoked(&issuer);
    revoked.revoke_session(issuer.origin(), "phone").unwrap();
    let layer = JwtAuthLayer::new(issuer.verifier().session_id_claim("device"))
        .sessions(revoked.clone(), MissingSession::Reject);
    let mut claims = issuer.claims("ada");
    claims["sid"] = json!("phone");
    assert_eq!(outcome(&layer, &issuer.sign(&claims)).await, Some(ErrorKind::MissingSession));
    for (device, kind) in [
        (json!("laptop"), None),
        (json!("phone"), Some(ErrorKind::Revoked)),
        (json!("ph\u{6f}ne"), Some(ErrorKind::Revoked)),
        (json!(""), Some(ErrorKind::MissingSession)),
        (json!(null), Some(ErrorKind::MissingSession)),
    ] {
        claims["device"] = device.clone();
        assert_eq!(outcome(&layer, &issuer.sign(&claims)).await, kind, "{device}");
    }
    // A session id of another type must not count as missing: the token could never be revoked.
    claims["device"] = json!(7);
    let allowing = JwtAuthLayer::new(issuer.verifier().session_id_claim("device"))
        .sessions(revoked.clone(), MissingSession::Allow);
    assert_eq!(outcome(&allowing, &issuer.sign(&claims)).await, Some(ErrorKind::InvalidClaims));
}

#[tokio::test]
async fn the_session_is_checked_before_path_and_rules_also_with_custom_claims() {
    #[derive(serde::Deserialize)]
    struct CustomClaims {}
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .sessions(Arc::new(Fixed(SessionState::Revoked)), MissingSession::Allow)
        .match_user(PathTemplate::new("/api/{user_id}/*").unwrap())
        .require("rule", |_| panic!("rules are not called for a revoked session"));
    assert_eq!(outcome(&layer, &issuer.token("bob")).await, Some(ErrorKind::Revoked));
    let custom = layer.claims::<CustomClaims>();
    let response = send(&custom, request("/api/ada/tasks", &bearer(&issuer.token("bob")))).await;
    assert_eq!(response.extensions().get(), Some(&ErrorKind::Revoked));
}

#[tokio::test]
async fn without_a_token_no_session_is_checked() {
    let issuer = Issuer::new();
    let layer =
        JwtAuthLayer::new(issuer.verifier()).sessions(Fixed(SessionState::Unknown), MissingSession::Reject).optional();
    assert_eq!(send(&layer, request("/", "")).await.body(), "anonymous");
    assert_eq!(outcome(&layer, "forged").await, Some(ErrorKind::Malformed));
}

#[tokio::test]
async fn an_entry_expires_after_the_retention() {
    let issuer = Issuer::new();
    let revoked = revoked(&issuer);
    let layer = JwtAuthLayer::new(issuer.verifier()).sessions(revoked.clone(), MissingSession::Allow);
    let now = issuer.clock().unix_time();
    revoked.revoke_session_at(issuer.origin(), "phone", now).unwrap();
    revoked.revoke_user_at(issuer.origin(), "bob", now).unwrap();
    let long_lived = |user: &str| {
        let mut claims = issuer.claims(user);
        (claims["sid"], claims["exp"]) = (json!("phone"), json!(now + 10_000));
        issuer.sign(&claims)
    };
    let (ada, bob) = (long_lived("ada"), long_lived("bob"));
    for (passed, kind) in [(0, Some(ErrorKind::Revoked)), (929, Some(ErrorKind::Revoked)), (1, None)] {
        issuer.clock().advance(Duration::from_secs(passed));
        assert_eq!(outcome(&layer, &ada).await, kind, "{passed}");
        assert_eq!(outcome(&layer, &bob).await, kind, "{passed}");
    }
}
