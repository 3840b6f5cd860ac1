//! Tokens for OAuth clients.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{Router, body::Body, routing::get};
use better_auth_jwt::{
    BetterAuth, BetterAuthUrls, JwtAuthLayer, PathParam, Profile, Verifier, keys::RemoteKeySet, test_util,
};
use http::Request;
use serde_json::json;
use system_tests::{BetterAuth as Server, User};
use tower::ServiceExt;

use super::{issuer, table::Row};
use crate::{
    rejections::{NOT_VALID, assert_nothing_was_done, assert_rejected},
    world::World,
};

const RESOURCE: &str = "https://api.example.com";

pub(super) async fn access_tokens_of_any_version(line: &'static str) -> Vec<Row> {
    let world = World::with_secret(issuer(line, [("PLUGINS", "oauthProvider")])).await;
    let ada = world.auth.sign_up("Ada").await;
    let tokens = world.auth.oauth_tokens(&ada.cookie, None).await;
    // The server accepts tokens of the JWT plugin only.
    for token in [&tokens.access_token, &tokens.id_token] {
        assert_rejected(&world, &ada, token, NOT_VALID).await;
    }
    assert_nothing_was_done(&world, &ada).await;

    let legacy = verifier(&world.auth, Profile::LegacyAccessToken);
    accept(&legacy, &ada, &tokens.access_token).await;
    // Together with those of the JWT plugin.
    let either = Verifier::better_auth(&world.auth.base_url()).expect("its URL").or(legacy);
    accept(&either, &ada, &tokens.access_token).await;
    assert!(either.verify(&ada.token).await.is_ok());
    assert!(either.verify(&tokens.id_token).await.is_err());
    // Nothing but the profile tells the ID token from an access token.
    let keys = RemoteKeySet::new(urls(&world.auth).jwks_url()).expect("a loopback URL");
    let any = Verifier::builder(keys).insecure_any_issuer().insecure_any_audience().expect("a verifier");
    for profile in [Profile::LegacyAccessToken, Profile::AccessToken] {
        assert_eq!(status(&any.clone().profile(profile), &ada.id, &tokens.id_token).await, 401);
    }
    vec![Row::AccessTokenIsNoJwt, Row::OAuthIdToken, Row::LegacyAccessToken]
}

pub(super) async fn access_tokens_and_dpop(line: &'static str) -> Vec<Row> {
    let server = issuer(line, [("PLUGINS", "oauthProvider")]).start().await;
    let ada = server.sign_up("Ada").await;
    let both = BetterAuth::new(&server.base_url()).expect("its URL").access_tokens(RESOURCE);
    let (both, _) = both.build().expect("a verifier");
    let tokens = server.oauth_tokens(&ada.cookie, None).await;
    let bound = server.oauth_tokens(&ada.cookie, Some(&proof(&server.token_endpoint()))).await;
    for verifier in [&both, &verifier(&server, Profile::AccessToken), &verifier(&server, Profile::LegacyAccessToken)] {
        accept(verifier, &ada, &tokens.access_token).await;
        for token in [&tokens.id_token, &bound.access_token, &bound.id_token] {
            assert_eq!(status(verifier, &ada.id, token).await, 401);
        }
    }
    assert!(both.verify(&ada.token).await.is_ok());
    vec![Row::AccessToken, Row::Dpop]
}

pub(super) async fn id_tokens_of_the_old_plugin(line: &'static str) -> Vec<Row> {
    let world = World::with_secret(issuer(line, [("PLUGINS", "oidcProvider")])).await;
    let ada = world.auth.sign_up("Ada").await;
    let tokens = world.auth.oauth_tokens(&ada.cookie, None).await;
    for token in [&tokens.access_token, &tokens.id_token] {
        assert_rejected(&world, &ada, token, NOT_VALID).await;
    }
    assert_nothing_was_done(&world, &ada).await;
    vec![Row::OidcIdToken]
}

/// A verifier for access tokens only, as documented at [`Profile`].
fn verifier(server: &Server, profile: Profile) -> Verifier {
    let urls = urls(server);
    let keys = RemoteKeySet::new(urls.jwks_url()).expect("a loopback URL");
    let verifier = Verifier::builder(keys).issuer(urls.oauth_issuer()).audience(RESOURCE).expect("a verifier");
    verifier.profile(profile)
}

fn urls(server: &Server) -> BetterAuthUrls {
    BetterAuthUrls::new(&server.base_url()).expect("its URL")
}

async fn accept(verifier: &Verifier, user: &User, token: &str) {
    assert_eq!(status(verifier, &user.id, token).await, 200);
    assert_eq!(status(verifier, "grace", token).await, 403);
}

/// The status of the response to this token, in a service of which the path is one of this user.
async fn status(verifier: &Verifier, user: &str, token: &str) -> u16 {
    let auth = JwtAuthLayer::new(verifier.clone()).match_user(PathParam("user_id"));
    let auth = auth.require_scopes(["tasks:read"]).expect("a scope");
    let service = Router::new().route("/{user_id}", get(async || "")).route_layer(auth);
    let request = Request::get(format!("/{user}")).header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::empty()).expect("a request");
    service.oneshot(request).await.expect("infallible").status().as_u16()
}

/// A DPoP proof (RFC 9449) for a POST request.
fn proof(url: &str) -> String {
    let key = test_util::Issuer::new();
    let mut jwk = key.jwk();
    jwk.as_object_mut().expect("an object").retain(|name, _| ["kty", "crv", "x"].contains(&name.as_str()));
    let header = json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    key.sign_with_header(&header, &json!({ "htm": "POST", "htu": url, "iat": now, "jti": "the only one" }))
}
