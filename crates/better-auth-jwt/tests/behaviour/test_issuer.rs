//! The issuer for tests of services.

use better_auth_jwt::{
    BetterAuthUrls, ErrorKind, JwtAuthLayer, Profile, Verifier,
    keys::{Algorithm, RemoteKeySet},
    test_util::Issuer,
};

use crate::{bearer, request, send};

async fn outcome(auth: &JwtAuthLayer, token: &str) -> Option<ErrorKind> {
    send(auth, request("/", &bearer(token))).await.extensions().get().copied()
}

#[tokio::test]
async fn a_service_configured_by_url_fetches_its_keys() {
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::ES512, Algorithm::RS256, Algorithm::PS256] {
        let issuer = Issuer::with_algorithm(algorithm).serve_jwks();
        let auth = JwtAuthLayer::new(Verifier::better_auth(issuer.origin()).unwrap());
        assert_eq!(issuer.jwks_requests(), 0);
        assert_eq!(outcome(&auth, &issuer.token("ada")).await, None, "{algorithm}");
        assert_eq!(outcome(&auth, &Issuer::with_algorithm(algorithm).token("ada")).await, Some(ErrorKind::UnknownKey));
        assert_eq!(issuer.jwks_requests(), 2, "one for the first token, and one in search of the other's key");
    }
}

#[tokio::test]
async fn the_issuer_rotates_its_key_as_better_auth_does() {
    let mut issuer = Issuer::new().serve_jwks();
    let auth = JwtAuthLayer::new(Verifier::better_auth(issuer.origin()).unwrap());
    let old = issuer.token("ada");
    assert_eq!(outcome(&auth, &old).await, None);
    issuer.rotate();
    let new = issuer.token("ada");
    assert_eq!(outcome(&auth, &new).await, None, "the new key is found");
    assert_eq!(outcome(&auth, &old).await, None, "the old one is still published");
    issuer.unpublish_retired_keys();
    let later = JwtAuthLayer::new(Verifier::better_auth(issuer.origin()).unwrap());
    assert_eq!(outcome(&later, &new).await, None);
    assert_eq!(outcome(&later, &old).await, Some(ErrorKind::UnknownKey));
}

#[tokio::test]
async fn the_endpoint_stops_when_its_issuer_is_dropped() {
    let issuer = Issuer::new().serve_jwks();
    let (token, verifier) = (issuer.token("ada"), Verifier::better_auth(issuer.origin()).unwrap());
    drop(issuer);
    assert_eq!(outcome(&JwtAuthLayer::new(verifier), &token).await, Some(ErrorKind::KeysUnavailable));
}

#[tokio::test]
async fn access_tokens_are_accepted_for_their_audience_and_scope_only() {
    let issuer = Issuer::new().serve_jwks();
    let server = BetterAuthUrls::new(issuer.origin()).unwrap();
    let apps = Verifier::builder(RemoteKeySet::new(server.jwks_url()).unwrap())
        .issuer(server.oauth_issuer())
        .audience("https://api.example.com")
        .unwrap()
        .profile(Profile::AccessToken);
    let apps = JwtAuthLayer::new(apps).require_scopes(["invoices:read"]).unwrap();
    let users = JwtAuthLayer::new(Verifier::better_auth(issuer.origin()).unwrap());
    let token = |resource: &str, scope: &str| issuer.access_token("ada", resource, scope);
    assert_eq!(outcome(&apps, &token("https://api.example.com", "openid invoices:read")).await, None);
    assert_eq!(outcome(&apps, &token("https://api.example.com", "openid")).await, Some(ErrorKind::InsufficientScope));
    assert_eq!(
        outcome(&apps, &token("https://other.example.com", "invoices:read")).await,
        Some(ErrorKind::InvalidAudience)
    );
    assert_eq!(outcome(&apps, &issuer.token("ada")).await, Some(ErrorKind::InvalidType));
    assert_eq!(outcome(&users, &token(issuer.origin(), "invoices:read")).await, Some(ErrorKind::InvalidType));
}
