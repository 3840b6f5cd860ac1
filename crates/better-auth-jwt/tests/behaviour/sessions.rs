//! Sessions that have ended, through the layer.

use std::{sync::Arc, time::Duration};

use better_auth_jwt::{
    Claims, Clock, ErrorKind, GrpcRejection, JwtAuthLayer, PathTemplate, RevokedSessions, SessionCheck, SessionState,
    WithoutSession, test_util::Issuer,
};
use serde_json::json;

use crate::{answer, bearer, request};

/// Always of the same opinion.
struct Opinion(SessionState);

impl SessionCheck for Opinion {
    fn look_up(&self, _: &Claims) -> SessionState {
        self.0
    }
}

async fn outcome(layer: &JwtAuthLayer, token: &str) -> Option<ErrorKind> {
    answer(layer, request("/api/ada/tasks", &bearer(token))).await.extensions().get().copied()
}

fn revoked(issuer: &Issuer) -> RevokedSessions {
    RevokedSessions::new(Duration::from_secs(930)).clock(issuer.clock())
}

#[tokio::test]
async fn an_ended_session_takes_its_tokens_along_and_no_others_remembered_or_not() {
    let issuer = Issuer::new();
    for most in [0, 1000] {
        let revoked = revoked(&issuer);
        let layer = JwtAuthLayer::new(issuer.verifier())
            .token_cache_capacity(most)
            .sessions(revoked.clone(), WithoutSession::Refuse);
        let (phone, laptop) = (issuer.token_in_session("ada", "phone"), issuer.token_in_session("ada", "laptop"));
        for token in [&phone, &phone, &laptop] {
            assert_eq!(outcome(&layer, token).await, None);
        }
        revoked.end_session("phone").unwrap();
        for _ in 0..2 {
            assert_eq!(outcome(&layer, &phone).await, Some(ErrorKind::Revoked));
            assert_eq!(outcome(&layer, &laptop).await, None);
        }
        issuer.clock().advance(Duration::from_secs(60));
        let later = issuer.token_in_session("ada", "phone");
        assert_eq!(outcome(&layer, &later).await, Some(ErrorKind::Revoked), "whenever it was issued");
    }
}

#[tokio::test]
async fn the_client_hears_that_the_token_is_not_valid_and_tries_again_where_that_cannot_be_told() {
    let issuer = Issuer::new();
    let token = bearer(&issuer.token_in_session("ada", "phone"));
    let layer = |state| JwtAuthLayer::new(issuer.verifier()).sessions(Opinion(state), WithoutSession::Accept);

    assert_eq!(answer(&layer(SessionState::Live), request("/", &token)).await.body(), "ada");

    let ended = answer(&layer(SessionState::Ended), request("/", &token)).await;
    assert_eq!(ended.status(), 401);
    assert_eq!(
        ended.headers()["www-authenticate"],
        r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#
    );

    let unknown = answer(&layer(SessionState::Unknown), request("/", &token)).await;
    assert_eq!(unknown.status(), 503);
    assert_eq!(unknown.headers()["retry-after"], "1");
    assert!(!unknown.headers().contains_key("www-authenticate"));
    assert_eq!(unknown.extensions().get(), Some(&ErrorKind::SessionsUnavailable));

    let grpc = answer(&layer(SessionState::Unknown).rejection_response(GrpcRejection), request("/", &token)).await;
    assert_eq!(grpc.headers()["grpc-status"], "14");
}

#[tokio::test]
async fn tokens_without_a_session_are_accepted_or_refused_as_was_said() {
    let issuer = Issuer::new();
    let layer = |without| JwtAuthLayer::new(issuer.verifier()).sessions(revoked(&issuer), without);
    let (accepting, refusing) = (layer(WithoutSession::Accept), layer(WithoutSession::Refuse));
    for (sid, is_session) in [(json!("s"), true), (json!(""), false), (json!(null), false)] {
        let mut claims = issuer.claims("ada");
        claims["sid"] = sid.clone();
        let token = issuer.sign(&claims);
        assert_eq!(outcome(&accepting, &token).await, None, "{sid}");
        assert_eq!(outcome(&refusing, &token).await, (!is_session).then_some(ErrorKind::InvalidClaims), "{sid}");
    }
    assert_eq!(outcome(&accepting, &issuer.token("ada")).await, None);
    assert_eq!(outcome(&refusing, &issuer.token("ada")).await, Some(ErrorKind::InvalidClaims));
}

#[tokio::test]
async fn the_end_of_all_sessions_of_a_user_is_told_by_when_tokens_were_issued() {
    let issuer = Issuer::new();
    let revoked = revoked(&issuer);
    let layer = JwtAuthLayer::new(issuer.verifier()).sessions(revoked.clone(), WithoutSession::Accept);
    let now = issuer.clock().unix_time();
    revoked.end_sessions_of("ada", now - 10).unwrap();
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
    assert_eq!(outcome(&layer, &issuer.sign(&claims)).await, Some(ErrorKind::Revoked), "it does not say when");
    revoked.end_session("ada").unwrap();
    assert_eq!(outcome(&layer, &issuer.token("ada")).await, None, "a session called like a user is another matter");
}

#[tokio::test]
async fn the_user_whose_sessions_end_is_the_subject_whichever_claim_names_the_user() {
    let issuer = Issuer::new();
    let revoked = revoked(&issuer);
    let layer = JwtAuthLayer::new(issuer.verifier().user_claim("id")).sessions(revoked.clone(), WithoutSession::Accept);
    let mut claims = issuer.claims("ada");
    claims["id"] = json!("42");
    let token = issuer.sign(&claims);
    revoked.end_sessions_of("42", issuer.clock().unix_time()).unwrap();
    assert_eq!(outcome(&layer, &token).await, None);
    revoked.end_sessions_of("ada", issuer.clock().unix_time()).unwrap();
    assert_eq!(outcome(&layer, &token).await, Some(ErrorKind::Revoked));
}

#[tokio::test]
async fn another_claim_can_name_the_session() {
    let issuer = Issuer::new();
    let revoked = revoked(&issuer);
    revoked.end_session("phone").unwrap();
    let layer =
        JwtAuthLayer::new(issuer.verifier().session_claim("device")).sessions(revoked.clone(), WithoutSession::Refuse);
    let mut claims = issuer.claims("ada");
    claims["sid"] = json!("phone");
    assert_eq!(outcome(&layer, &issuer.sign(&claims)).await, Some(ErrorKind::InvalidClaims));
    for (device, kind) in [
        (json!("laptop"), None),
        (json!("phone"), Some(ErrorKind::Revoked)),
        (json!("ph\u{6f}ne"), Some(ErrorKind::Revoked)),
        (json!(""), Some(ErrorKind::InvalidClaims)),
        (json!(null), Some(ErrorKind::InvalidClaims)),
    ] {
        claims["device"] = device.clone();
        assert_eq!(outcome(&layer, &issuer.sign(&claims)).await, kind, "{device}");
    }
    // A session that cannot be read is no token without one: that would be let in for good.
    claims["device"] = json!(7);
    let accepting =
        JwtAuthLayer::new(issuer.verifier().session_claim("device")).sessions(revoked.clone(), WithoutSession::Accept);
    assert_eq!(outcome(&accepting, &issuer.sign(&claims)).await, Some(ErrorKind::InvalidClaims));
}

#[tokio::test]
async fn the_session_comes_before_path_and_rules_and_survives_a_change_of_claims() {
    #[derive(serde::Deserialize)]
    struct Own {}
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .sessions(Arc::new(Opinion(SessionState::Ended)), WithoutSession::Accept)
        .match_user(PathTemplate::new("/api/{user_id}/*").unwrap())
        .require("rule", |_| panic!("nobody asks about a session that has ended"));
    assert_eq!(outcome(&layer, &issuer.token("bob")).await, Some(ErrorKind::Revoked));
    let own = layer.claims::<Own>();
    let response = answer(&own, request("/api/ada/tasks", &bearer(&issuer.token("bob")))).await;
    assert_eq!(response.extensions().get(), Some(&ErrorKind::Revoked));
}

#[tokio::test]
async fn without_a_token_there_is_no_session_to_ask_about() {
    let issuer = Issuer::new();
    let layer = JwtAuthLayer::new(issuer.verifier())
        .sessions(Opinion(SessionState::Unknown), WithoutSession::Refuse)
        .optional();
    assert_eq!(answer(&layer, request("/", "")).await.body(), "anonymous");
    assert_eq!(outcome(&layer, "forged").await, Some(ErrorKind::Malformed));
}

#[tokio::test]
async fn an_entry_leaves_when_the_longest_lived_token_has() {
    let issuer = Issuer::new();
    let revoked = revoked(&issuer);
    let layer = JwtAuthLayer::new(issuer.verifier()).sessions(revoked.clone(), WithoutSession::Accept);
    let now = issuer.clock().unix_time();
    revoked.end_session("phone").unwrap();
    revoked.end_sessions_of("bob", now).unwrap();
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
